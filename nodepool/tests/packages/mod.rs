//! Software from the packages of the machines' distribution: the same end as with a bundle, from every interruption.

use nodepool::commands::{Consent, Outcome};
use nodepool::core::preflight::Severity;
use nodepool::core::version::Version;
use nodepool::packages::Packages;

use crate::site::{Fault, Site};

const FILE: &str = include_str!("../../../examples/three-control-planes.yaml");
const NAMES: [&str; 5] = ["containerd", "cri-tools", "kubeadm", "kubectl", "kubelet"];
const APT: &str = "/etc/apt/sources.list.d/lbctl-kubernetes.sources";
const DNF: &str = "/etc/yum.repos.d/lbctl-kubernetes.repo";

/// Machines with nothing but a package manager.
fn site(manager: &'static str, file: &str, key: Option<&str>) -> Site {
    let mut site = Site::new(file);
    site.artefacts.bundle = None;
    site.artefacts.packages = Some(Packages {
        version: Version::parse("v1.36.3").expect("a version"),
        mirror: None,
        key: key.map(str::to_owned),
    });
    for machine in site.inner().machines.values_mut() {
        machine.manager = Some(manager);
    }
    site
}

fn position(changes: &[String], text: &str) -> usize {
    let found = changes.iter().position(|change| change.contains(text));
    found.unwrap_or_else(|| panic!("no {text} in {changes:#?}"))
}

#[tokio::test]
async fn packages_come_to_all_machines_before_anything_else() {
    for (manager, source) in [("apt", APT), ("dnf", DNF)] {
        let site = site(manager, FILE, None);
        assert_eq!(site.create().await, Ok(Outcome::Changed));
        let changes = std::mem::take(&mut site.inner().changes);
        let order = [
            format!("fetch-package-key {manager}"),
            format!("put-file {source}"),
            format!("install-packages {manager}"),
            "put-file /etc/containerd/config.toml".to_owned(),
            "restart-containerd".to_owned(),
            "kubeadm-init".to_owned(),
        ];
        let places: Vec<usize> = order.iter().map(|text| position(&changes, text)).collect();
        assert!(places.is_sorted(), "{places:?} {changes:#?}");
        let mut installations = changes
            .iter()
            .enumerate()
            .filter(|(_, change)| change.contains("install-packages"));
        let last = installations.next_back().map(|(index, _)| index);
        assert!(last.is_some_and(|last| last < places[3]), "{changes:#?}");
        for machine in site.inner().machines.values() {
            assert!(machine.packages.iter().eq(NAMES), "{:?}", machine.packages);
            assert!(machine.is_member() && !machine.installing);
        }
        assert_eq!(site.create().await, Ok(Outcome::NothingToDo));
        assert_eq!(site.inner().changes, Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_interrupted_installation_is_finished_by_the_next_run() {
    let whole = site("apt", FILE, Some("KEY"));
    whole.create().await.expect("the undisturbed run works");
    let changes = whole.inner().changes.clone();
    let steps = changes
        .iter()
        .rposition(|change| change.contains("install-packages"));
    let steps = steps.expect("packages were installed") + 1;
    for fault in [Fault::Before, Fault::Half, Fault::After, Fault::CtrlC] {
        for at in 1..=steps {
            let site = site("apt", FILE, Some("KEY"));
            site.inner().fault = Some((at, fault));
            let first = site.create().await;
            assert!(first.is_err(), "{fault:?} at {}", changes[at - 1]);
            site.inner().fault = None;
            let second = site.create().await;
            assert!(second.is_ok(), "{fault:?} at {at}: {second:?}");
            {
                let undisturbed = whole.inner();
                for (address, machine) in &site.inner().machines {
                    let expected = &undisturbed.machines[address];
                    assert_eq!(machine.packages, expected.packages);
                    assert!(machine.files.keys().eq(expected.files.keys()));
                    assert!(!machine.installing);
                }
            }
            site.inner().changes.clear();
            assert_eq!(site.create().await, Ok(Outcome::NothingToDo));
            assert_eq!(site.inner().changes, Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn a_file_that_forbids_it_gets_no_repository() {
    let forbids = FILE.replacen(
        "  clusterNetwork:\n",
        "  osEnvironmentConfig:\n    addPackageRepo: false\n  clusterNetwork:\n",
        1,
    );
    assert_ne!(forbids, FILE);
    let site = site("apt", &forbids, Some("KEY"));
    assert_eq!(site.create().await, Ok(Outcome::Changed));
    for machine in site.inner().machines.values() {
        let ours = |path: &String| path.contains("lbctl-kubernetes");
        assert!(!machine.files.keys().any(ours), "{:?}", machine.files);
        assert!(machine.packages.iter().eq(NAMES));
    }
}

#[tokio::test]
async fn a_machine_that_joins_later_gets_the_packages_and_members_are_left_alone() {
    let mut site = site("dnf", FILE, Some("KEY"));
    site.create().await.expect("the cluster is made");
    site.inner().changes.clear();
    site.edit(&format!(
        "{FILE}\n---\napiVersion: baremetal.cluster.gke.io/v1\nkind: NodePool\nmetadata:\n  name: workers\n  namespace: cluster-lab\n\
         spec:\n  clusterName: lab\n  nodes:\n  - address: 10.10.0.31\n"
    ));
    for machine in site.inner().machines.values_mut() {
        machine.manager = Some("dnf");
    }
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    let changes = site.inner().changes.clone();
    let installed: Vec<&String> = changes
        .iter()
        .filter(|change| change.contains("install-packages"))
        .collect();
    assert_eq!(installed, ["10.10.0.31 install-packages dnf"]);
}

#[tokio::test]
async fn what_cannot_be_had_is_said_before_anything_is_changed() {
    let site = site("apt", FILE, None);
    {
        let mut inner = site.inner();
        let mut machines = inner.machines.values_mut();
        machines.next().expect("a machine").manager = None;
        let other = machines.next().expect("a machine");
        other.further.push("kubeadm=v1.35.0".to_owned());
    }
    let looked = site.look().await.expect("nobody interrupts");
    let fails = looked.findings.iter();
    let fails = fails.filter(|finding| finding.severity == Severity::Fail);
    let causes: Vec<&str> = fails.map(|finding| finding.cause.as_str()).collect();
    assert_eq!(
        causes,
        [
            "packages are asked for, and the machine has neither apt nor dnf",
            "kubeadm v1.35.0 is installed, and packages of v1.36.3 are asked for",
        ]
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}
