//! The names of the checks, in the order in which they are shown.

use serde::{Serialize, Serializer};

/// One thing that is checked of a running cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// The API answers through the virtual IP.
    Api,
    /// One router has the virtual IP.
    VipOwner,
    /// The machine can be looked at.
    Ssh,
    /// Its node is Ready.
    Ready,
    /// Its router has the virtual IP, or could take it.
    Router,
    /// Its router hears who has the virtual IP.
    Adverts,
    /// Its proxy sees every API server.
    Proxy,
    /// A controller gives addresses.
    Controller,
    /// Its speaker serves.
    Speaker,
    /// Its speaker hears the others, and they hear it.
    Heartbeats,
    /// Every Service has an address that is announced and can be reached.
    Services,
    /// Pools are in force and have addresses left.
    Pools,
    /// No other program serves the same Services.
    OtherBalancer,
    /// Every node has the same versions.
    Versions,
    /// Certificates can be read and are valid for a while.
    Certificates,
    /// All clocks agree.
    Clock,
    /// Who is out of service is so by the file.
    Maintenance,
    /// The cluster is as its file says.
    Drift,
}

impl Check {
    /// Every check, in order.
    pub const ALL: &'static [Self] = &[
        Self::Api,
        Self::VipOwner,
        Self::Ssh,
        Self::Ready,
        Self::Router,
        Self::Adverts,
        Self::Proxy,
        Self::Controller,
        Self::Speaker,
        Self::Heartbeats,
        Self::Services,
        Self::Pools,
        Self::OtherBalancer,
        Self::Versions,
        Self::Certificates,
        Self::Clock,
        Self::Maintenance,
        Self::Drift,
    ];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::VipOwner => "vip-owner",
            Self::Ssh => "ssh",
            Self::Ready => "ready",
            Self::Router => "router",
            Self::Adverts => "adverts",
            Self::Proxy => "proxy",
            Self::Controller => "controller",
            Self::Speaker => "speaker",
            Self::Heartbeats => "heartbeats",
            Self::Services => "services",
            Self::Pools => "pools",
            Self::OtherBalancer => "other-load-balancer",
            Self::Versions => "versions",
            Self::Certificates => "certificates",
            Self::Clock => "clock",
            Self::Maintenance => "maintenance",
            Self::Drift => "drift",
        }
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_listed_once_and_is_in_the_manual() {
        let manual = include_str!("../../../../docs/operations.md");
        assert!(Check::ALL.is_sorted());
        for check in Check::ALL {
            let name = check.name();
            assert_eq!(
                Check::ALL.iter().filter(|one| one.name() == name).count(),
                1
            );
            assert!(
                manual.contains(&format!("| `{name}` |")),
                "{name} is not in docs/operations.md"
            );
        }
    }
}
