//! The map of what should be announced: Services, pools, advertisements, nodes and endpoints become a [`Directory`].
//!
//! The speakers and the controller build it with this one type, so that what the controller says about an address
//! is what the speakers do.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use crate::core::{
    labels::{Labels, Selector},
    ownership::{Directory, LocalEndpoints, NodeSet, Reach, Wanted},
    pool::{Pool, PoolApi},
    pool_set::PoolSet,
    range::AddressRange,
    segment::InterfaceFilter,
    service::{Port, ServiceKey, TrafficPolicy},
};

/// `L2Advertisement` of either API.
#[derive(Debug, Clone, PartialEq)]
pub struct Advertisement {
    /// The API it comes from: it speaks of pools of that API.
    pub api: PoolApi,
    /// The object's name.
    pub name: String,
    /// Pools by name; with no selectors either: all.
    pub pools: BTreeSet<String>,
    /// Pools by label.
    pub pool_selectors: Vec<Selector>,
    /// Services by label; empty: all.
    pub service_selectors: Vec<Selector>,
    /// Nodes by label; empty: all that may serve.
    pub node_selectors: Vec<Selector>,
    /// Interfaces.
    pub interfaces: InterfaceFilter,
}

impl Advertisement {
    fn selects(&self, pool: &Pool, labels: &Labels) -> bool {
        let all_pools = self.pools.is_empty() && self.pool_selectors.is_empty();
        let pool_selected = all_pools
            || self.pools.contains(&pool.id.name)
            || self
                .pool_selectors
                .iter()
                .any(|selector| selector.matches(&pool.labels));
        let services = &self.service_selectors;
        self.api == pool.id.api
            && pool_selected
            && (services.is_empty() || services.iter().any(|selector| selector.matches(labels)))
    }
}

/// A node as far as serving addresses is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its labels.
    pub labels: Labels,
    /// Where its speaker listens.
    pub address: Option<IpAddr>,
    /// It carries the label of load-balancer nodes and nothing forbids it to serve.
    pub may_serve: bool,
    /// It is cordoned: it hands over what it has.
    pub cordoned: bool,
}

/// Where a Service's address should be announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// Labels, for the selectors of advertisements.
    pub labels: Labels,
    /// Whether a node forwards to its own endpoints only.
    pub traffic_policy: TrafficPolicy,
    /// Ports at its addresses.
    pub ports: BTreeSet<Port>,
    /// Who may connect; `None`: everyone.
    pub source_ranges: Option<Vec<AddressRange>>,
    /// Addresses in its status.
    pub addresses: Vec<IpAddr>,
}

/// Who may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Some Service has no list.
    Everyone,
    /// Who is in one of these.
    From(Vec<AddressRange>),
}

impl Access {
    /// Whether `source` may.
    pub fn admits(&self, source: IpAddr) -> bool {
        match self {
            Self::Everyone => true,
            Self::From(ranges) => ranges.iter().any(|range| range.contains(source)),
        }
    }
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it runs.
    pub node: Option<String>,
    /// It takes new connections.
    pub ready: bool,
    /// It still serves, ready or about to end.
    pub serving: bool,
}

/// The map.
#[derive(Debug, Clone, Default)]
pub struct Atlas {
    services: BTreeMap<ServiceKey, Exposed>,
    by_address: BTreeMap<IpAddr, BTreeSet<ServiceKey>>,
    pools: PoolSet,
    advertisements: Vec<(Advertisement, Arc<Reach>)>,
    nodes: BTreeMap<String, Node>,
    /// By Service, then by the name of the slice.
    endpoints: BTreeMap<ServiceKey, BTreeMap<String, Vec<Endpoint>>>,
    /// The Service of each slice (by namespace and name).
    slices: BTreeMap<ServiceKey, ServiceKey>,
    directory: Arc<Directory>,
}

impl Atlas {
    /// The directory as it is.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory)
    }

    /// A Service with addresses; `None`: it has none any more, or nobody should announce them.
    pub fn set_service(&mut self, key: &ServiceKey, exposed: Option<Exposed>) {
        let before = match exposed {
            Some(exposed) => self.services.insert(key.clone(), exposed),
            None => self.services.remove(key),
        };
        let after = self.services.get(key);
        if before.as_ref() == after {
            return;
        }
        let old = before.map_or_else(Vec::new, |exposed| exposed.addresses);
        let new = after.map_or_else(Vec::new, |exposed| exposed.addresses.clone());
        for address in &old {
            if let Some(services) = self.by_address.get_mut(address) {
                services.remove(key);
                if services.is_empty() {
                    self.by_address.remove(address);
                }
            }
        }
        for address in &new {
            self.by_address
                .entry(*address)
                .or_default()
                .insert(key.clone());
        }
        for address in old.into_iter().chain(new) {
            self.refresh(address);
        }
    }

    /// Replaces all pools.
    pub fn set_pools(&mut self, pools: Vec<Pool>) {
        self.pools = PoolSet::new(pools);
        self.refresh_all();
    }

    /// Replaces all advertisements.
    pub fn set_advertisements(&mut self, advertisements: Vec<Advertisement>) {
        self.advertisements = advertisements
            .into_iter()
            .map(|one| {
                let reach = Arc::new(self.reach(&one));
                (one, reach)
            })
            .collect();
        self.refresh_all();
    }

    /// A node, new or changed; `None`: it is gone.
    pub fn set_node(&mut self, name: &str, node: Option<Node>) {
        let before = match node {
            Some(node) => self.nodes.insert(name.to_owned(), node),
            None => self.nodes.remove(name),
        };
        if before.as_ref() == self.nodes.get(name) {
            return;
        }
        let advertisements = std::mem::take(&mut self.advertisements);
        let nodes = self.nodes.iter().filter(|(_, node)| node.may_serve);
        let nodes = nodes.map(|(name, _)| name.clone()).collect();
        Arc::make_mut(&mut self.directory).nodes = nodes;
        self.set_advertisements(advertisements.into_iter().map(|(one, _)| one).collect());
    }

    /// A slice of endpoints, by its namespace and name: whose, and which; `None`: it is gone. Returns the
    /// Services it belongs and belonged to.
    pub fn set_slice(
        &mut self,
        slice: &ServiceKey,
        endpoints: Option<(ServiceKey, Vec<Endpoint>)>,
    ) -> BTreeSet<ServiceKey> {
        let mut touched = BTreeSet::new();
        let before = match &endpoints {
            Some((key, _)) => self.slices.insert(slice.clone(), key.clone()),
            None => self.slices.remove(slice),
        };
        if let Some(key) = before
            && let Some(slices) = self.endpoints.get_mut(&key)
        {
            slices.remove(&slice.name);
            if slices.is_empty() {
                self.endpoints.remove(&key);
            }
            touched.insert(key);
        }
        if let Some((key, endpoints)) = endpoints {
            self.endpoints
                .entry(key.clone())
                .or_default()
                .insert(slice.name.clone(), endpoints);
            touched.insert(key);
        }
        for key in &touched {
            for address in self
                .services
                .get(key)
                .map_or_else(Vec::new, |one| one.addresses.clone())
            {
                self.refresh(address);
            }
        }
        touched
    }

    /// A node.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// Where the speakers of all nodes that may serve listen.
    pub fn speakers(&self) -> BTreeMap<String, IpAddr> {
        let serving = self.nodes.iter().filter(|(_, node)| node.may_serve);
        serving
            .filter_map(|(name, node)| Some((name.clone(), node.address?)))
            .collect()
    }

    /// The Services that have `address`.
    pub fn services_at(&self, address: IpAddr) -> impl Iterator<Item = (&ServiceKey, &Exposed)> {
        let keys = self.by_address.get(&address).into_iter().flatten();
        keys.filter_map(|key| Some((key, self.services.get(key)?)))
    }

    /// All Services that have an address.
    pub fn services(&self) -> impl Iterator<Item = &Exposed> {
        self.services.values()
    }

    /// The pools' addresses that may be announced, as ranges: what packet filters let through.
    pub fn pool_ranges(&self) -> Vec<AddressRange> {
        self.pools
            .iter()
            .flat_map(|pool| pool.ranges.iter().copied())
            .collect()
    }

    /// Whether any endpoint of a Service at `address` is ready.
    pub fn is_healthy(&self, address: IpAddr) -> bool {
        let mut keys = self.by_address.get(&address).into_iter().flatten();
        keys.any(|key| self.has_ready_endpoint(key))
    }

    /// Whether any endpoint of a Service is ready.
    pub fn has_ready_endpoint(&self, key: &ServiceKey) -> bool {
        self.endpoints_of(key).any(|endpoint| endpoint.ready)
    }

    /// Who may connect to some Service at `address`.
    pub fn access(&self, address: IpAddr) -> Access {
        let mut ranges = Vec::new();
        for (_, exposed) in self.services_at(address) {
            match &exposed.source_ranges {
                None => return Access::Everyone,
                Some(some) => ranges.extend_from_slice(some),
            }
        }
        Access::From(ranges)
    }

    fn endpoints_of(&self, key: &ServiceKey) -> impl Iterator<Item = &Endpoint> {
        self.endpoints
            .get(key)
            .into_iter()
            .flat_map(BTreeMap::values)
            .flatten()
    }

    fn reach(&self, advertisement: &Advertisement) -> Reach {
        let selectors = &advertisement.node_selectors;
        let nodes = if selectors.is_empty() {
            NodeSet::All
        } else {
            let selected = self.nodes.iter().filter(|(_, node)| {
                selectors
                    .iter()
                    .any(|selector| selector.matches(&node.labels))
            });
            NodeSet::Only(selected.map(|(name, _)| name.clone()).collect())
        };
        Reach {
            nodes,
            interfaces: advertisement.interfaces.clone(),
        }
    }

    fn refresh_all(&mut self) {
        for address in self.by_address.keys().copied().collect::<Vec<_>>() {
            self.refresh(address);
        }
    }

    fn refresh(&mut self, address: IpAddr) {
        let wanted = self.wanted(address);
        if self.directory.addresses.get(&address) == wanted.as_ref() {
            return;
        }
        let addresses = &mut Arc::make_mut(&mut self.directory).addresses;
        match wanted {
            Some(wanted) => {
                addresses.insert(address, wanted);
            }
            None => {
                addresses.remove(&address);
            }
        }
    }

    fn wanted(&self, address: IpAddr) -> Option<Wanted> {
        let keys = self.by_address.get(&address)?;
        let pool = self.pools.pool_of(address);
        let exposed = || keys.iter().filter_map(|key| self.services.get(key));
        let selected = self.advertisements.iter().filter(|(advertisement, _)| {
            pool.is_some_and(|pool| exposed().any(|one| advertisement.selects(pool, &one.labels)))
        });
        let reaches = selected.map(|(_, reach)| Reach::clone(reach)).collect();
        let local = exposed().any(|one| one.traffic_policy == TrafficPolicy::Local);
        let endpoints = local.then(|| Arc::new(self.local_endpoints(keys)));
        Some(Wanted { reaches, endpoints })
    }

    /// Nodes with endpoints of every one of the Services that share an address; of any, if no node has all.
    fn local_endpoints(&self, keys: &BTreeSet<ServiceKey>) -> LocalEndpoints {
        let sets = |fits: fn(&Endpoint) -> bool| -> BTreeSet<String> {
            let sets = keys.iter().map(|key| -> BTreeSet<String> {
                let fitting = self.endpoints_of(key).filter(|endpoint| fits(endpoint));
                fitting
                    .filter_map(|endpoint| endpoint.node.clone())
                    .collect()
            });
            let sets: Vec<_> = sets.collect();
            let common = sets
                .iter()
                .skip(1)
                .fold(sets.first().cloned().unwrap_or_default(), |common, set| {
                    &common & set
                });
            if common.is_empty() {
                sets.into_iter().flatten().collect()
            } else {
                common
            }
        };
        let ready = sets(|endpoint| endpoint.ready);
        let mut ending = sets(|endpoint| endpoint.serving);
        ending.retain(|node| !ready.contains(node));
        LocalEndpoints { ready, ending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples::{self, advertisement};

    fn exposed(addresses: &[&str]) -> Exposed {
        Exposed {
            labels: Labels::new(),
            traffic_policy: TrafficPolicy::Cluster,
            ports: BTreeSet::new(),
            source_ranges: None,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    fn labels(key: &str, value: &str) -> Labels {
        Labels::from([(key.to_owned(), value.to_owned())])
    }

    fn atlas() -> Atlas {
        let mut atlas = Atlas::default();
        atlas.set_pools(vec![samples::pool("p", &["10.0.0.0/24"])]);
        atlas
    }

    fn reaches(atlas: &Atlas, address: &str) -> usize {
        let address = address.parse().unwrap();
        atlas
            .directory()
            .addresses
            .get(&address)
            .map_or(0, |wanted| wanted.reaches.len())
    }

    #[test]
    fn without_an_advertisement_nothing_is_announced() {
        let mut atlas = atlas();
        let key = ServiceKey::new("a", "s");
        atlas.set_service(&key, Some(exposed(&["10.0.0.1"])));
        assert_eq!(reaches(&atlas, "10.0.0.1"), 0);
        atlas.set_advertisements(vec![advertisement()]);
        assert_eq!(reaches(&atlas, "10.0.0.1"), 1);
        atlas.set_service(&key, None);
        assert!(atlas.directory().addresses.is_empty());
    }

    #[test]
    fn advertisements_select_pools_and_services() {
        let mut atlas = atlas();
        let key = ServiceKey::new("a", "s");
        atlas.set_service(&key, Some(exposed(&["10.0.0.1"])));
        let other_pool = Advertisement {
            pools: BTreeSet::from(["q".to_owned()]),
            ..advertisement()
        };
        let this_pool = Advertisement {
            pools: BTreeSet::from(["p".to_owned()]),
            ..advertisement()
        };
        let metallb = Advertisement {
            api: PoolApi::MetalLb,
            ..advertisement()
        };
        let web = Selector::new(&labels("app", "web"), []).unwrap();
        let some = Advertisement {
            service_selectors: vec![web],
            ..advertisement()
        };
        atlas.set_advertisements(vec![other_pool, this_pool, metallb, some]);
        assert_eq!(reaches(&atlas, "10.0.0.1"), 1);
        let labelled = Exposed {
            labels: labels("app", "web"),
            ..exposed(&["10.0.0.1"])
        };
        atlas.set_service(&key, Some(labelled));
        assert_eq!(
            reaches(&atlas, "10.0.0.1"),
            2,
            "a label on the Service selects it live"
        );
    }

    #[test]
    fn node_selectors_follow_the_nodes() {
        let mut atlas = atlas();
        atlas.set_service(&ServiceKey::new("a", "s"), Some(exposed(&["10.0.0.1"])));
        let rack = Selector::new(&labels("rack", "1"), []).unwrap();
        atlas.set_advertisements(vec![Advertisement {
            node_selectors: vec![rack],
            ..advertisement()
        }]);
        let node = |rack: &str| Node {
            labels: labels("rack", rack),
            address: Some(IpAddr::from([10, 0, 1, 1])),
            may_serve: true,
            cordoned: false,
        };
        atlas.set_node("n1", Some(node("1")));
        atlas.set_node("n2", Some(node("2")));
        let directory = atlas.directory();
        let nodes = &directory.addresses[&IpAddr::from([10, 0, 0, 1])].reaches[0].nodes;
        assert_eq!(*nodes, NodeSet::Only(BTreeSet::from(["n1".to_owned()])));
        assert_eq!(directory.nodes.len(), 2);
        atlas.set_node("n2", Some(node("1")));
        let nodes = atlas.directory().addresses[&IpAddr::from([10, 0, 0, 1])].reaches[0]
            .nodes
            .clone();
        assert!(nodes.contains("n2"));
        assert_eq!(atlas.speakers().len(), 2);
    }

    #[test]
    fn local_services_that_share_an_address_want_a_node_with_both() {
        let mut atlas = atlas();
        let local = || Exposed {
            traffic_policy: TrafficPolicy::Local,
            ..exposed(&["10.0.0.1"])
        };
        let (one, two) = (ServiceKey::new("a", "one"), ServiceKey::new("a", "two"));
        let on = |nodes: &[&str], ready| -> Vec<Endpoint> {
            let endpoint = |name: &&str| Endpoint {
                node: Some((*name).to_owned()),
                ready,
                serving: true,
            };
            nodes.iter().map(endpoint).collect()
        };
        atlas.set_service(&one, Some(local()));
        atlas.set_service(&two, Some(local()));
        let slice = |name: &str| ServiceKey::new("a", name);
        atlas.set_slice(&slice("x"), Some((one, on(&["n1", "n2"], true))));
        atlas.set_slice(&slice("y"), Some((two.clone(), on(&["n2", "n3"], true))));
        atlas.set_slice(&slice("z"), Some((two, on(&["n1"], false))));
        let endpoints = || {
            let directory = atlas.directory();
            directory.addresses[&IpAddr::from([10, 0, 0, 1])]
                .endpoints
                .clone()
                .unwrap()
        };
        assert_eq!(endpoints().ready, BTreeSet::from(["n2".to_owned()]));
        assert_eq!(endpoints().ending, BTreeSet::from(["n1".to_owned()]));
        assert!(atlas.is_healthy(IpAddr::from([10, 0, 0, 1])));
    }

    #[test]
    fn source_ranges_of_all_services_at_an_address_count() {
        let mut atlas = atlas();
        let ranges = vec!["10.9.0.0/16".parse().unwrap()];
        let closed = Exposed {
            source_ranges: Some(ranges),
            ..exposed(&["10.0.0.1"])
        };
        atlas.set_service(&ServiceKey::new("a", "one"), Some(closed));
        let (address, outside) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
        assert!(atlas.access(address).admits(IpAddr::from([10, 9, 1, 1])));
        assert!(!atlas.access(address).admits(outside));
        atlas.set_service(&ServiceKey::new("a", "two"), Some(exposed(&["10.0.0.1"])));
        assert!(atlas.access(address).admits(outside));
    }
}
