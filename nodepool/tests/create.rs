//! `create cluster` against scripted machines: it converges from every interruption, and then does nothing.

mod checkup;
mod hundred;
mod packages;
mod placements;
mod preflight;
mod site;
mod snapshot;
mod takeover;
mod update;

use nodepool::commands::Outcome;
use site::{Fault, Site};

/// Three control planes and a worker.
fn file() -> String {
    let file = include_str!("../../examples/three-control-planes.yaml");
    format!(
        "{file}\n---\napiVersion: baremetal.cluster.gke.io/v1\nkind: NodePool\nmetadata:\n  name: workers\n  namespace: cluster-lab\n\
         spec:\n  clusterName: lab\n  nodes:\n  - address: 10.10.0.31\n  labels:\n    tier: front\n  taints:\n  - {{key: dedicated, value: web, effect: NoSchedule}}\n"
    )
}

#[tokio::test]
async fn a_cluster_is_made_and_the_second_run_does_nothing() {
    let site = Site::new(&file());
    assert_eq!(site.create().await, Ok(Outcome::Changed));
    let changes = std::mem::take(&mut site.inner().changes);
    let order = |id: &str| changes.iter().position(|change| change.contains(id));
    // Configuration, image, manifest; and the load balancer before kubeadm.
    assert!(order("/etc/lbnode/proxy.yaml") < order("docker.io/library/lbnode"));
    assert!(order("docker.io/library/lbnode") < order("manifests/lb-vrrp.yaml"));
    assert!(order("manifests/lb-proxy.yaml") < order("kubeadm-init"));
    assert!(order("kubeadm-init") < order("kubeadm-join"));
    assert_eq!(
        changes
            .iter()
            .filter(|change| change.contains("kubeadm-join"))
            .count(),
        3
    );
    assert!(
        !changes.iter().any(|change| change.contains("upload-certs")),
        "init has done that"
    );

    let worker = site.inner().nodes["m3"].clone();
    assert_eq!(worker.labels["tier"], "front");
    assert_eq!(worker.taints[0].key, "dedicated");
    let label = "baremetal.cluster.gke.io/lbnode";
    assert!(!worker.labels.contains_key(label));
    assert_eq!(site.inner().nodes["m0"].labels[label], "true");
    let applied = site.inner().applied.clone();
    for object in [
        "Deployment/lb-controller",
        "DaemonSet/lb-speaker",
        "AddressPool/default",
        "L2Advertisement/default",
    ] {
        assert!(applied.contains_key(object), "{object} was not applied");
    }

    let state = site.state();
    assert_eq!(site.create().await, Ok(Outcome::NothingToDo));
    assert_eq!(site.inner().changes, Vec::<String>::new());
    assert_eq!(site.state(), state);
}

#[tokio::test]
async fn every_interruption_is_finished_by_the_next_run() {
    // Two control planes and a worker have every kind of step.
    let file = file().replace("      - address: 10.10.0.13\n", "");
    let whole = Site::new(&file);
    whole.create().await.expect("the undisturbed run works");
    let steps = whole.inner().changes.len();
    assert!(steps > 40, "{steps} steps");
    for fault in [Fault::Before, Fault::Half, Fault::After, Fault::CtrlC] {
        for at in 1..=steps {
            let site = Site::new(&file);
            site.inner().fault = Some((at, fault));
            let first = site.create().await;
            let step = site.inner().changes[at - 1].clone();
            assert!(first.is_err(), "{fault:?} at {step}");
            site.inner().fault = None;
            let second = site.create().await;
            assert!(second.is_ok(), "{fault:?} at {step}: {second:?}");
            assert_same_end(&whole, &site, &format!("{fault:?} at {step}"));
            site.inner().changes.clear();
            assert_eq!(
                site.create().await,
                Ok(Outcome::NothingToDo),
                "{fault:?} at {step}"
            );
            assert_eq!(
                site.inner().changes,
                Vec::<String>::new(),
                "{fault:?} at {step}"
            );
        }
    }
}

/// Pod ranges go to nodes as they come; everything else must be the same.
fn assert_same_end(whole: &Site, site: &Site, when: &str) {
    let (whole, site) = (whole.inner(), site.inner());
    assert_eq!(site.token_secrets, Vec::<String>::new(), "{when}");
    for (address, expected) in &whole.machines {
        let machine = &site.machines[address];
        assert_eq!(machine.member, expected.member, "{when}");
        assert_eq!(machine.images, expected.images, "{when}");
        assert_eq!(machine.units, expected.units, "{when}");
        assert_eq!(machine.containerd_runs, expected.containerd_runs, "{when}");
        let paths = |machine: &site::Machine| machine.files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(paths(machine), paths(expected), "{when}");
    }
    for (name, expected) in &whole.nodes {
        assert_eq!(site.nodes[name].labels, expected.labels, "{when}");
        assert_eq!(site.nodes[name].taints, expected.taints, "{when}");
    }
    assert_eq!(site.applied, whole.applied, "{when}");
}

#[tokio::test]
async fn only_a_real_change_is_written() {
    let mut site = Site::new(&file());
    site.create().await.expect("the cluster is made");
    site.inner().changes.clear();
    // Another image of the same name.
    site.artefacts.lbnode.image.digest = "sha256:other".to_owned();
    let outcome = site.create().await;
    // The scripted machines report the image they had: the import is not seen, and that is said.
    assert!(outcome.is_err() || outcome == Ok(Outcome::Changed));
    let changes = site.inner().changes.clone();
    assert!(
        changes
            .iter()
            .all(|change| change.contains("lbnode") || change.contains("/lb-")),
        "{changes:?}"
    );
}

#[tokio::test]
async fn somebody_who_edits_a_file_on_a_node_is_corrected() {
    let site = Site::new(&file());
    site.create().await.expect("the cluster is made");
    {
        let mut inner = site.inner();
        inner.changes.clear();
        let machine = inner.machines.values_mut().next().expect("a machine");
        let edited = ("644".to_owned(), "0".repeat(64));
        machine
            .files
            .insert("/etc/lbnode/vrrp.yaml".to_owned(), edited);
    }
    assert_eq!(site.create().await, Ok(Outcome::Changed));
    assert_eq!(
        site.inner().changes,
        ["10.10.0.11 put-file /etc/lbnode/vrrp.yaml"]
    );
}

#[tokio::test]
async fn the_second_lbctl_is_told_who_is_at_work() {
    let site = Site::new(&file());
    let holder = "`lbctl create cluster` of ann@desk (pid 7) since 2026-01-02 03:04:05 UTC";
    site.inner().locked_by = Some(holder.to_owned());
    let failure = site.create().await.expect_err("it is locked");
    assert_eq!(
        failure.message,
        format!("10.10.0.11 is being worked on by {holder}")
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test]
async fn no_secret_is_in_a_log_or_an_error() {
    let site = Site::new(&file());
    site.create().await.expect("the cluster is made");
    let text = site.logs();
    assert!(
        text.contains("kubeadm init (kubeadm-init)") && text.contains("(hidden)"),
        "{text}"
    );
    for secret in ["zyxwvu.0123456789abcdef", "S0VZLURBVEE="] {
        assert!(!text.contains(secret), "{secret}");
    }
    let shown = |key: &str| {
        text.lines().any(|line| {
            let value = line.trim_start().strip_prefix(key);
            value.is_some_and(|value| !value.trim().is_empty() && value.trim() != "(hidden)")
        })
    };
    assert!(
        !shown("certificateKey:") && !shown("tlsBootstrapToken:") && !shown("- token:"),
        "{text}"
    );
}

#[tokio::test]
async fn a_pool_that_left_the_file_leaves_the_cluster_and_that_is_said() {
    let mut site = Site::new(&file());
    site.create().await.expect("the cluster is made");
    let renamed = file().replace("name: default\n", "name: front\n");
    assert_ne!(renamed, file());
    site.edit(&renamed);
    assert_eq!(site.create().await, Ok(Outcome::Changed));
    let pools: Vec<String> = site.inner().applied.keys().cloned().collect();
    let has = |name: &str| pools.iter().any(|pool| pool == name);
    assert!(has("AddressPool/front") && has("L2Advertisement/front"));
    assert!(!has("AddressPool/default") && !has("L2Advertisement/default"));
    assert!(
        site.logs()
            .contains("removed AddressPool default: the cluster file does not have it any more")
    );
    assert_eq!(site.create().await, Ok(Outcome::NothingToDo));
}

#[tokio::test]
async fn a_refused_pool_leaves_the_operator_with_a_kubeconfig() {
    let site = Site::new(&file());
    site.inner().refuses = Some("the pools of the cluster file".to_owned());
    let failure = site.create().await.expect_err("the pools are refused");
    assert!(failure.message.contains("spec.addresses"), "{failure:?}");
    let workspace = site.folder.path().join("ws").join(&site.desired.name);
    let kubeconfig = workspace.join(format!("{}-kubeconfig", site.desired.name));
    assert!(kubeconfig.exists(), "{}", kubeconfig.display());
}

#[tokio::test]
async fn another_load_balancer_beside_ours_is_said() {
    let site = Site::new(&file());
    site.create().await.expect("the cluster is made");
    assert!(!site.logs().contains("warning:"));
    let metallb = serde_json::json!({
        "kind": "DaemonSet",
        "metadata": {"namespace": "metallb-system", "name": "speaker"},
        "spec": {"template": {"spec": {"containers": [{"image": "quay.io/metallb/speaker:v0.16.2"}]}}},
    });
    site.inner().workloads.push(metallb);
    assert_eq!(site.create().await, Ok(Outcome::NothingToDo));
    let logs = site.logs();
    assert!(
        logs.contains("warning: MetalLB") && logs.contains("hint: let only one"),
        "{logs}"
    );
}

#[tokio::test]
async fn what_preflight_finds_is_said_at_once_and_nothing_is_touched() {
    let site = Site::new(&file());
    {
        let mut inner = site.inner();
        let mut machines = inner.machines.values_mut();
        machines.next().expect("a machine").swap = true;
        let second = machines.next().expect("a machine");
        second.arch = Some("aarch64");
        second.listeners.push("0.0.0.0:6444 nginx 99".to_owned());
        machines.next().expect("a machine").hostname = "m0".to_owned();
        inner
            .machines
            .remove(&"10.10.0.31".parse().expect("an address"));
    }
    let failure = site.create().await.expect_err("preflight refuses");
    // swap; bundle and lbnode of another architecture, port; same host name; unreachable.
    assert_eq!(
        failure.message,
        "preflight found 6 problems; nothing was changed"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test]
async fn a_damaged_bundle_is_found_before_it_is_sent() {
    let site = Site::new(&file());
    let archive = site.folder.path().join("bundle/images/k.tar");
    std::fs::write(archive, b"other").expect("a file");
    let failure = site.create().await.expect_err("it is another archive");
    assert!(
        failure.message.contains("`bundle.yaml` says"),
        "{failure:?}"
    );
    let changes = site.inner().changes.clone();
    let sent = |change: &String| change.contains("import-images");
    assert!(!changes.iter().any(sent), "{changes:?}");
}
