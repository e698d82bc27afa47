//! How far nodes and addresses lie apart. Without the netmasks only the unlikely can be told; the machine
//! checks know them.

use std::net::Ipv4Addr;

use crate::model::{Announcement, Cluster, Mode, Node};
use crate::yaml::Span;

/// Subnets with shorter prefixes hardly exist.
const FAR: u32 = 16;

/// The lowest and the highest of some nodes: together they tell how far the others can be from an address.
pub(super) struct Extent<'c> {
    ends: Option<(&'c Node, &'c Node)>,
}

impl<'c> Extent<'c> {
    pub(super) fn of(nodes: impl Iterator<Item = &'c Node>) -> Self {
        let ends = nodes.fold(None, |ends: Option<(&Node, &Node)>, node| {
            let (low, high) = ends.unwrap_or((node, node));
            let address = node.data_address();
            Some((
                if address < low.data_address() {
                    node
                } else {
                    low
                },
                if address > high.data_address() {
                    node
                } else {
                    high
                },
            ))
        });
        Self { ends }
    }

    /// A node that is hardly in one subnet with the address, with its place.
    pub(super) fn far_from(&self, address: Ipv4Addr) -> Option<(Ipv4Addr, Span)> {
        let (low, high) = self.ends?;
        [low, high]
            .into_iter()
            .find(|node| common_prefix(node.data_address(), address) < FAR)
            .and_then(|node| Some((node.data_address(), data_span(node)?)))
    }

    /// Two nodes that are hardly in one subnet.
    pub(super) fn far_apart(&self) -> Option<(&'c Node, &'c Node)> {
        self.ends
            .filter(|(low, high)| common_prefix(low.data_address(), high.data_address()) < FAR)
    }
}

/// Whether ARP and subnets matter.
pub(super) fn is_layer2(cluster: &Cluster) -> bool {
    let load_balancer = &cluster.load_balancer;
    load_balancer.mode() == Mode::Bundled && load_balancer.announcement() == Announcement::Layer2
}

/// Where a node's data address was written.
pub(super) fn data_span(node: &Node) -> Option<Span> {
    node.k8s_ip.as_ref().unwrap_or(&node.address).span()
}

/// Bits that two addresses have in common from the left.
fn common_prefix(a: Ipv4Addr, b: Ipv4Addr) -> u32 {
    (a.to_bits() ^ b.to_bits()).leading_zeros()
}
