use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::core::desired::Machine;
use crate::core::facts::{ConfigOwner, Listener, Membership};
use crate::core::from_config;
use crate::manifest::cni;
use crate::oci::Archive;

fn desired() -> Desired {
    let text = include_str!("../../../../examples/three-control-planes.yaml");
    let cluster = cluster_config::load(text, "x")
        .cluster
        .expect("the example is valid");
    from_config::desired(&cluster)
}

/// A machine on which everything is well.
fn good(machine: &Machine, name: &str) -> Facts {
    let mut facts = Facts {
        hostname: name.to_owned(),
        architecture: "amd64".to_owned(),
        init: "systemd".to_owned(),
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
    let plugins: BTreeSet<String> = cni::PLUGINS.map(str::to_owned).into();
    facts.cni_plugins.insert("/opt/cni/bin".to_owned(), plugins);
    facts
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
    let lbnode = Lbnode {
        path: "lbnode".into(),
        architecture: "amd64".to_owned(),
        sha256: String::new(),
        image: Archive {
            bytes: Vec::new(),
            digest: String::new(),
        },
    };
    let found = check(&Preflight {
        desired: &desired,
        bundle: None,
        lbnode: &lbnode,
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
        .map(|finding| (finding.check, finding.cause))
        .collect()
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
fn each_fault_is_named_once_with_its_cause() {
    type Case = (&'static str, &'static str, fn(&mut Facts));
    let cases: [Case; 18] = [
        ("systemd", "process 1 is `init`", |f| {
            f.init = "init".to_owned()
        }),
        ("programs", "`ss` is missing", |f| {
            drop(f.programs.remove("ss"))
        }),
        ("swap", "swap is on: /dev/sda2", |f| {
            f.swap.push("/dev/sda2".to_owned())
        }),
        ("disk", "100 MiB are free", |f| f.disk_free_kib = 102_400),
        ("hostname", "the host name is `localhost`", |f| {
            f.hostname = "localhost".to_owned()
        }),
        ("hostname", "10.10.0.11 and 10.10.0.12 have the same", |f| {
            f.hostname = "m0".to_owned()
        }),
        ("resolver", "no name server", |f| f.nameservers.clear()),
        (
            "lbnode-architecture",
            "is arm64, `lbnode` is for amd64",
            |f| f.architecture = "arm64".to_owned(),
        ),
        ("kubeadm", "nor are kubeadm and kubelet", |f| {
            f.kubelet = None
        }),
        ("kubeadm", "v1.35.0 is installed, but v1.36.3", |f| {
            f.kubeadm = Some("v1.35.0".to_owned())
        }),
        ("cni-plugins", "the CNI plugins", |f| f.cni_plugins.clear()),
        ("containerd", "not installed", |f| {
            f.containerd.version = None
        }),
        ("containerd-config", "was edited", |f| {
            f.containerd.config = ConfigOwner::Edited
        }),
        (
            "node-address",
            "does not have the address 10.10.0.12",
            |f| f.addresses.clear(),
        ),
        ("clock", "its clock is 60 s off", |f| f.now += 60),
        ("membership", "belongs to the cluster `other`", |f| {
            f.member = Some(Membership {
                cluster: "other".to_owned(),
                role: "control-plane".to_owned(),
            });
        }),
        ("membership", "a cluster at https://10.9.9.9:443", |f| {
            f.kubeconfigs
                .insert("admin".to_owned(), "https://10.9.9.9:443".to_owned());
        }),
        (
            "vip-free",
            "is configured on the machine's interface eth1",
            |f| {
                f.addresses.push((
                    "eth1".to_owned(),
                    "10.10.0.100/32".parse().expect("an address"),
                ));
            },
        ),
    ];
    for (check, cause, spoil) in cases {
        let found = findings(spoil);
        assert_eq!(found.len(), 1, "{check}: {found:?}");
        assert_eq!(found[0].0, check);
        assert!(found[0].1.contains(cause), "{found:?}");
    }
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
fn whoever_has_the_virtual_ip_is_named_by_mac() {
    let asked = [10, 10, 0, 11].into();
    let answer = VipAnswer {
        vip: [10, 10, 0, 100].into(),
        mac: "02:00:0a:0a:00:32".to_owned(),
        interface: "eth0".to_owned(),
    };
    let findings = vip_answers(&BTreeMap::from([(asked, vec![answer])]), |_| {
        Some("cp1".to_owned())
    });
    assert_eq!(
        findings[0].cause,
        "the virtual IP 10.10.0.100 is already in use: 02:00:0a:0a:00:32 answers for it on eth0"
    );
    assert!(fails(&findings));
}
