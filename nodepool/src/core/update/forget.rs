//! Routers that their peers would forget while they may run: a unicast router drops the adverts of who is not among its
//! peers, and both would have the virtual IP.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::refusal::Refused;
use super::removal::{Leaver, unlisted};
use super::settings::NodeSettings;
use crate::core::plan::Situation;

/// Peers in `settings`, of nodes with a turn, that are neither in the file nor leave in order.
pub fn forgotten(
    situation: &Situation<'_>,
    settings: &BTreeMap<IpAddr, NodeSettings>,
    leavers: &[Leaver],
) -> Vec<Refused> {
    let routers = settings.values().filter_map(|known| known.vrrp.as_ref());
    let routers = routers.flat_map(|vrrp| &vrrp.routers);
    let peers: BTreeSet<IpAddr> = routers.flat_map(|router| router.peers.clone()).collect();
    let known = |peer: &IpAddr| {
        let mut machines = situation.desired.machines.iter();
        let mut leavers = leavers.iter();
        machines.any(|machine| machine.node_ip == *peer)
            || leavers.any(|leaver| leaver.address == *peer || leaver.node_ips.contains(peer))
    };
    let refused = peers.into_iter().filter(|peer| !known(peer));
    refused
        .map(|peer| Refused {
            what: format!(
                "the routers have the peer {peer}, which is neither in the file nor a node of the cluster: a router there would not be heard any more and take the virtual IP"
            ),
            hint: format!(
                "put it back into the file and remove it by `lbctl reset nodes --node {peer}` (with `--force` when it is gone for good); where no router can be, take it out of `peers` in /etc/lbnode/vrrp.yaml of the others"
            ),
        })
        .collect()
}

/// Control planes of the cluster that are not in the file, for a command that removes nobody.
pub fn would_forget(situation: &Situation<'_>) -> Vec<Refused> {
    let planes = unlisted(situation).into_iter();
    let planes = planes.filter(|leaver| leaver.control_plane);
    planes
        .map(|leaver| Refused {
            what: format!(
                "the control plane {} is not in the file, and the other routers would not hear its router any more",
                leaver.name()
            ),
            hint: "`lbctl update cluster` removes it in order; or put it back into the file".to_owned(),
        })
        .collect()
}
