//! What clients see of a change while it goes on.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::cluster::Cluster;
use crate::figures::milliseconds;
use crate::prober::{Impression, Plan, Prober, Report, Trust};
use crate::tool;

/// What clients have seen of a change, all of them together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Attempts that were not over before the change.
    pub attempts: usize,
    /// How many of them failed.
    pub failed: usize,
    /// From the change's begin to the last failed attempt; zero: none failed.
    pub last_failure: Duration,
    /// The longest that one took to get through.
    pub longest: Duration,
    /// How long the change took.
    pub took: Duration,
    /// How often which reason was seen.
    pub reasons: String,
}

impl Seen {
    /// Together with what was seen of a further change.
    #[must_use]
    pub fn and(mut self, further: &Self) -> Self {
        self.attempts += further.attempts;
        self.failed += further.failed;
        self.last_failure = self.last_failure.max(further.last_failure);
        self.longest = self.longest.max(further.longest);
        self.took += further.took;
        self.add_reasons(&further.reasons);
        self
    }

    /// An error when an attempt failed during `what`.
    ///
    /// # Errors
    /// With the reasons.
    pub fn nothing_failed(&self, what: &str) -> Result<()> {
        ensure!(
            self.failed == 0,
            "{what}: {} connections failed: {}",
            self.failed,
            self.reasons
        );
        Ok(())
    }

    /// What one client has seen since `begin` of a change that took so long.
    pub(super) fn of(report: &Report, begin: Instant, took: Duration) -> Self {
        let mut seen = Self {
            took,
            ..Self::default()
        };
        seen.add(report, begin);
        seen
    }

    fn add(&mut self, report: &Report, begin: Instant) {
        let seen = Impression::new(report, begin);
        self.attempts += seen.attempts;
        self.failed += seen.failed;
        self.last_failure = self.last_failure.max(seen.last_failure);
        self.longest = self.longest.max(report.longest());
        self.add_reasons(&seen.reasons);
    }

    fn add_reasons(&mut self, reasons: &str) {
        if !self.reasons.is_empty() && !reasons.is_empty() {
            self.reasons.push_str(", ");
        }
        self.reasons.push_str(reasons);
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} s, {} of {} failed, the longest took {:.0} ms",
            self.took.as_secs_f32(),
            self.failed,
            self.attempts,
            milliseconds(self.longest)
        )?;
        if self.failed > 0 {
            let last = milliseconds(self.last_failure);
            write!(f, "; the last failure after {last:.0} ms: {}", self.reasons)?;
        }
        Ok(())
    }
}

/// Does something while one client makes handshakes of TLS with the API and another one, where there is a Service, connects to
/// that; and says how it went.
///
/// # Errors
/// When connections fail before, or what is done fails. A failed connection during it is none.
pub fn watch(
    cluster: &Cluster<'_>,
    service: Option<SocketAddr>,
    what: &str,
    act: impl FnOnce() -> Result<()>,
) -> Result<Seen> {
    watch_by(cluster, plans(service), what, act)
}

/// The same with the client of the Service alone: it needs no API.
///
/// # Errors
/// As [`watch()`].
pub fn watch_service(
    cluster: &Cluster<'_>,
    service: SocketAddr,
    what: &str,
    act: impl FnOnce() -> Result<()>,
) -> Result<Seen> {
    let client = Plan::connect(service).paced(PACE, PATIENCE);
    watch_by(cluster, vec![client], what, act)
}

fn watch_by(
    cluster: &Cluster<'_>,
    plans: Vec<Plan>,
    what: &str,
    act: impl FnOnce() -> Result<()>,
) -> Result<Seen> {
    let clients: Vec<Prober> = plans
        .into_iter()
        .map(|plan| cluster.prober(plan))
        .collect::<Result<_>>()?;
    for client in &clients {
        ensure!(
            client.wait_for_calm(Duration::from_secs(2), Duration::from_secs(30)),
            "{what}: connections fail before anything is done: {:?}",
            client.so_far().reasons()
        );
    }
    let begin = now();
    let done = act();
    let mut seen = Seen {
        took: begin.elapsed(),
        ..Seen::default()
    };
    for client in clients {
        seen.add(&client.finish()?, begin);
    }
    tool::say(format_args!("{what}: {seen}"));
    done?;
    Ok(seen)
}

fn plans(service: Option<SocketAddr>) -> Vec<Plan> {
    let api = Plan::handshake(Cluster::endpoint(), Trust::Anybody);
    let all = [Some(api), service.map(Plan::connect)];
    let all = all.into_iter().flatten();
    all.map(|plan| plan.paced(PACE, PATIENCE)).collect()
}

/// Between two attempts of a client, in milliseconds.
pub(super) const PACE: u64 = 10;
/// So long one of them may take, in milliseconds: TCP sends a lost SYN again after a second, so whatever is lost is a failure,
/// and what is only slow, because several machines start and stop on the processors of one, is not.
pub(super) const PATIENCE: u64 = 900;

#[expect(clippy::disallowed_methods, reason = "measures a real change")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(failed: usize, last: u64, reasons: &str) -> Seen {
        Seen {
            attempts: 100,
            failed,
            last_failure: Duration::from_millis(last),
            longest: Duration::from_millis(7),
            took: Duration::from_secs(2),
            reasons: reasons.to_owned(),
        }
    }

    #[test]
    fn two_changes_are_as_bad_as_both_and_as_late_as_the_later() {
        let both = seen(0, 0, "").and(&seen(2, 30, "2 x refused"));
        assert_eq!(both.took, Duration::from_secs(4));
        assert_eq!((both.attempts, both.failed), (200, 2));
        assert_eq!(both.last_failure, Duration::from_millis(30));
        assert_eq!(both.reasons, "2 x refused");
        let three = both.and(&seen(1, 20, "1 x timeout"));
        assert_eq!(three.last_failure, Duration::from_millis(30));
        assert_eq!(three.reasons, "2 x refused, 1 x timeout");
        let error = three.nothing_failed("a change").expect_err("three failed");
        assert!(error.to_string().starts_with("a change: 3 connections"));
        seen(0, 0, "").nothing_failed("a change").expect("none");
    }

    #[test]
    fn there_is_a_client_of_the_service_where_there_is_one() {
        assert_eq!(plans(None).len(), 1);
        let plans = plans(Some(SocketAddr::from(([10, 10, 0, 201], 80))));
        assert_eq!(plans.len(), 2);
        for plan in plans {
            assert_eq!(plan.every, Duration::from_millis(PACE));
            assert_eq!(plan.patience, Duration::from_millis(PATIENCE));
        }
    }
}
