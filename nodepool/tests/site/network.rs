//! The network of the scripted machines, as `lbnode probe` on them would see it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use cluster_config::probe::{
    FrontReport, Hearing, Neighbour, ReachReport, RouterHeard, SegmentPlan, SegmentReport,
    VipReport,
};
use nodepool::digest::sha256;
use nodepool::remote::{Held, Hold, Input, Output, Script};

use super::{Inner, Site};

/// What is wrong with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Network {
    /// Adverts that are lost, as sender and receiver.
    pub(crate) adverts_lost: BTreeSet<(IpAddr, IpAddr)>,
    /// Heartbeats that are lost.
    pub(crate) heartbeats_lost: BTreeSet<(IpAddr, IpAddr)>,
    /// Questions by ARP that stay without an answer, as asker and asked.
    pub(crate) arp_lost: BTreeSet<(IpAddr, IpAddr)>,
    /// Who answers for an address beside its owner.
    pub(crate) strangers: Vec<(IpAddr, String)>,
    /// Virtual routers of others.
    pub(crate) routers: Vec<RouterHeard>,
    /// Claims of these machines are dropped by their switch.
    pub(crate) claims_dropped: BTreeSet<IpAddr>,
    /// The gateway brings packets for a claimed address to nobody but this one.
    pub(crate) gateway_keeps_to: Option<IpAddr>,
    /// Programs do not get to this machine whole.
    pub(crate) cut_off: Option<IpAddr>,
    /// The operator presses Ctrl-C while a probe of this name runs.
    pub(crate) ctrl_c: Option<&'static str>,
    /// Who claims an address at the moment, and what was claimed so far.
    claiming: Option<IpAddr>,
    pub(crate) claims: Vec<IpAddr>,
    /// The load balancer of somebody else.
    pub(crate) front: Front,
    /// Who stands in for an API server at the moment; and who did so together, in order.
    standing: BTreeSet<IpAddr>,
    pub(crate) stood: Vec<BTreeSet<IpAddr>>,
    /// Programs for probes that are there now, as machine and run; and where some were brought.
    pub(crate) programs: BTreeSet<(IpAddr, String)>,
    pub(crate) brought: Vec<IpAddr>,
}

/// How the load balancer of somebody else is set up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Front {
    /// Its back ends, by their addresses in the cluster.
    pub(crate) back_ends: BTreeSet<IpAddr>,
    /// It sends clients to back ends that do not listen.
    pub(crate) blind: bool,
    /// A back end that connects by way of it gets no answer from itself.
    pub(crate) no_way_back: bool,
    /// Each client always gets the same back end.
    pub(crate) sticky: bool,
}

impl Front {
    fn look(&self, asker: IpAddr, standing: &BTreeSet<IpAddr>) -> FrontReport {
        let mut behind: Vec<IpAddr> = self.back_ends.intersection(standing).copied().collect();
        let trouble = if behind.is_empty() {
            Some("connection refused")
        } else if self.blind && behind.len() < self.back_ends.len() {
            Some("connection reset")
        } else if self.no_way_back && behind == [asker] {
            Some("timed out")
        } else {
            None
        };
        if self.sticky {
            behind.truncate(1);
        }
        FrontReport {
            found: match trouble {
                Some("connection reset") | None => behind.iter().map(ToString::to_string).collect(),
                Some(_) => Vec::new(),
            },
            steady: trouble.is_none(),
            in_a_row: if trouble.is_none() { 3 } else { 0 },
            trouble: trouble.map(str::to_owned),
        }
    }
}

const GATEWAY_MAC: &str = "02:00:0a:0a:00:01";

fn mac(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("02:00:0a:0a:00:{:02x}", v4.octets()[3]),
        IpAddr::V6(_) => String::new(),
    }
}

/// A script that lasts: the program for probes, or a claim.
pub(crate) fn hold(site: &Site, address: IpAddr, script: &Script) -> Hold {
    let mut inner = site.inner();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let run = script.args[0].clone();
    if script.id == "probe-bring" {
        if inner.network.cut_off == Some(address) {
            return Hold::Ended(Output {
                status: 65,
                stdout: String::new(),
                stderr: "the program did not arrive whole".to_owned(),
            });
        }
        if let Input::File(path) = &script.input {
            let program = std::fs::read(path).expect("the program is there");
            assert_eq!(sha256(&program), script.args[1]);
            assert_eq!(program.len().to_string(), script.args[2]);
        } else {
            assert_eq!(script.args[2], "0", "nothing is sent");
        }
        inner.network.programs.insert((address, run.clone()));
        inner.network.brought.push(address);
    } else if script.id == "probe-stand-in" {
        let mut words = script.args.iter().skip_while(|word| *word != "--listen");
        let listen = words.nth(1).expect("a place");
        let listen: std::net::SocketAddr = listen.parse().expect("an address and a port");
        assert_eq!((listen.ip(), listen.port()), (inner.node_ip(address), 6444));
        inner.network.standing.insert(listen.ip());
    } else {
        let program = (address, run.clone());
        assert!(inner.network.programs.contains(&program), "no program");
        assert_eq!(inner.network.claiming, None, "one claims at a time");
        inner.network.claiming = Some(address);
        inner.network.claims.push(address);
    }
    let (site, id) = (site.clone(), script.id);
    tokio::spawn(async move {
        stopped.await.ok();
        let mut inner = site.inner();
        match id {
            "probe-claim" => inner.network.claiming = None,
            "probe-stand-in" => {
                let node_ip = inner.node_ip(address);
                inner.network.standing.remove(&node_ip);
            }
            _ => drop(inner.network.programs.remove(&(address, run))),
        }
        end.send(()).ok();
    });
    Hold::Held(Held::new(stop).watched(ended))
}

/// What a probe prints.
pub(crate) fn answer(inner: &mut Inner, address: IpAddr, script: &Script) -> Output {
    if script.id == "probe-front" && inner.network.stood.last() != Some(&inner.network.standing) {
        let standing = inner.network.standing.clone();
        inner.network.stood.push(standing);
    }
    let network = &inner.network;
    let program = (address, script.args[0].clone());
    assert!(network.programs.contains(&program), "no program");
    let words = script.args[1..].join(" ");
    let word_after = |name: &str| {
        let mut words = script.args.iter().skip_while(|word| *word != name);
        words
            .nth(1)
            .map(|word| word.parse::<IpAddr>().expect("an address"))
    };
    let stdout = match script.id {
        "probe-segment" => {
            let Input::Bytes(plan) = &script.input else {
                panic!("the plan is the input");
            };
            let plan: SegmentPlan = serde_json::from_slice(plan).expect("a plan");
            serde_json::to_string(&segment(network, &plan)).expect("JSON")
        }
        "probe-vip" => {
            let vip = word_after("--address").expect("a virtual IP");
            let stranger = network.strangers.iter().find(|(has, _)| *has == vip);
            let report = VipReport {
                address: vip,
                answered: stranger.is_some(),
                mac: stranger.map(|(_, mac)| mac.clone()),
                interface: "eth0".to_owned(),
            };
            serde_json::to_string(&report).expect("JSON")
        }
        "probe-reach" => {
            let claimant = network.claiming.expect("somebody claims it");
            let passes = !network.claims_dropped.contains(&claimant);
            let only_gateway = words.contains("--only-gateway");
            let gateway = word_after("--gateway");
            let kept = network.gateway_keeps_to.is_some_and(|to| to != claimant);
            let report = ReachReport {
                macs: if passes && !only_gateway {
                    vec![mac(claimant)]
                } else {
                    Vec::new()
                },
                reached: passes && !only_gateway,
                gateway: gateway.map(|_| GATEWAY_MAC.to_owned()),
                through_gateway: gateway.map(|_| passes && !kept),
            };
            serde_json::to_string(&report).expect("JSON")
        }
        "probe-front" => {
            let report = network
                .front
                .look(inner.node_ip(address), &network.standing);
            serde_json::to_string(&report).expect("JSON")
        }
        other => panic!("not understood: {other}"),
    };
    Output {
        status: 0,
        stdout: stdout + "\n",
        stderr: String::new(),
    }
}

fn segment(network: &Network, plan: &SegmentPlan) -> SegmentReport {
    let own = plan.stations[usize::from(plan.me)].address;
    let hearing = |takes_part: fn(&cluster_config::probe::Station) -> bool, lost: &BTreeSet<_>| {
        let stations = (0u16..).zip(&plan.stations);
        let heard = stations.filter(|(place, station)| {
            *place != plan.me && takes_part(station) && !lost.contains(&(station.address, own))
        });
        takes_part(&plan.stations[usize::from(plan.me)]).then(|| Hearing {
            heard: heard.map(|(place, _)| place).collect(),
            trouble: None,
        })
    };
    let asked = plan
        .stations
        .iter()
        .map(|station| station.address)
        .chain(plan.gateway);
    let neighbours = asked.filter(|address| *address != own).map(|address| {
        let lost = network.arp_lost.contains(&(own, address));
        let strangers = network.strangers.iter().filter(|(has, _)| *has == address);
        let owner = (!lost).then(|| mac(address));
        Neighbour {
            address,
            macs: owner
                .into_iter()
                .chain(strangers.map(|(_, mac)| mac.clone()))
                .collect(),
        }
    });
    SegmentReport {
        interface: "eth0".to_owned(),
        mac: mac(own),
        link_local: None,
        neighbours: neighbours.collect(),
        vrrp: hearing(|station| station.vrrp, &network.adverts_lost),
        vrrp6: None,
        heartbeat: hearing(|station| station.heartbeat, &network.heartbeats_lost),
        routers: network.routers.clone(),
    }
}
