//! Who hears whom, and who else is there?

use std::collections::BTreeSet;
use std::net::IpAddr;

use cluster_config::probe::{Hearing, RouterHeard, SegmentReport};

use super::{Answers, Judgement, Participant, Survey};
use crate::core::desired::HEARTBEAT_PORT;
use crate::core::preflight::Check;

/// A way from station to station, as it is judged.
struct Way {
    check: Check,
    /// What passes on it.
    what: &'static str,
    hearing: fn(&SegmentReport) -> Option<&Hearing>,
    fix: fn(&Participant) -> String,
}

const WAYS: [Way; 3] = [
    Way {
        check: Check::VrrpProtocol,
        what: "adverts (IP protocol 112)",
        hearing: |report| report.vrrp.as_ref(),
        fix: |of| {
            let way = if of.plan.multicast {
                ", multicast to 224.0.0.18 (IGMP snooping in a switch, or set `loadBalancer.vrrp.unicast: true`)"
            } else {
                ""
            };
            format!(
                "let IP protocol 112 pass to {}{way}: `firewall-cmd --permanent --add-protocol=vrrp` or a rule of its packet filter; networks of clouds and hypervisors often drop it",
                of.node
            )
        },
    },
    Way {
        check: Check::VrrpProtocol,
        what: "adverts over IPv6 (IP protocol 112, multicast to ff02::12)",
        hearing: |report| report.vrrp6.as_ref(),
        fix: |of| {
            format!(
                "let IP protocol 112 over IPv6 and multicast to ff02::12 pass to {}; IPv6 must be on, with a link-local address",
                of.node
            )
        },
    },
    Way {
        check: Check::Heartbeat,
        what: "heartbeats (UDP 7946)",
        hearing: |report| report.heartbeat.as_ref(),
        fix: |of| {
            format!(
                "let UDP {HEARTBEAT_PORT} pass to {}, and stop other programs that have the port (`ss -lunp` shows them)",
                of.node
            )
        },
    },
];

impl Survey {
    /// Judges what the participants saw together.
    pub fn judge_segment(&self, answers: &Answers<SegmentReport>) -> Judgement {
        let mut judgement = Judgement::default();
        let report = |one: &Participant| match answers.get(&one.address) {
            Some(Ok(report)) => Some(report),
            _ => None,
        };
        let ours: BTreeSet<IpAddr> = self
            .participants
            .iter()
            .map(|one| IpAddr::V4(one.node_ip))
            .chain(
                self.participants
                    .iter()
                    .filter_map(|one| report(one)?.link_local),
            )
            .collect();
        for one in &self.participants {
            let Some(seen) = report(one) else { continue };
            judgement.did(one, Check::Probe);
            self.neighbours(one, seen, &report, &mut judgement);
            gateway(one, seen, &mut judgement);
            for way in &WAYS {
                self.way(way, one, seen, &report, &mut judgement);
            }
            if one.routes {
                judgement.did(one, Check::VirtualRouters);
                let strangers = seen.routers.iter();
                for router in strangers.filter(|router| !ours.contains(&router.source)) {
                    self.router(one, router, &mut judgement);
                }
            }
        }
        judgement
    }

    fn neighbours<'a>(
        &self,
        one: &Participant,
        seen: &SegmentReport,
        report: &impl Fn(&Participant) -> Option<&'a SegmentReport>,
        judgement: &mut Judgement,
    ) {
        let mut silent = Vec::new();
        for other in &self.participants {
            let common = one.routes && other.routes || one.speaks && other.speaks;
            if other.address == one.address || !common {
                continue;
            }
            judgement.did(one, Check::LayerTwo);
            let macs = macs(seen, other.node_ip.into());
            let own = report(other).map(|report| report.mac.as_str());
            match macs {
                [] => silent.push(other.label()),
                [mac] if own.is_none_or(|own| own == mac) => {}
                [mac] => judgement.fail(
                    one,
                    Check::LayerTwo,
                    format!(
                        "{mac} answers ARP for {} on {}, but its own MAC is {}",
                        other.label(),
                        seen.interface,
                        own.unwrap_or_default()
                    ),
                    "either a router with proxy ARP stands between the two, or another machine has that address: load balancer nodes need one layer-2 network and addresses of their own".to_owned(),
                ),
                several => judgement.fail(
                    one,
                    Check::LayerTwo,
                    format!(
                        "several machines answer ARP for {}: {}",
                        other.label(),
                        several.join(", ")
                    ),
                    format!("find who else has {} by its MAC and give it another address", other.node_ip),
                ),
            }
        }
        if !silent.is_empty() {
            judgement.fail(
                one,
                Check::LayerTwo,
                format!("no answer to ARP on {} from {}", seen.interface, silent.join(", ")),
                "put all load balancer nodes into one layer-2 network (the same VLAN, no router in between), or correct `k8sIP`".to_owned(),
            );
        }
    }

    fn way<'a>(
        &self,
        way: &Way,
        one: &Participant,
        seen: &SegmentReport,
        report: &impl Fn(&Participant) -> Option<&'a SegmentReport>,
        judgement: &mut Judgement,
    ) {
        let Some(hearing) = (way.hearing)(seen) else {
            return;
        };
        if let Some(trouble) = &hearing.trouble {
            judgement.fail(
                one,
                way.check,
                format!("{} cannot be sent or received: {trouble}", way.what),
                (way.fix)(one),
            );
            return;
        }
        let mut missing = Vec::new();
        let mut one_way = true;
        for (place, other) in (0u16..).zip(&self.participants) {
            // Who could not speak has a finding of its own.
            let theirs = report(other).and_then(way.hearing);
            let Some(theirs) = theirs.filter(|theirs| theirs.trouble.is_none()) else {
                continue;
            };
            if place == one.plan.me {
                continue;
            }
            judgement.did(one, way.check);
            if !hearing.heard.contains(&place) {
                missing.push(other.label());
                one_way &= theirs.heard.contains(&one.plan.me);
            }
        }
        if missing.is_empty() {
            return;
        }
        let direction = if one_way {
            "; in the other direction they pass"
        } else {
            ""
        };
        judgement.fail(
            one,
            way.check,
            format!(
                "{} do not arrive from {}{direction}",
                way.what,
                missing.join(", ")
            ),
            (way.fix)(one),
        );
    }

    /// Somebody else's virtual router.
    fn router(&self, one: &Participant, router: &RouterHeard, judgement: &mut Judgement) {
        let ours = |address: &&IpAddr| self.api_vips.contains(address);
        let taken = router.addresses.iter().find(ours);
        let list: Vec<String> = router.addresses.iter().map(ToString::to_string).collect();
        let list = list.join(", ");
        if let Some(vip) = taken {
            judgement.fail(
                one,
                Check::VirtualRouters,
                format!(
                    "{} announces {vip} as a virtual router (ID {}, priority {})",
                    router.source, router.vrid, router.priority
                ),
                format!(
                    "stop the router on {}, or choose another virtual IP for this cluster",
                    router.source
                ),
            );
        } else if Some(router.vrid) == one.vrid {
            judgement.fail(
                one,
                Check::VirtualRouters,
                format!(
                    "{} uses the virtual router ID {} of this cluster for {list}",
                    router.source, router.vrid
                ),
                "set `loadBalancer.vrrp.virtualRouterID` to an ID that nobody on the segment uses"
                    .to_owned(),
            );
        }
    }
}

fn gateway(one: &Participant, seen: &SegmentReport, judgement: &mut Judgement) {
    let Some(gateway) = one.plan.gateway else {
        return;
    };
    judgement.did(one, Check::Gateway);
    if macs(seen, gateway).is_empty() {
        judgement.warn(
            one,
            Check::Gateway,
            format!("the gateway {gateway} does not answer ARP on {}", seen.interface),
            "correct the default route, or see whether the router is up: clients beyond it cannot reach the virtual IPs".to_owned(),
        );
    }
}

fn macs(seen: &SegmentReport, address: IpAddr) -> &[String] {
    let mut neighbours = seen.neighbours.iter();
    neighbours
        .find(|neighbour| neighbour.address == address)
        .map_or(&[], |neighbour| neighbour.macs.as_slice())
}
