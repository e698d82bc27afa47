//! Each check sees what it is there for, and nothing else.

mod addresses;
mod front;
mod machines;

use super::Verdict::{Fail, Warn};
use super::*;
use crate::core::cluster_view::{ClusterView, Maintenance, NodeView};
use crate::core::from_config;
use crate::core::service_view::{
    Owner, PodState, PoolState, ServiceState, ServiceView, SpeakerState, Usage,
};
use crate::core::status::{
    Hearing, Pages, ProxyState, RouterHealth, RouterState, ServerState, picture,
};
use crate::manifest::static_pod;

const EXAMPLE: &str = include_str!("../../../../../examples/three-control-planes.yaml");
const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;
const SINCE: &str = "2026-01-01T00:00:00Z";

/// A cluster that is well, to be spoilt.
struct Scene {
    desired: Desired,
    picture: Picture,
    clocks: BTreeMap<IpAddr, i64>,
    certificates: BTreeMap<IpAddr, Vec<Certificate>>,
    unknown: Option<String>,
}

fn at(index: u8) -> IpAddr {
    [10, 10, 0, 11 + index].into()
}

fn router(index: u8) -> RouterState {
    let state = if index == 0 { "active" } else { "backup" };
    RouterState {
        state: state.to_owned(),
        since: SINCE.to_owned(),
        why: "why".to_owned(),
        routers: vec![Hearing {
            active_peer: (index != 0).then(|| at(0)),
            source: Some(at(index)),
        }],
        health: RouterHealth::default(),
    }
}

fn proxy() -> ProxyState {
    let server = |index| ServerState {
        name: at(index).to_string(),
        state: "up".to_owned(),
        since: SINCE.to_owned(),
        why: String::new(),
        sessions: 0,
    };
    ProxyState {
        servers: (0..3).map(server).collect(),
    }
}

fn speaker(index: u8) -> SpeakerState {
    let others = (0..3).filter(|other| *other != index);
    SpeakerState {
        node: format!("m{index}"),
        phase: "Serving".to_owned(),
        ready: Some(true),
        since: Some(SINCE.to_owned()),
        addresses: 1,
        hears: others.map(|other| format!("m{other}")).collect(),
        version: "0.1.0".to_owned(),
        ..SpeakerState::default()
    }
}

fn addresses() -> ServiceView {
    let usage = |assigned: &str, total: &str| Usage {
        assigned: assigned.to_owned(),
        total: total.to_owned(),
        available: String::new(),
    };
    ServiceView {
        pools: vec![PoolState {
            pool: "default".to_owned(),
            manual: false,
            ipv4: usage("1", "40"),
            ipv6: usage("0", "0"),
            ready: true,
            since: Some(SINCE.to_owned()),
            why: String::new(),
        }],
        controllers: vec![PodState {
            node: "m0".to_owned(),
            ready: true,
            since: Some(SINCE.to_owned()),
            why: None,
        }],
        speakers: (0..3).map(speaker).collect(),
        services: vec![ServiceState {
            service: "shop/web".to_owned(),
            address: Some([10, 10, 0, 200].into()),
            owner: Some(Owner {
                node: "m1".to_owned(),
                interface: "eth0".to_owned(),
                mac: "02:00:00:00:00:01".to_owned(),
                since: SINCE.to_owned(),
                why: "nobody had it".to_owned(),
                term: 1,
                conflict: None,
            }),
            ours: true,
            ..ServiceState::default()
        }],
        rivals: Vec::new(),
    }
}

fn scene() -> Scene {
    let loaded = cluster_config::load(EXAMPLE, "x");
    let desired = from_config::desired(&loaded.cluster.expect("the file is valid"));
    let mut view = ClusterView::default();
    for index in 0..3 {
        let node = NodeView {
            ready: true,
            since: Some(SINCE.to_owned()),
            addresses: vec![at(index)],
            version: "v1.36.3".to_owned(),
            runtime: Some("containerd://1.7.24".to_owned()),
            ..NodeView::default()
        };
        view.nodes.insert(format!("m{index}"), node);
    }
    let mut picture = picture(&desired, Ok(&view), |machine| {
        let index = (0..3).find(|index| at(*index) == machine.address);
        let index = index.expect("one of three");
        Ok(Pages {
            hostname: Some(format!("m{index}")),
            lbnode: Some("lbnode 0.1.0 (commit a, x)".to_owned()),
            vrrp: Some(router(index)),
            proxy: Some(proxy()),
            speaker: None,
        })
    });
    picture.data_plane = Some(addresses());
    for node in &mut picture.nodes {
        node.drift = Some(Vec::new());
    }
    let certificate = |path: &str| Certificate {
        path: path.to_owned(),
        mode: 0o644,
        not_after: Some(NOW + 300 * DAY),
    };
    let certificates = (0..3).map(|index| {
        let all = vec![
            certificate(static_pod::CA),
            certificate("/etc/kubernetes/pki/apiserver.crt"),
        ];
        (at(index), all)
    });
    Scene {
        certificates: certificates.collect(),
        clocks: (0..3).map(|index| (at(index), NOW)).collect(),
        desired,
        picture,
        unknown: None,
    }
}

impl Scene {
    fn rows(&self) -> Vec<Row> {
        check(&Evidence {
            desired: &self.desired,
            picture: &self.picture,
            clocks: &self.clocks,
            certificates: &self.certificates,
            unknown: self.unknown.as_deref(),
            now: NOW,
        })
    }

    fn node(&mut self, index: usize) -> &mut NodeState {
        self.picture.nodes.get_mut(index).expect("a node")
    }

    fn view(&mut self) -> &mut ServiceView {
        self.picture.data_plane.as_mut().expect("a data plane")
    }

    fn certificate(&mut self, index: u8) -> &mut Certificate {
        let all = self.certificates.get_mut(&at(index)).expect("a machine");
        all.last_mut().expect("a certificate")
    }
}

/// What is not as it should be after a scene was spoilt.
fn found(spoil: impl FnOnce(&mut Scene)) -> Vec<Row> {
    let mut scene = scene();
    spoil(&mut scene);
    let mut rows = scene.rows();
    rows.retain(|row| row.result != Verdict::Pass);
    for row in &rows {
        assert!(row.hint.is_some() && !row.detail.is_empty(), "{row:?}");
    }
    rows
}

/// The only row of these that is not as it should be.
#[track_caller]
fn only(check: Check, node: Option<&str>, result: Verdict, spoil: impl FnOnce(&mut Scene)) -> Row {
    let mut rows = found(spoil);
    let shown = format!("{rows:#?}");
    assert_eq!(rows.len(), 1, "{shown}");
    let row = rows.remove(0);
    let is = (row.check, row.node.as_deref(), row.result);
    assert_eq!(is, (check, node, result), "{shown}");
    row
}

/// Somebody works on a node.
fn rest(scene: &mut Scene, index: usize) {
    scene.node(index).maintenance = Some(Maintenance {
        since: SINCE.to_owned(),
        drained: true,
    });
}

#[test]
fn a_cluster_that_is_well_passes_each_check() {
    let rows = scene().rows();
    let bad: Vec<&Row> = rows
        .iter()
        .filter(|row| row.result != Verdict::Pass)
        .collect();
    assert_eq!(bad, Vec::<&Row>::new());
    for check in Check::ALL {
        assert!(rows.iter().any(|row| row.check == *check), "{check:?}");
    }
    assert!(rows.is_sorted_by_key(|row| row.check));
    assert_eq!(judge(&rows, 3), Judgement::Well);
}

#[test]
fn what_is_broken_counts_more_than_what_differs() {
    let row = |check, result| Row {
        check,
        node: None,
        address: None,
        result,
        since: None,
        detail: String::new(),
        hint: None,
    };
    let drift = row(Check::Drift, Fail);
    let ssh = row(Check::Ssh, Fail);
    let cases = [
        (vec![row(Check::Pools, Warn)], Judgement::Well),
        (vec![drift.clone()], Judgement::Differs),
        (vec![drift.clone(), ssh.clone()], Judgement::Partial),
        (vec![drift, ssh, row(Check::Proxy, Fail)], Judgement::Broken),
    ];
    for (rows, expected) in cases {
        assert_eq!(judge(&rows, 3), expected, "{rows:?}");
    }
}
