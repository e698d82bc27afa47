mod faults;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::core::desired::Machine;
use crate::core::facts::{ConfigOwner, InterfaceSettings, Listener, Membership};
use crate::core::from_config;
use crate::manifest::cni;
use crate::oci::Archive;

pub(super) fn cluster() -> Cluster {
    let text = include_str!("../../../../../examples/three-control-planes.yaml");
    let loaded = cluster_config::load(text, "x");
    loaded.cluster.expect("the example is valid")
}

pub(super) fn desired() -> Desired {
    from_config::desired(&cluster())
}

/// A machine on which everything is well.
pub(super) fn good(machine: &Machine, name: &str) -> Facts {
    let mut facts = Facts {
        hostname: name.to_owned(),
        architecture: "amd64".to_owned(),
        kernel: "6.1.0-18-amd64".to_owned(),
        init: "systemd".to_owned(),
        cgroup: 2,
        now: 1_700_000_000,
        disk_free_kib: 1 << 30,
        nameservers: vec!["10.0.0.1".to_owned()],
        kubeadm: Some("v1.36.3".to_owned()),
        kubelet: Some("v1.36.3".to_owned()),
        ..Facts::default()
    };
    for program in [
        "flock",
        "sha256sum",
        "mktemp",
        "ip",
        "ss",
        "systemctl",
        "ctr",
    ] {
        facts
            .programs
            .insert(program.to_owned(), format!("/usr/bin/{program}"));
    }
    facts.containerd.version = Some("1.7.0".to_owned());
    facts.containerd.config = ConfigOwner::Distribution;
    let net = format!("{}/24", machine.node_ip)
        .parse()
        .expect("an address");
    facts.addresses.push(("eth0".to_owned(), net));
    facts.host.os_ids = vec!["debian".to_owned()];
    facts.host.umask = Some(0o022);
    let gateway = ("eth0".to_owned(), [10, 10, 0, 1].into());
    facts.wiring.gateways.push(gateway);
    let plugins: BTreeSet<String> = cni::PLUGINS.map(str::to_owned).into();
    facts.cni_plugins.insert("/opt/cni/bin".to_owned(), plugins);
    facts
}

pub(super) fn lbnode() -> Lbnode {
    Lbnode {
        path: "lbnode".into(),
        architecture: "amd64".to_owned(),
        sha256: "sum".to_owned(),
        version: Some("0.1.0 (commit a)".to_owned()),
        image: Archive {
            bytes: [].into(),
            digest: String::new(),
        },
    }
}

/// Checks of what the findings about the second machine are after `spoil`.
fn findings(spoil: impl Fn(&mut Facts)) -> Vec<(&'static str, String)> {
    let desired = desired();
    let mut machines = BTreeMap::new();
    for (index, machine) in desired.machines.iter().enumerate() {
        let mut facts = good(machine, &format!("m{index}"));
        if index == 1 {
            spoil(&mut facts);
        }
        machines.insert(machine.address, Reach::Up(Box::new(facts)));
    }
    let found = check(&Preflight {
        cluster: &cluster(),
        desired: &desired,
        bundle: None,
        packages: None,
        lbnode: &lbnode(),
        routed_network: true,
        replace_edited: false,
        machines: &machines,
    });
    for finding in &found {
        assert_eq!(
            finding.address,
            Some(desired.machines[1].address),
            "{finding:?}"
        );
        assert!(!finding.fix.is_empty(), "{finding:?}");
    }
    found
        .into_iter()
        .map(|finding| (finding.check.name(), finding.cause))
        .collect()
}

fn net(text: &str) -> ipnet::IpNet {
    text.parse().expect("an address")
}

const fn settings(rp_filter: u8, arp_ignore: u8, arp_announce: u8) -> InterfaceSettings {
    InterfaceSettings {
        rp_filter,
        arp_ignore,
        arp_announce,
    }
}

fn listen(port: u16, program: &str) -> Listener {
    Listener {
        address: None,
        port,
        process: Some((program.to_owned(), 7)),
    }
}

#[test]
fn good_machines_have_no_findings() {
    assert_eq!(findings(|_| {}), []);
}

#[test]
fn ports_are_refused_when_a_stranger_has_them_and_only_then() {
    for port in [
        443, 6444, 2379, 2380, 10250, 10257, 10259, 11000, 11003, 11443,
    ] {
        let found = findings(|facts| facts.listeners.push(listen(port, "nginx")));
        assert_eq!(found.len(), 1, "{port}");
        assert!(
            found[0]
                .1
                .contains(&format!("port {port} is taken by `nginx` (pid 7)")),
            "{found:?}"
        );
    }
    let ours = findings(|facts| {
        facts.ledger = true;
        facts
            .listeners
            .extend([listen(443, "lbnode"), listen(6444, "kube-apiserver")]);
    });
    assert_eq!(ours, []);
    let not_ours = findings(|facts| facts.listeners.push(listen(6444, "kube-apiserver")));
    assert_eq!(not_ours.len(), 1);
    // Another address than the virtual IP does not matter.
    let beside = findings(|facts| {
        let address = Some([127, 0, 0, 1].into());
        facts.listeners.push(Listener {
            address,
            ..listen(443, "nginx")
        });
    });
    assert_eq!(beside, []);
}

#[test]
fn a_suitable_containerd_configuration_is_left_alone() {
    let found = findings(|facts| {
        facts.containerd.config = ConfigOwner::Edited;
        facts.containerd.systemd_cgroup = true;
    });
    assert_eq!(found, []);
}

#[test]
fn a_member_s_pods_and_their_interfaces_are_its_own() {
    let found = findings(|facts| {
        facts.ledger = true;
        facts.member = Some(Membership {
            cluster: "lab".to_owned(),
            role: "control-plane".to_owned(),
        });
        facts
            .addresses
            .push(("veth1".to_owned(), net("10.244.1.1/32")));
        facts.listeners.push(listen(10256, "kube"));
        facts.wiring.udp.push(listen(7946, "lbnode"));
    });
    // The others are bare: that this one is a member is the only finding.
    let checks: Vec<&str> = found.iter().map(|(check, _)| *check).collect();
    assert!(
        checks.iter().all(|check| *check == "membership"),
        "{found:?}"
    );
}

#[test]
fn a_clock_is_judged_by_the_majority() {
    let found = findings(|facts| facts.now -= 3600);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].1.contains("-3600 s off"), "{found:?}");
}

#[test]
fn an_interface_of_the_file_must_be_there() {
    let text = include_str!("../../../../../examples/three-control-planes.yaml").replace(
        "    addressPools:",
        "    vrrp:\n      interface: bond0.7\n    addressPools:",
    );
    let loaded = cluster_config::load(&text, "x");
    let cluster = loaded.cluster.expect("it is valid");
    let desired = from_config::desired(&cluster);
    let machines = desired.machines.iter().map(|machine| {
        let facts = good(machine, &machine.address.to_string());
        (machine.address, Reach::Up(Box::new(facts)))
    });
    let found = check(&Preflight {
        cluster: &cluster,
        desired: &desired,
        bundle: None,
        packages: None,
        lbnode: &lbnode(),
        routed_network: true,
        replace_edited: false,
        machines: &machines.collect(),
    });
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].cause.contains("no interface `bond0.7`"),
        "{found:?}"
    );
}
