//! What `/status` shows: taken on the router thread, so that it is one consistent moment.

use serde::Serialize;

use crate::clock::{now, timestamp};
use crate::driver::Driver;
use crate::proto::peers::Peer;
use crate::proto::{ChecksumSeen, Counters, Group, Moment, Version};

/// The state of all groups at one moment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Snapshot {
    /// State of all groups, or `mixed`.
    pub(crate) state: &'static str,
    pub(crate) since: String,
    pub(crate) why: String,
    pub(crate) groups: Vec<GroupView>,
    pub(crate) routers: Vec<RouterView>,
    pub(crate) send_errors: u64,
    pub(crate) unknown_virtual_router_id: u64,
}

/// A group.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupView {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) leaving: bool,
    /// Zero: connections are reset when the group moves, because it is off or the kernel cannot help.
    pub(crate) hand_over_grace_millis: u64,
    pub(crate) since: String,
    pub(crate) since_millis: u64,
    pub(crate) reason: &'static str,
    pub(crate) why: String,
}

/// A virtual router.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RouterView {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) vrid: u8,
    pub(crate) state: &'static str,
    pub(crate) since: String,
    pub(crate) why: String,
    pub(crate) priority: u8,
    pub(crate) preempt: bool,
    pub(crate) addresses: Vec<std::net::IpAddr>,
    pub(crate) interface: Option<String>,
    pub(crate) source: Option<std::net::IpAddr>,
    pub(crate) interval_millis: u64,
    pub(crate) active_interval_millis: u64,
    pub(crate) down_factor: u8,
    pub(crate) active_peer: Option<std::net::IpAddr>,
    pub(crate) peers: Vec<PeerView>,
    pub(crate) counters: Counters,
}

/// Another router.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PeerView {
    pub(crate) address: std::net::IpAddr,
    pub(crate) last_advert_millis: u64,
    pub(crate) priority: u8,
    pub(crate) interval_millis: u64,
    pub(crate) version: Version,
    pub(crate) checksum: ChecksumSeen,
    pub(crate) adverts: u64,
}

impl Snapshot {
    /// Of the driver, at this moment.
    pub(crate) fn of(driver: &Driver) -> Self {
        let at = now();
        let groups: Vec<_> = driver
            .groups
            .values()
            .map(|group| GroupView::of(group, at))
            .collect();
        let routers = driver
            .groups
            .iter()
            .flat_map(|(id, group)| {
                (0..group.members().len()).map(move |member| {
                    let place = driver.places.get(&(*id, member));
                    RouterView::of(
                        group,
                        member,
                        place.map(|place| place.interface.clone()),
                        at,
                    )
                })
            })
            .collect();
        let same = groups.windows(2).all(|pair| pair[0].state == pair[1].state);
        let first = groups.first();
        Self {
            state: first.map_or(
                "initialize",
                |first| if same { first.state } else { "mixed" },
            ),
            since: first.map(|first| first.since.clone()).unwrap_or_default(),
            why: first.map(|first| first.why.clone()).unwrap_or_default(),
            groups,
            routers,
            send_errors: driver.send_errors,
            unknown_virtual_router_id: driver.unknown_vrid,
        }
    }
}

impl GroupView {
    fn of(group: &Group, at: Moment) -> Self {
        Self {
            name: group.settings().name.clone(),
            state: group.state().name(),
            leaving: group.is_leaving(),
            hand_over_grace_millis: u64::try_from(group.settings().hand_over_grace.as_millis())
                .unwrap_or(u64::MAX),
            since: timestamp(group.since()),
            since_millis: millis(at, group.since()),
            reason: group.why().kind(),
            why: group.why().to_string(),
        }
    }
}

impl RouterView {
    fn of(group: &Group, index: usize, interface: Option<String>, at: Moment) -> Self {
        let settings = group.settings();
        let (member, own) = (&group.members()[index], &settings.members[index]);
        Self {
            name: own.name.clone(),
            group: settings.name.clone(),
            vrid: own.vrid.into(),
            state: group.state().name(),
            since: timestamp(group.since()),
            why: group.why().to_string(),
            priority: settings.priority.into(),
            preempt: settings.preempt,
            addresses: own.addresses.clone(),
            interface,
            source: member.source(),
            interval_millis: u64::from(settings.interval.centis()) * 10,
            active_interval_millis: u64::from(member.active_interval().centis()) * 10,
            down_factor: settings.down_factor,
            active_peer: member.active_peer(),
            peers: member
                .peers()
                .iter()
                .map(|peer| PeerView::of(peer, at))
                .collect(),
            counters: member.counters().clone(),
        }
    }
}

impl PeerView {
    fn of(peer: &Peer, at: Moment) -> Self {
        Self {
            address: peer.address,
            last_advert_millis: millis(at, peer.last_advert),
            priority: peer.priority,
            interval_millis: u64::from(peer.interval.centis()) * 10,
            version: peer.version,
            checksum: peer.checksum,
            adverts: peer.adverts,
        }
    }
}

fn millis(now: Moment, then: Moment) -> u64 {
    u64::try_from(now.since(then).as_millis()).unwrap_or(u64::MAX)
}
