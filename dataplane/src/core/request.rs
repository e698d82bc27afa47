//! What a Service asks for: annotations of ours, MetalLB's and Cilium's, and `spec.loadBalancerIP`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::IpAddr,
};

use crate::core::family::Family;

/// Addresses, comma-separated, at most one of each family.
pub const ADDRESSES: &str = "bundledlb.io/addresses";
/// Name of the pool to allocate from.
pub const POOL: &str = "bundledlb.io/pool";
/// Services with one key may share an address.
pub const SHARING_KEY: &str = "bundledlb.io/sharing-key";
/// Namespaces whose Services may share with this one; comma-separated, or `*`.
pub const SHARING_NAMESPACES: &str = "bundledlb.io/sharing-cross-namespace";

/// Other products' names for the same, each after the one that outranks it within that product.
const ADDRESSES_NAMES: [&[&str]; 3] = [
    &[ADDRESSES],
    &[
        "metallb.io/loadBalancerIPs",
        "metallb.universe.tf/loadBalancerIPs",
    ],
    &["lbipam.cilium.io/ips", "io.cilium/lb-ipam-ips"],
];
const POOL_NAMES: [&[&str]; 2] = [
    &[POOL],
    &[
        "metallb.io/address-pool",
        "metallb.universe.tf/address-pool",
    ],
];
const SHARING_KEY_NAMES: [&[&str]; 3] = [
    &[SHARING_KEY],
    &[
        "metallb.io/allow-shared-ip",
        "metallb.universe.tf/allow-shared-ip",
    ],
    &[
        "lbipam.cilium.io/sharing-key",
        "io.cilium/lb-ipam-sharing-key",
    ],
];
const SHARING_NAMESPACES_NAMES: [&[&str]; 2] = [
    &[SHARING_NAMESPACES],
    &[
        "lbipam.cilium.io/sharing-cross-namespace",
        "io.cilium/lb-ipam-sharing-cross-namespace",
    ],
];

/// Which other namespaces may share an address with a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharingScope {
    /// Its own and these.
    Namespaces(BTreeSet<String>),
    /// All.
    Everywhere,
}

impl Default for SharingScope {
    fn default() -> Self {
        Self::Namespaces(BTreeSet::new())
    }
}

impl SharingScope {
    /// Whether Services of `namespace` are welcome.
    pub fn admits(&self, namespace: &str) -> bool {
        match self {
            Self::Namespaces(names) => names.contains(namespace),
            Self::Everywhere => true,
        }
    }
}

/// What a Service asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Explicit addresses, at most one of each family.
    pub addresses: Vec<IpAddr>,
    /// Only from the pool of this name.
    pub pool: Option<String>,
    /// Services with one key may share an address.
    pub sharing_key: Option<String>,
    /// Who else may share.
    pub sharing_scope: SharingScope,
    /// The request makes no sense, in words; nothing else of it counts then.
    pub fault: Option<String>,
}

impl Request {
    /// Reads the request of a Service that can be reached on `families`.
    pub fn read(
        annotations: &BTreeMap<String, String>,
        load_balancer_ip: Option<&str>,
        families: &[Family],
    ) -> Self {
        Self::try_read(annotations, load_balancer_ip, families).unwrap_or_else(|fault| Self {
            fault: Some(fault),
            ..Self::default()
        })
    }

    fn try_read(
        annotations: &BTreeMap<String, String>,
        load_balancer_ip: Option<&str>,
        families: &[Family],
    ) -> Result<Self, String> {
        let mut asked: Vec<(&str, Vec<IpAddr>)> = Vec::new();
        for (name, value) in sources(annotations, &ADDRESSES_NAMES) {
            asked.push((name, parse_addresses(name, value)?));
        }
        if let Some(value) = load_balancer_ip
            .map(str::trim)
            .filter(|value| !value.is_empty())
        {
            asked.push((
                "spec.loadBalancerIP",
                parse_addresses("spec.loadBalancerIP", value)?,
            ));
        }
        let addresses = agree(asked)?.unwrap_or_default();
        for address in &addresses {
            if !families.contains(&Family::of(*address)) {
                return Err(format!(
                    "address {address} is {}, but the Service has only {} (spec.ipFamilies)",
                    Family::of(*address),
                    families
                        .iter()
                        .map(|family| family.as_str())
                        .collect::<Vec<_>>()
                        .join(", "),
                ));
            }
        }
        let one = |names: &[&[&'static str]]| {
            agree(
                sources(annotations, names)
                    .map(|(name, value)| (name, value.to_owned()))
                    .collect(),
            )
        };
        let pool = one(&POOL_NAMES)?.filter(|name| !name.is_empty());
        let sharing_key = one(&SHARING_KEY_NAMES)?.filter(|key| !key.is_empty());
        let sharing_scope = match one(&SHARING_NAMESPACES_NAMES)? {
            Some(text) if text.trim() == "*" => SharingScope::Everywhere,
            Some(text) => SharingScope::Namespaces(
                text.split(',')
                    .map(|name| name.trim().to_owned())
                    .filter(|name| !name.is_empty())
                    .collect(),
            ),
            None => SharingScope::default(),
        };
        Ok(Self {
            addresses,
            pool,
            sharing_key,
            sharing_scope,
            fault: None,
        })
    }

    /// The explicit address of `family`.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses
            .iter()
            .copied()
            .find(|address| Family::of(*address) == family)
    }
}

/// The annotations that are set, one per product: the first name of each.
fn sources<'a>(
    annotations: &'a BTreeMap<String, String>,
    names: &'a [&'a [&'static str]],
) -> impl Iterator<Item = (&'static str, &'a str)> {
    names.iter().filter_map(|product| {
        product
            .iter()
            .find_map(|name| annotations.get(*name).map(|value| (*name, value.as_str())))
    })
}

/// The value all sources agree on.
fn agree<T: PartialEq>(sources: Vec<(&str, T)>) -> Result<Option<T>, String> {
    let mut sources = sources.into_iter();
    let Some((name, value)) = sources.next() else {
        return Ok(None);
    };
    for (other, differing) in sources {
        if differing != value {
            return Err(format!(
                "{name} and {other} ask for different things; remove one of the two"
            ));
        }
    }
    Ok(Some(value))
}

fn parse_addresses(source: &str, text: &str) -> Result<Vec<IpAddr>, String> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let Ok(address) = part.parse::<IpAddr>().map(|address| address.to_canonical()) else {
            let mut message = format!("{source}: `{}` is no IP address", shorten(part));
            if part.is_empty() {
                let _ = write!(message, " (text: `{}`)", shorten(text));
            }
            return Err(message);
        };
        if let Some(twin) = addresses
            .iter()
            .find(|twin| Family::of(**twin) == Family::of(address))
        {
            return Err(format!(
                "{source}: {twin} and {address} are both {}; a Service has one address of each family",
                Family::of(address),
            ));
        }
        addresses.push(address);
    }
    addresses.sort_unstable();
    Ok(addresses)
}

/// Messages end up in conditions: a user's text in them is kept short.
fn shorten(text: &str) -> &str {
    match text.char_indices().nth(60) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(annotations: &[(&str, &str)], load_balancer_ip: Option<&str>) -> Request {
        let annotations = annotations
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect();
        Request::read(&annotations, load_balancer_ip, &Family::ALL)
    }

    #[test]
    fn every_products_name_is_understood() {
        for name in [
            ADDRESSES,
            "metallb.io/loadBalancerIPs",
            "metallb.universe.tf/loadBalancerIPs",
            "lbipam.cilium.io/ips",
            "io.cilium/lb-ipam-ips",
        ] {
            let request = read(&[(name, " fd00::1 , 10.0.0.1")], None);
            assert_eq!(
                request.address(Family::V4),
                Some("10.0.0.1".parse().unwrap()),
                "{name}"
            );
            assert_eq!(
                request.address(Family::V6),
                Some("fd00::1".parse().unwrap()),
                "{name}"
            );
        }
        for name in [
            POOL,
            "metallb.io/address-pool",
            "metallb.universe.tf/address-pool",
        ] {
            assert_eq!(
                read(&[(name, "gold")], None).pool.as_deref(),
                Some("gold"),
                "{name}"
            );
        }
        for name in [
            SHARING_KEY,
            "metallb.io/allow-shared-ip",
            "lbipam.cilium.io/sharing-key",
        ] {
            assert_eq!(
                read(&[(name, "k")], None).sharing_key.as_deref(),
                Some("k"),
                "{name}"
            );
        }
    }

    #[test]
    fn sources_that_agree_are_fine_and_others_are_a_fault() {
        let twice = [
            (ADDRESSES, "10.0.0.1,fd00::1"),
            ("lbipam.cilium.io/ips", "fd00::1,10.0.0.1"),
        ];
        assert_eq!(read(&twice, None).fault, None);
        assert_eq!(
            read(&[(ADDRESSES, "10.0.0.1")], Some("10.0.0.1")).fault,
            None
        );
        let fault = read(&[(ADDRESSES, "10.0.0.1")], Some("10.0.0.2"))
            .fault
            .unwrap();
        assert!(
            fault.contains(ADDRESSES) && fault.contains("spec.loadBalancerIP"),
            "{fault}"
        );
    }

    #[test]
    fn metallbs_newer_prefix_outranks_the_older() {
        let request = read(
            &[
                ("metallb.io/address-pool", "new"),
                ("metallb.universe.tf/address-pool", "old"),
            ],
            None,
        );
        assert_eq!(request.pool.as_deref(), Some("new"));
    }

    #[test]
    fn faults_are_in_words() {
        for (text, part) in [
            ("10.0.0.1,10.0.0.2", "both IPv4"),
            ("10.0.0.1,", "no IP address"),
            ("10.0.0.0/24", "`10.0.0.0/24` is no IP address"),
            ("", "no IP address"),
        ] {
            let fault = read(&[(ADDRESSES, text)], None).fault.unwrap();
            assert!(fault.contains(part), "{text}: {fault}");
        }
        let annotations = BTreeMap::from([(ADDRESSES.to_owned(), "fd00::1".to_owned())]);
        let fault = Request::read(&annotations, None, &[Family::V4])
            .fault
            .unwrap();
        assert!(
            fault.contains("IPv6") && fault.contains("spec.ipFamilies"),
            "{fault}"
        );
    }

    #[test]
    fn empty_keys_share_nothing_and_a_star_shares_with_all() {
        assert_eq!(read(&[(SHARING_KEY, "")], None).sharing_key, None);
        assert!(
            read(&[(SHARING_NAMESPACES, "*")], None)
                .sharing_scope
                .admits("any")
        );
        let some = read(&[(SHARING_NAMESPACES, "a, b")], None).sharing_scope;
        assert!(some.admits("b") && !some.admits("c"));
        assert!(!SharingScope::default().admits("a"));
    }
}
