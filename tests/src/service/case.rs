//! The cases of `cargo xtask bench service` on a cluster.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, anyhow};

use super::Fault;

/// What is measured, by its published name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// A fault with the settings that the cluster has.
    Fault(Fault),
    /// A power cut with settings that notice it as soon as they can.
    PowerCutTuned,
    /// A second cut, 20 s after the cable of the first was put back.
    SecondCableCut,
    /// A Service is created and its address is in its status.
    CreateToStatus,
    /// A Service is created and a client gets through.
    CreateToConnect,
    /// Three hundred Services are created at once: each one's address is in its status.
    CrowdToStatus,
    /// … and a client gets through to each.
    CrowdToConnect,
    /// A Service is deleted and nobody gets through any more.
    DeleteToSilent,
    /// A pool grows and a Service that waited for it has its address.
    PoolEdit,
    /// What the programs take when there are twenty Services and nothing happens.
    Idle,
}

impl Case {
    /// All of them, in the order in which they are measured: last what needs other settings.
    pub fn all() -> Vec<Self> {
        let faults = Fault::ALL.into_iter().map(Self::Fault);
        faults
            .chain([
                Self::SecondCableCut,
                Self::CreateToStatus,
                Self::CreateToConnect,
                Self::DeleteToSilent,
                Self::PoolEdit,
                Self::Idle,
                Self::CrowdToStatus,
                Self::CrowdToConnect,
                Self::PowerCutTuned,
            ])
            .collect()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(Fault::PowerCut) => f.write_str("power_cut/default"),
            Self::Fault(fault) => fault.fmt(f),
            Self::PowerCutTuned => f.write_str("power_cut/tuned"),
            Self::SecondCableCut => f.write_str("second_cable_cut"),
            Self::CreateToStatus => f.write_str("create_to_status"),
            Self::CreateToConnect => f.write_str("create_to_connect"),
            Self::CrowdToStatus => f.write_str("create_300_to_status"),
            Self::CrowdToConnect => f.write_str("create_300_to_connect"),
            Self::DeleteToSilent => f.write_str("delete_to_silent"),
            Self::PoolEdit => f.write_str("pool_edit"),
            Self::Idle => f.write_str("idle"),
        }
    }
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = Self::all();
        let known = || all.iter().map(Self::to_string).collect::<Vec<_>>();
        all.iter()
            .find(|case| case.to_string() == text)
            .copied()
            .ok_or_else(|| {
                anyhow!(
                    "there is no case `{text}`; there are {}",
                    known().join(", ")
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_found_by_their_published_names() {
        for case in Case::all() {
            assert_eq!(case.to_string().parse::<Case>().expect("a case"), case);
        }
        let names = Case::all().iter().map(Case::to_string).collect::<Vec<_>>();
        for name in [
            "power_cut/default",
            "power_cut/tuned",
            "cable_cut",
            "second_cable_cut",
            "speaker_sigkill",
            "speaker_sigstop",
            "sigterm",
            "drain",
            "create_to_connect",
            "create_to_status",
            "create_300_to_connect",
            "create_300_to_status",
            "delete_to_silent",
            "pool_edit",
            "idle",
        ] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
        let error = "power_cut"
            .parse::<Case>()
            .expect_err("no case")
            .to_string();
        assert!(error.contains("power_cut/tuned"), "{error}");
    }
}
