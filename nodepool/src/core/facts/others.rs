//! Load balancers of others on a machine: what they are, and what they keep.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// A program of somebody else that keeps virtual addresses or balances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherBalancer {
    /// Which program.
    pub program: OtherProgram,
    /// How it runs.
    pub runs: RunsAs,
    /// Virtual addresses that it keeps; none: it keeps none, or its settings could not be read.
    pub addresses: BTreeSet<IpAddr>,
    /// ID of its virtual router.
    pub virtual_router_id: Option<u8>,
    /// It answers for Services as well.
    pub services: bool,
}

/// Programs that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OtherProgram {
    /// keepalived.
    Keepalived,
    /// kube-vip.
    KubeVip,
    /// HAProxy.
    Haproxy,
}

/// How a program runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunsAs {
    /// A unit of systemd.
    Unit(String),
    /// A static pod, by the name of its manifest.
    Pod(String),
}

/// Port of an API server, and the address that it keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiServer {
    /// Its port.
    pub port: u16,
    /// Absent: it listens on every address.
    pub address: Option<IpAddr>,
}

impl OtherProgram {
    /// Name of its file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keepalived => "keepalived",
            Self::KubeVip => "kube-vip",
            Self::Haproxy => "haproxy",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Keepalived, Self::KubeVip, Self::Haproxy];
        all.into_iter().find(|program| program.name() == name)
    }

    /// It keeps virtual addresses; else it serves what others keep.
    pub const fn keeps_addresses(self) -> bool {
        matches!(self, Self::Keepalived | Self::KubeVip)
    }
}

impl OtherBalancer {
    /// Reads `PROGRAM unit|pod NAME ADDRESSES ID [services]`; `-` stands for nothing.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_whitespace();
        let program = OtherProgram::from_name(words.next()?)?;
        let (how, name) = (words.next()?, words.next()?.to_owned());
        let runs = match how {
            "unit" => RunsAs::Unit(name),
            "pod" => RunsAs::Pod(name),
            _ => return None,
        };
        let addresses = words.next()?.split(',');
        Some(Self {
            program,
            runs,
            addresses: addresses.filter_map(|word| word.parse().ok()).collect(),
            virtual_router_id: words.next()?.parse().ok(),
            services: words.next() == Some("services"),
        })
    }
}

impl fmt::Display for OtherBalancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.program.name();
        match &self.runs {
            RunsAs::Unit(unit) => write!(f, "{name} (unit {unit})"),
            RunsAs::Pod(file) => write!(f, "{name} (static pod {file})"),
        }
    }
}

impl ApiServer {
    /// Reads `PORT ADDRESS`; the address may be missing or stand for all.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_whitespace();
        let port = words.next()?.parse().ok()?;
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        Some(Self {
            port,
            address: address.filter(|address| !address.is_unspecified()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Facts;
    use super::*;

    #[test]
    fn others_are_told_with_what_they_keep() {
        let report = "other=keepalived unit keepalived 10.10.0.100,10.10.0.200 51\n\
            other=haproxy pod haproxy.yaml - -\nother=kube-vip pod kube-vip.yaml 10.10.0.100 - services\n\
            api_server=6443 \napi_name=10.10.0.100\napi_name=kubernetes\nend=1\n";
        let facts = Facts::parse(report).expect("complete");
        let words: Vec<String> = facts.others.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "keepalived (unit keepalived)",
                "haproxy (static pod haproxy.yaml)",
                "kube-vip (static pod kube-vip.yaml)"
            ]
        );
        assert_eq!(facts.others[0].virtual_router_id, Some(51));
        assert_eq!(facts.others[0].addresses.len(), 2);
        assert!(facts.others[1].addresses.is_empty() && !facts.others[1].services);
        assert!(facts.others[2].services && facts.others[2].program.keeps_addresses());
        let server = facts.api_server.expect("an API server");
        assert_eq!((server.port, server.address), (6443, None));
        assert!(facts.api_names.contains("kubernetes") && facts.api_names.len() == 2);
        for bad in [
            "other=nginx unit nginx - -",
            "other=haproxy",
            "api_server=x",
        ] {
            Facts::parse(&format!("{bad}\nend=1\n")).expect_err(bad);
        }
    }

    #[test]
    fn an_api_server_keeps_to_an_address_that_is_one() {
        let address = |text| ApiServer::parse(text).expect("a port").address;
        assert_eq!(address("6443 10.10.0.11"), Some([10, 10, 0, 11].into()));
        assert_eq!(address("6443 0.0.0.0"), None);
        assert_eq!(address("6443 ::"), None);
    }
}
