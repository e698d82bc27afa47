//! From the node's file to settings of the machine.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use cluster_config::node::VrrpConfig;
use cluster_config::node::vrrp::{ChecksumForm, GarpForm, ProtocolVersion, Tuning, VirtualRouter};

use crate::hand_over;
use crate::health::HealthPlan;
pub use crate::place::RouterPlan;
use crate::proto::packet::{Outgoing, is_link_local};
use crate::proto::{
    AdvertInterval, AnnounceSettings, ChecksumSeen, Family, GroupSettings, MemberSettings,
    OutOfRange, Priority, Versions, Vrid,
};

/// Everything that the router needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Groups, each with its routers.
    pub groups: Vec<GroupPlan>,
    /// Health checks.
    pub health: Option<HealthPlan>,
    /// Address of the admin server.
    pub admin: SocketAddr,
    /// What is allowed and unwise.
    pub warnings: Vec<String>,
}

/// A group and where its routers live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPlan {
    /// For the machine.
    pub settings: GroupSettings,
    /// For the host, one per member.
    pub routers: Vec<RouterPlan>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfigProblem {
    place: String,
    problem: String,
}

impl Plan {
    /// Checks a file's content. `seed` is for jitter.
    ///
    /// # Errors
    /// Every problem found.
    pub fn new(config: &VrrpConfig, seed: u64) -> Result<Self, Vec<ConfigProblem>> {
        let mut reader = Reader::default();
        let admin = reader.parse("admin", &config.admin, "an address like `127.0.0.1:11003`");
        let mut groups: BTreeMap<&str, Vec<(usize, &VirtualRouter)>> = BTreeMap::new();
        for (index, router) in config.routers.iter().enumerate() {
            groups
                .entry(&router.tuning.group)
                .or_default()
                .push((index, router));
        }
        if config.routers.is_empty() {
            reader.problem("routers", "at least one virtual router is needed");
        }
        let mut plans = Vec::new();
        for (name, routers) in groups {
            plans.extend(reader.group(name, &routers, seed));
        }
        reader.duplicates(&config.routers);
        let grace = Duration::from_millis(config.hand_over_grace_millis.into());
        if grace > hand_over::LONGEST {
            reader.problem("handOverGraceMillis", "must be at most 60000");
        }
        for plan in &mut plans {
            plan.settings.hand_over_grace = grace;
        }
        let mut health = config.track.as_ref().and_then(|track| reader.health(track));
        if config.stand_back {
            reader.stand_back(&plans, health.as_mut());
        }
        match admin {
            Some(admin) if reader.problems.is_empty() => Ok(Self {
                groups: plans,
                health,
                admin,
                warnings: reader.warnings,
            }),
            _ => Err(reader.problems),
        }
    }
}

/// Link-local address of an IPv6 virtual router: the first address of its adverts (RFC 9568 §5.2.9),
/// made from the virtual router MAC so that all nodes agree on it.
pub(crate) fn virtual_link_local(vrid: u8) -> IpAddr {
    Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        0x0200,
        0x5eff,
        0xfe00,
        0x0200 | u16::from(vrid),
    )
    .into()
}

/// Collects everything that is wrong.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    problems: Vec<ConfigProblem>,
    warnings: Vec<String>,
}

impl Reader {
    pub(crate) fn problem(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.problems.push(ConfigProblem {
            place: place.into(),
            problem: problem.into(),
        });
    }

    pub(crate) fn parse<T: std::str::FromStr>(
        &mut self,
        place: &str,
        text: &str,
        expected: &str,
    ) -> Option<T> {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.problem(place, format!("`{text}` is not {expected}"));
        }
        parsed
    }

    fn range<T>(&mut self, place: &str, value: Result<T, OutOfRange>) -> Option<T> {
        value
            .map_err(|error| self.problem(place, error.to_string()))
            .ok()
    }

    fn group(
        &mut self,
        name: &str,
        routers: &[(usize, &VirtualRouter)],
        seed: u64,
    ) -> Option<GroupPlan> {
        let (first_index, first) = *routers.first()?;
        let place = format!("routers[{first_index}]");
        for (index, router) in &routers[1..] {
            self.same_in_group(*index, first, router);
        }
        let interval = AdvertInterval::from_millis(first.advertisement_interval_millis);
        let interval = self.range(&format!("{place}.advertisementIntervalMillis"), interval);
        let priority = Priority::try_from(first.priority);
        let priority = self.range(&format!("{place}.priority"), priority);
        let tuning = &first.tuning;
        if !(2..=100).contains(&tuning.down_factor) {
            let text = format!("{} is outside 2–100", tuning.down_factor);
            self.problem(format!("{place}.tuning.downFactor"), text);
        }
        let mut siblings = routers.iter().map(|(_, router)| *router);
        let sibling = siblings.find(|router| router.source_address.is_ipv4());
        let members: Vec<_> = routers
            .iter()
            .filter_map(|(index, router)| self.member(*index, router, sibling))
            .collect();
        let (interval, priority) = (interval?, priority?);
        self.timing(&place, first, tuning);
        let settings = GroupSettings {
            name: if name.is_empty() {
                first.name.clone()
            } else {
                name.to_owned()
            },
            priority,
            interval,
            preempt: first.preempt,
            preempt_delay: Duration::from_secs(tuning.preempt_delay_seconds.into()),
            startup_quiet: Duration::from_millis(tuning.startup_quiet_millis.into()),
            down_factor: tuning.down_factor,
            versions: match tuning.version {
                ProtocolVersion::V3 => Versions::V3,
                ProtocolVersion::V2 => Versions::V2,
                ProtocolVersion::Both => Versions::Both,
            },
            refuse_foreign_addresses: tuning.refuse_foreign_addresses,
            link_debounce: Duration::from_millis(tuning.link_debounce_millis.into()),
            hand_over_grace: Duration::ZERO,
            announce: announcements(first),
            members: members.iter().map(|(member, _)| member.clone()).collect(),
            seed: seed ^ u64::from(first.virtual_router_id),
        };
        let routers = members.into_iter().map(|(_, router)| router).collect();
        Some(GroupPlan { settings, routers })
    }

    fn timing(&mut self, place: &str, router: &VirtualRouter, tuning: &Tuning) {
        let millis = router.advertisement_interval_millis;
        if tuning.version == ProtocolVersion::V2 && !millis.is_multiple_of(1000) {
            self.problem(
                format!("{place}.advertisementIntervalMillis"),
                format!("{millis} ms: VRRPv2 has whole seconds only; use a multiple of 1000 or `version: v3`"),
            );
        }
        if tuning.version == ProtocolVersion::V2 && millis > 40_000 {
            self.problem(
                format!("{place}.advertisementIntervalMillis"),
                format!("{millis} ms is more than 40 s"),
            );
        }
        let patience = u32::from(tuning.down_factor - 1).saturating_mul(millis);
        if tuning.link_debounce_millis > 0 && tuning.link_debounce_millis >= patience {
            self.problem(
                format!("{place}.tuning.linkDebounceMillis"),
                format!("must be below {patience} ms, or the peers take over before it ends"),
            );
        }
        if millis < 50 {
            self.warnings.push(format!(
                "{place}: adverts every {millis} ms need realtime scheduling on every node and a network without loss"
            ));
        }
    }

    fn same_in_group(&mut self, index: usize, first: &VirtualRouter, router: &VirtualRouter) {
        let differs = [
            ("priority", first.priority != router.priority),
            ("preempt", first.preempt != router.preempt),
            (
                "advertisementIntervalMillis",
                first.advertisement_interval_millis != router.advertisement_interval_millis,
            ),
            (
                "tuning.downFactor",
                first.tuning.down_factor != router.tuning.down_factor,
            ),
            (
                "tuning.version",
                first.tuning.version != router.tuning.version,
            ),
        ];
        for (field, differs) in differs {
            if differs {
                self.problem(
                    format!("routers[{index}].{field}"),
                    format!(
                        "must be that of `{}`: routers of a group move together",
                        first.name
                    ),
                );
            }
        }
    }

    fn member(
        &mut self,
        index: usize,
        router: &VirtualRouter,
        sibling: Option<&VirtualRouter>,
    ) -> Option<(MemberSettings, RouterPlan)> {
        let place = format!("routers[{index}]");
        // Its own address says where it lives, or that of the router that it moves together with.
        let anchor = if router.source_address.is_unspecified() {
            sibling
        } else {
            Some(router)
        };
        let interface = router.interface.clone();
        let interface = interface.or_else(|| anchor.and_then(|one| one.interface.clone()));
        if anchor.is_none() && interface.is_none() {
            let text = "`::` needs `interface`, or an IPv4 router of the same group";
            self.problem(format!("{place}.sourceAddress"), text);
        }
        let vrid = Vrid::try_from(router.virtual_router_id);
        let vrid = self.range(&format!("{place}.virtualRouterID"), vrid)?;
        let family = Family::of(router.source_address);
        for (list, field) in [(&router.addresses, "addresses"), (&router.peers, "peers")] {
            for address in list
                .iter()
                .filter(|address| Family::of(**address) != family)
            {
                let text = format!("{address} is not of the family of `sourceAddress`");
                self.problem(format!("{place}.{field}"), text);
            }
        }
        if router.addresses.is_empty() {
            self.problem(
                format!("{place}.addresses"),
                "at least one address is needed",
            );
        }
        if router.addresses.contains(&router.source_address) {
            self.problem(
                format!("{place}.addresses"),
                format!("{} is the node's own address", router.source_address),
            );
        }
        if router.peers.contains(&router.source_address) {
            self.problem(
                format!("{place}.peers"),
                format!("{} is this node itself", router.source_address),
            );
        }
        let password = self.password(&place, router);
        let mut addresses = router.addresses.clone();
        if family == Family::V6 && !addresses.first().is_some_and(|first| is_link_local(*first)) {
            addresses.insert(0, virtual_link_local(vrid.into()));
        }
        if family == Family::V6 && router.tuning.version == ProtocolVersion::V2 {
            self.problem(format!("{place}.tuning.version"), "VRRPv2 has no IPv6");
        }
        let capacity = Outgoing::capacity(family);
        if addresses.len() > capacity {
            self.warnings.push(format!(
                "{place}: only the first {capacity} of {} addresses fit into an advert",
                addresses.len()
            ));
        }
        let settings = MemberSettings {
            name: router.name.clone(),
            vrid,
            family,
            peers: router.peers.clone(),
            addresses: addresses.clone(),
            minimum_ttl: router.tuning.minimum_ttl,
            checksum: match router.checksum {
                ChecksumForm::Auto => None,
                ChecksumForm::Rfc => Some(ChecksumSeen::Rfc),
                ChecksumForm::Keepalived => Some(ChecksumSeen::Keepalived),
            },
            password,
        };
        let plan = RouterPlan {
            interface,
            anchor: anchor.map_or(router.source_address, |one| one.source_address),
            source: router.source_address,
            multicast: router.peers.is_empty(),
            addresses,
            vrid: vrid.into(),
        };
        Some((settings, plan))
    }

    fn password(&mut self, place: &str, router: &VirtualRouter) -> Option<[u8; 8]> {
        let text = router.tuning.password.as_ref()?;
        let mut padded = [0; 8];
        match padded.get_mut(..text.len()) {
            Some(front) if !text.is_empty() => front.copy_from_slice(text.as_bytes()),
            _ => self.problem(format!("{place}.tuning.password"), "must have 1 to 8 bytes"),
        }
        if router.tuning.version == ProtocolVersion::V3 {
            self.problem(
                format!("{place}.tuning.password"),
                "VRRPv3 has no authentication",
            );
        }
        Some(padded)
    }

    fn duplicates(&mut self, routers: &[VirtualRouter]) {
        let mut seen = BTreeMap::new();
        for (index, router) in routers.iter().enumerate() {
            let interface = router.interface.as_deref().unwrap_or("");
            let family = Family::of(router.source_address);
            let key = (interface, family, router.virtual_router_id);
            if let Some(first) = seen.insert(key, index) {
                self.problem(
                    format!("routers[{index}].virtualRouterID"),
                    format!(
                        "{} is used by routers[{first}] already",
                        router.virtual_router_id
                    ),
                );
            }
        }
    }
}

fn announcements(router: &VirtualRouter) -> AnnounceSettings {
    let tuning = &router.tuning;
    let refresh = router.garp_refresh_seconds;
    AnnounceSettings {
        repeat: router.garp_repeat,
        follow_ups: tuning
            .garp_follow_up_seconds
            .iter()
            .map(|seconds| Duration::from_secs((*seconds).into()))
            .collect(),
        refresh: (refresh > 0).then(|| Duration::from_secs(refresh.into())),
        request_form: tuning.garp_form != GarpForm::Reply,
        reply_form: tuning.garp_form != GarpForm::Request,
    }
}

#[cfg(test)]
mod tests;
