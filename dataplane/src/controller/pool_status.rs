//! The status of pools: what to say, and whether it is said already.

use jiff::Timestamp;

use super::catalogue::PoolObject;
use crate::{
    core::allocator::{PoolReport, Usage},
    k8s::{crd, write::PoolStatus},
};

/// A status to write, and since when its condition is as it is.
#[derive(Debug, Clone)]
pub(super) struct PoolStatusWrite {
    pub(super) status: PoolStatus,
    pub(super) since: Timestamp,
}

/// The status that `object` should have; `None`: it has it.
pub(super) fn due(
    name: &str,
    object: &PoolObject,
    report: Option<&PoolReport>,
    now: Timestamp,
) -> Option<PoolStatusWrite> {
    let ready = match (&object.pool, report) {
        (Err(why), _) => (false, "InvalidSpec", why.clone()),
        (Ok(pool), _) if pool.disabled => (
            false,
            "Disabled",
            "it gives nothing any more; what is given stays".to_owned(),
        ),
        (Ok(_), Some(report)) if !report.overlaps.is_empty() => {
            let words: Vec<_> = report
                .overlaps
                .iter()
                .map(|one| format!("{} belongs to the older pool {}", one.example, one.with))
                .collect();
            (true, "Overlap", words.join("; "))
        }
        (Ok(_), _) => (true, "InForce", "it gives addresses".to_owned()),
    };
    let report = report.filter(|_| object.pool.is_ok());
    let old = object.status.as_ref();
    let old_ready = old.and_then(|old| old.conditions.iter().find(|one| one.type_ == "Ready"));
    let since = old_ready.filter(|old| (old.status == "True") == ready.0);
    let since = since.map_or(now, |old| old.last_transition_time.0);
    let same = old.is_some_and(|old| {
        old.observed_generation == object.generation
            && old.ipv4 == usage(report.map(|report| report.v4))
            && old.ipv6 == usage(report.map(|report| report.v6))
    }) && old_ready.is_some_and(|old| {
        (old.status == "True") == ready.0 && old.reason == ready.1 && old.message == ready.2
    });
    let status = PoolStatus {
        name: name.to_owned(),
        generation: object.generation,
        report: report.cloned(),
        ready,
    };
    (!same).then_some(PoolStatusWrite { status, since })
}

fn usage(usage: Option<Usage>) -> crd::Usage {
    let usage = usage.unwrap_or_default();
    crd::Usage {
        total: usage.total.to_string(),
        assigned: usage.assigned.to_string(),
        available: usage.available.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        pool::{Pool, PoolApi, PoolId},
        samples,
    };

    fn object(pool: Result<Pool, String>) -> PoolObject {
        PoolObject {
            generation: 3,
            pool,
            status: None,
        }
    }

    fn report() -> PoolReport {
        let id = PoolId {
            name: "p".to_owned(),
            api: PoolApi::Bundled,
        };
        let v4 = Usage {
            total: 9,
            assigned: 2,
            available: 7,
        };
        PoolReport {
            id,
            v4,
            v6: Usage::default(),
            overlaps: Vec::new(),
        }
    }

    /// The object as the server has it after `write`.
    fn written(mut object: PoolObject, write: &PoolStatusWrite) -> PoolObject {
        let (holds, reason, message) = write.status.ready.clone();
        object.status = serde_json::from_value(serde_json::json!({
            "observedGeneration": write.status.generation,
            "ipv4": usage(write.status.report.as_ref().map(|report| report.v4)),
            "ipv6": usage(write.status.report.as_ref().map(|report| report.v6)),
            "conditions": [{
                "type": "Ready", "status": if holds { "True" } else { "False" },
                "reason": reason, "message": message, "lastTransitionTime": write.since.to_string(),
            }],
        }))
        .unwrap();
        object
    }

    #[test]
    fn a_status_is_written_once_and_keeps_its_time() {
        let (first, later) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(99).unwrap());
        let object = object(Ok(samples::pool("p", &["10.0.0.1-10.0.0.9"])));
        let write = due("p", &object, Some(&report()), first).unwrap();
        assert_eq!(write.status.ready.1, "InForce");
        let object = written(object, &write);
        assert!(due("p", &object, Some(&report()), later).is_none());
        let fuller = PoolReport {
            v4: Usage {
                total: 9,
                assigned: 3,
                available: 6,
            },
            ..report()
        };
        assert_eq!(
            due("p", &object, Some(&fuller), later).unwrap().since,
            first
        );
    }

    #[test]
    fn an_invalid_pool_says_why_and_counts_nothing() {
        let write = due(
            "p",
            &object(Err("`x`: no".to_owned())),
            Some(&report()),
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        assert_eq!(
            write.status.ready,
            (false, "InvalidSpec", "`x`: no".to_owned())
        );
        assert_eq!(write.status.report, None);
    }
}
