//! A pool of addresses. `AddressPool` (`bundledlb.io`), MetalLB's `IPAddressPool` and anything to come become one
//! [`Pool`] before a decision is taken.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    num::NonZeroU32,
};

use crate::core::{
    labels::{Labels, Selector},
    range::{self, AddressRange},
    service::ServiceKey,
};

/// The API a pool comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PoolApi {
    /// `AddressPool` of `bundledlb.io`.
    Bundled,
    /// `IPAddressPool` of `metallb.io`.
    MetalLb,
}

/// Name of a pool; the APIs have separate names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId {
    /// The object's name.
    pub name: String,
    /// The API it comes from.
    pub api: PoolApi,
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.api {
            PoolApi::Bundled => f.write_str(&self.name),
            PoolApi::MetalLb => write!(f, "{} (metallb.io)", self.name),
        }
    }
}

/// Which Services a pool serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Namespaces by name.
    pub namespaces: BTreeSet<String>,
    /// Namespaces by label; one that matches suffices.
    pub namespace_selectors: Vec<Selector>,
    /// Services by label; one that matches suffices.
    pub service_selectors: Vec<Selector>,
}

impl Scope {
    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.namespaces.is_empty()
            && self.namespace_selectors.is_empty()
            && self.service_selectors.is_empty()
    }

    /// Whether a Service with `labels` in `namespace` (which has `namespace_labels`) is served.
    ///
    /// A namespace selector that matches no namespace serves nobody: it is no absent selector.
    pub fn admits(&self, namespace: &str, namespace_labels: &Labels, labels: &Labels) -> bool {
        let any_namespace = self.namespaces.is_empty() && self.namespace_selectors.is_empty();
        let in_namespace = any_namespace
            || self.namespaces.contains(namespace)
            || self
                .namespace_selectors
                .iter()
                .any(|selector| selector.matches(namespace_labels));
        let any_service = self.service_selectors.is_empty();
        in_namespace
            && (any_service
                || self
                    .service_selectors
                    .iter()
                    .any(|selector| selector.matches(labels)))
    }
}

/// A pool of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Who it is.
    pub id: PoolId,
    /// Creation time in seconds since 1970: of two pools with one address the older has it.
    pub created: i64,
    /// Labels, for the pool selectors of advertisements.
    pub labels: Labels,
    /// Its addresses.
    pub ranges: Vec<AddressRange>,
    /// Addresses inside `ranges` that are never given.
    pub excluded: Vec<AddressRange>,
    /// Addresses kept for one Service each, whether it exists or not.
    pub reservations: BTreeMap<IpAddr, ServiceKey>,
    /// Leaves out IPv4 addresses that end in .0 or .255.
    pub avoid_buggy: bool,
    /// Gives an address only to a Service that names the pool or the address.
    pub manual_assign: bool,
    /// Gives nothing any more; what is given stays.
    pub disabled: bool,
    /// Lower comes first; none comes last.
    pub priority: Option<NonZeroU32>,
    /// Which Services it serves.
    pub scope: Scope,
}

impl Pool {
    /// A pool without addresses, open to all.
    pub fn empty(id: PoolId) -> Self {
        Self {
            id,
            created: 0,
            labels: Labels::new(),
            ranges: Vec::new(),
            excluded: Vec::new(),
            reservations: BTreeMap::new(),
            avoid_buggy: false,
            manual_assign: false,
            disabled: false,
            priority: None,
            scope: Scope::default(),
        }
    }

    /// Order in which pools are tried: priority, then pools made for somebody before those for all, then name.
    pub fn rank(&self) -> (u32, bool, &PoolId) {
        let priority = self.priority.map_or(u32::MAX, NonZeroU32::get);
        let for_all = self.priority.is_none() && self.scope.is_everything();
        (priority, for_all, &self.id)
    }

    /// Whether the pool would give `bits` of `family` at all.
    pub const fn may_give(&self, family: super::family::Family, bits: u128) -> bool {
        !(self.avoid_buggy && range::is_buggy(family, bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(key: &str, value: &str) -> Labels {
        Labels::from([(key.to_owned(), value.to_owned())])
    }

    fn selector(key: &str, value: &str) -> Selector {
        Selector::new(&labels(key, value), []).unwrap()
    }

    #[test]
    fn namespaces_are_a_union_and_service_labels_narrow_it() {
        let scope = Scope {
            namespaces: BTreeSet::from(["web".to_owned()]),
            namespace_selectors: vec![selector("team", "red")],
            service_selectors: vec![selector("tier", "front")],
        };
        let front = labels("tier", "front");
        assert!(scope.admits("web", &Labels::new(), &front));
        assert!(scope.admits("any", &labels("team", "red"), &front));
        assert!(!scope.admits("any", &labels("team", "blue"), &front));
        assert!(!scope.admits("web", &Labels::new(), &Labels::new()));
    }

    #[test]
    fn a_namespace_selector_without_a_match_is_not_an_open_door() {
        let scope = Scope {
            namespace_selectors: vec![selector("team", "red")],
            ..Scope::default()
        };
        assert!(!scope.admits("any", &Labels::new(), &Labels::new()));
    }
}
