//! What the API says, and who has heard it.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use super::world::World;
use crate::core::{
    ownership::{Directory, LocalEndpoints, NodeSet, Reach, Wanted},
    segment::InterfaceFilter,
};

impl World {
    /// Every third address has endpoints of its own; those are drawn, anew for addresses that are there if `redraw`.
    pub(super) fn set_addresses(&mut self, count: u8, redraw: bool) {
        let reach = Reach {
            nodes: NodeSet::All,
            interfaces: InterfaceFilter::default(),
        };
        let reaches: Arc<[Reach]> = Arc::new([reach]);
        let local = self.random.chance(50);
        let names: Vec<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        let mut addresses = BTreeMap::new();
        for last in 0..count {
            let address = IpAddr::from([10, 0, 0, last]);
            if let Some(wanted) = self.directory.addresses.get(&address).filter(|_| !redraw) {
                addresses.insert(address, wanted.clone());
                continue;
            }
            let endpoints = (local && last % 3 == 0).then(|| {
                let mut draw = |percent| {
                    names
                        .iter()
                        .filter(|_| self.random.chance(percent))
                        .cloned()
                        .collect()
                };
                Arc::new(LocalEndpoints {
                    ready: draw(60),
                    ending: draw(20),
                })
            });
            let wanted = Wanted {
                reaches: Arc::clone(&reaches),
                endpoints,
            };
            addresses.insert(address, wanted);
        }
        self.directory = Directory {
            addresses,
            nodes: self.labelled.clone(),
        };
    }

    /// Where the labelled nodes listen.
    pub(super) fn speakers(&self) -> BTreeMap<String, IpAddr> {
        let nodes = self.nodes.iter().zip(&self.addresses);
        nodes
            .filter(|(node, _)| self.labelled.contains(&node.name))
            .map(|(node, address)| (node.name.clone(), *address))
            .collect()
    }

    /// Nodes that have not heard the last of the API.
    pub(super) fn uninformed(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|node| self.deaf_to_api[*node] || self.news.contains_key(node))
            .collect()
    }

    /// Every node that hears the API hears of the change, each in its own time.
    pub(super) fn spread_news(&mut self) {
        for node in 0..self.nodes.len() {
            let lag = Duration::from_millis(self.random.below(300));
            self.news.insert(node, self.now + lag);
        }
    }

    /// Gives a node the label of those that serve, or takes it away.
    pub(super) fn label(&mut self, node: usize, labelled: bool) {
        let name = self.nodes[node].name.clone();
        if labelled {
            self.labelled.insert(name);
        } else {
            self.labelled.remove(&name);
        }
        self.directory.nodes.clone_from(&self.labelled);
    }

    /// A node hears of everything that has changed.
    pub(super) fn inform(&mut self, node: usize) {
        let listed = self.speakers();
        let one = &mut self.nodes[node];
        one.directory.clone_from(&self.directory);
        one.listed = listed;
        one.inform(self.now);
    }
}
