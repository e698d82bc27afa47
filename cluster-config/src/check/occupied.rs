//! Addresses in use with their places, searchable in O(log n).

use std::net::IpAddr;

use crate::model::Cluster;
use crate::net::IpRange;
use crate::yaml::Span;

/// One use of some addresses.
#[derive(Debug, Clone)]
pub(super) struct Use {
    pub(super) range: IpRange,
    pub(super) span: Span,
    /// What it is, in words: `node 10.0.0.1`.
    pub(super) what: String,
}

/// Uses, sorted by first address, each with the earlier or equal use that reaches furthest.
pub(super) struct Occupied {
    uses: Vec<Use>,
    furthest: Vec<usize>,
}

impl Occupied {
    pub(super) fn new(mut uses: Vec<Use>) -> Self {
        uses.sort_by_key(|entry| (entry.range, entry.span.start));
        let mut furthest: Vec<usize> = Vec::with_capacity(uses.len());
        for (index, entry) in uses.iter().enumerate() {
            let best = match furthest.last() {
                Some(&best) if reach(&uses[best]) >= reach(entry) => best,
                _ => index,
            };
            furthest.push(best);
        }
        Self { uses, furthest }
    }

    /// A use that shares an address with the range.
    pub(super) fn hit(&self, range: &IpRange) -> Option<&Use> {
        let end = self
            .uses
            .partition_point(|entry| entry.range.first() <= range.last());
        self.before(end, range)
    }

    /// A use of this address.
    pub(super) fn hit_address(&self, address: IpAddr) -> Option<&Use> {
        self.hit(&IpRange::single(address))
    }

    /// Pairs of overlapping uses: for each one that overlaps an earlier one, such an earlier one.
    pub(super) fn collisions(&self) -> impl Iterator<Item = (&Use, &Use)> {
        self.uses
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| Some((self.before(index, &entry.range)?, entry)))
    }

    fn before(&self, end: usize, range: &IpRange) -> Option<&Use> {
        let best = *self.furthest.get(end.checked_sub(1)?)?;
        let entry = &self.uses[best];
        entry.range.overlaps(range).then_some(entry)
    }
}

/// IPv6 sorts after IPv4, as in `IpAddr`.
fn reach(entry: &Use) -> IpAddr {
    entry.range.last()
}

/// The addresses of all nodes.
pub(super) fn node_uses(cluster: &Cluster) -> Vec<Use> {
    cluster
        .nodes()
        .flat_map(|node| {
            let own = Some(&node.address);
            own.into_iter().chain(node.k8s_ip.as_ref())
        })
        .filter_map(|address| {
            Some(Use {
                range: IpRange::single((**address).into()),
                span: address.span()?,
                what: format!("the node `{}`", **address),
            })
        })
        .collect()
}
