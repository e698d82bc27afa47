//! Interfaces of a node, and which of them an address belongs to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regex_lite::Regex;

use crate::core::{
    family::{Family, number},
    range::AddressRange,
};

/// An interface as far as serving addresses is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's index; 0 on other nodes.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Switched on, with a carrier.
    pub up: bool,
    /// Networks on the link: an address in it and its prefix length.
    pub networks: Vec<(IpAddr, u8)>,
}

impl Interface {
    /// Whether `address` lies in a network of this link. A network of one address has no neighbours.
    pub fn is_on_link(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|(network, prefix)| {
            *prefix < Family::of(*network).bits()
                && AddressRange::network(*network, *prefix)
                    .is_ok_and(|range| range.contains(address))
        })
    }

    /// Where everybody on the link listens: the broadcast address of an IPv4 network of it, or else all nodes of
    /// IPv6 (RFC 4291 §2.7.1).
    pub fn everybody(&self) -> Option<IpAddr> {
        let broadcast = |(network, prefix): &(IpAddr, u8)| match network {
            IpAddr::V4(v4) if *prefix < 31 => {
                let host = u32::MAX.checked_shr((*prefix).into())?;
                Some(Ipv4Addr::from_bits(v4.to_bits() | host).into())
            }
            _ => None,
        };
        let has_neighbours_v6 = || {
            let mut networks = self.networks.iter();
            networks.any(|(network, prefix)| network.is_ipv6() && *prefix < 128)
        };
        self.networks
            .iter()
            .find_map(broadcast)
            .or_else(|| has_neighbours_v6().then_some(ALL_NODES.into()))
    }
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Interfaces that nobody means when they name none: those of containers, tunnels and the like.
const FOREIGN: [&str; 16] = [
    "docker",
    "cbr",
    "cni",
    "cali",
    "tunl",
    "flannel",
    "veth",
    "lxc",
    "virbr",
    "lxcbr",
    "kube-",
    "nodelocaldns",
    "dummy",
    "cilium",
    "vxlan",
    "podman",
];

/// Which interfaces an advertisement means.
#[derive(Debug, Clone, Default)]
pub struct InterfaceFilter {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
enum Pattern {
    Name(String),
    Regex(Regex),
}

impl PartialEq for InterfaceFilter {
    fn eq(&self, other: &Self) -> bool {
        self.texts().eq(other.texts())
    }
}

/// A pattern that is neither a name nor a regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("interface pattern `{pattern}`: {why}")]
pub struct PatternError {
    pattern: String,
    why: String,
}

impl InterfaceFilter {
    /// A filter of names, and of regular expressions between slashes; none means any interface the address is
    /// on-link at.
    ///
    /// # Errors
    /// An empty name, or an expression that does not compile.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, PatternError> {
        let parse = |text: &'a str| {
            let refuse = |why: &str| PatternError {
                pattern: text.to_owned(),
                why: why.to_owned(),
            };
            let inner = text
                .strip_prefix('/')
                .and_then(|rest| rest.strip_suffix('/'));
            match inner {
                Some(expression) => match Regex::new(expression) {
                    Ok(regex) => Ok(Pattern::Regex(regex)),
                    Err(error) => Err(refuse(&error.to_string())),
                },
                None if text.is_empty() => Err(refuse("write a name, or an expression as /…/")),
                None => Ok(Pattern::Name(text.to_owned())),
            }
        };
        Ok(Self {
            patterns: patterns.into_iter().map(parse).collect::<Result<_, _>>()?,
        })
    }

    /// Whether the link state aside `address` may be served on `interface`. A named interface is taken at
    /// its word; without names the address must be on-link and the interface the node's own.
    pub fn admits(&self, interface: &Interface, address: IpAddr) -> bool {
        if self.patterns.is_empty() {
            let foreign = FOREIGN
                .iter()
                .any(|prefix| interface.name.starts_with(prefix));
            return !foreign && interface.is_on_link(address);
        }
        self.patterns.iter().any(|pattern| match pattern {
            Pattern::Name(name) => *name == interface.name,
            Pattern::Regex(regex) => regex.is_match(&interface.name),
        })
    }

    fn texts(&self) -> impl Iterator<Item = (bool, &str)> {
        self.patterns.iter().map(|pattern| match pattern {
            Pattern::Name(name) => (false, name.as_str()),
            Pattern::Regex(regex) => (true, regex.as_str()),
        })
    }
}

/// The network that `address/prefix` lies in, as it is told to others.
pub fn network_of(address: IpAddr, prefix: u8) -> Option<(IpAddr, u8)> {
    let range = AddressRange::network(address, prefix).ok()?;
    // Link-local networks are on every link and tell nothing.
    let bits = number(range.first());
    let link_local = match range.family() {
        Family::V4 => bits >> 16 == 0xa9fe,
        Family::V6 => bits >> 118 == 0xfe80 >> 6,
    };
    (!link_local && !range.first().is_loopback()).then_some((range.first(), prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, networks: &[(&str, u8)]) -> Interface {
        let networks = networks
            .iter()
            .map(|(text, prefix)| (text.parse().unwrap(), *prefix));
        Interface {
            index: 1,
            name: name.to_owned(),
            mac: [0; 6],
            up: true,
            networks: networks.collect(),
        }
    }

    #[test]
    fn without_patterns_the_subnet_decides() {
        let (filter, address) = (InterfaceFilter::default(), "10.0.0.9".parse().unwrap());
        for (interface, admitted) in [
            (interface("eth0", &[("10.0.0.1", 24)]), true),
            (
                interface("eth1.100", &[("10.0.1.1", 24), ("10.0.0.1", 24)]),
                true,
            ),
            (interface("eth1", &[("10.0.1.1", 24)]), false),
            (interface("lo", &[("10.0.0.9", 32)]), false),
            (interface("docker0", &[("10.0.0.1", 24)]), false),
            (interface("eth2", &[]), false),
        ] {
            assert_eq!(
                filter.admits(&interface, address),
                admitted,
                "{}",
                interface.name
            );
        }
    }

    #[test]
    fn names_and_expressions_overrule_the_subnet() {
        let filter = InterfaceFilter::new(["bond0.100", "/^eth[1-9]+$/"]).unwrap();
        let address = "10.0.0.9".parse().unwrap();
        for (name, admitted) in [
            ("eth1", true),
            ("eth0", false),
            ("bond0.100", true),
            ("bond0x100", false),
        ] {
            assert_eq!(
                filter.admits(&interface(name, &[]), address),
                admitted,
                "{name}"
            );
        }
    }

    #[test]
    fn wrong_patterns_are_refused() {
        for pattern in ["", "/(/"] {
            assert!(InterfaceFilter::new([pattern]).is_err(), "{pattern}");
        }
    }

    #[test]
    fn link_local_and_loopback_networks_tell_nothing() {
        let network = |text: &str, prefix| network_of(text.parse().unwrap(), prefix);
        assert_eq!(network("fe80::1", 64), None);
        assert_eq!(network("169.254.1.1", 16), None);
        assert_eq!(network("127.0.0.1", 8), None);
        assert_eq!(
            network("10.0.0.7", 24),
            Some(("10.0.0.0".parse().unwrap(), 24))
        );
    }
}
