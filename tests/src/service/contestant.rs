//! Who serves the addresses: our own programs, or MetalLB in their place.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::signal::ReadySignal;
use super::{LIMIT, LOOK};
use crate::bundle::Metallb;
use crate::cluster::Cluster;
use crate::patience;
use crate::roster::Machine;

/// A data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contestant {
    /// Ours.
    Lbnode,
    /// MetalLB in layer 2 mode, with the settings of its own manifest.
    Metallb,
}

impl Contestant {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Lbnode, Self::Metallb];

    /// Sends a signal to the speaker of a machine, if there is one.
    pub fn signal_speaker(
        self,
        cluster: &Cluster<'_>,
        machine: Machine,
        signal: &str,
    ) -> Result<()> {
        let find = self.find_speaker();
        let command = format!("{find}; test -z \"$all\" || kill -{signal} $all");
        cluster.lab.ssh_ok(machine, &command).map(drop)
    }

    /// The same for a speaker that must be there, in two steps.
    pub(super) fn ready_signal(
        self,
        cluster: &Cluster<'_>,
        machine: Machine,
        signal: &str,
    ) -> Result<ReadySignal> {
        ReadySignal::new(cluster, machine, &self.find_speaker(), signal)
    }

    /// A command line that leaves the process ids of a machine's speaker in `$all`.
    pub(super) fn find_speaker(self) -> String {
        match self {
            Self::Lbnode => find("lbnode", "/lbnode speaker "),
            Self::Metallb => find("speaker", "/speaker "),
        }
    }

    /// The same of its controller, where it has one.
    pub(super) fn find_controller(self) -> String {
        match self {
            Self::Lbnode => find("lbnode", "/lbnode controller "),
            Self::Metallb => find("controller", "/controller "),
        }
    }

    /// Puts a speaker that was never ended in the place of that of a machine: after several ends the kubelet waits for up to five
    /// minutes until it starts one again.
    pub(super) fn renew_speaker(self, cluster: &Cluster<'_>, machine: Machine) -> Result<()> {
        let old = self.speakers(cluster, machine)?;
        for (name, _) in &old {
            let words = [
                "-n",
                self.namespace(),
                "delete",
                "pod",
                name,
                "--wait=false",
            ];
            cluster.kubectl(&words)?;
        }
        self.wait_for_speaker(cluster, machine, &old)
    }

    /// Waits until the machine has a speaker that is ready, and none of the old ones.
    pub(super) fn wait_for_speaker(
        self,
        cluster: &Cluster<'_>,
        machine: Machine,
        old: &[(String, bool)],
    ) -> Result<()> {
        let what = format!("{machine} has a speaker that is ready");
        patience::until(&what, SETTLED, LOOK, || {
            let speakers = self.speakers(cluster, machine)?;
            let good =
                |(name, ready): &(String, bool)| *ready && old.iter().all(|(gone, _)| gone != name);
            Ok((!speakers.is_empty() && speakers.iter().all(good)).then_some(()))
        })
    }

    /// The speakers' pods of a machine, and whether they are ready.
    fn speakers(self, cluster: &Cluster<'_>, machine: Machine) -> Result<Vec<(String, bool)>> {
        let node = format!("spec.nodeName={machine}");
        let words = [
            "-n",
            self.namespace(),
            "get",
            "pods",
            "-l",
            "component=speaker",
            "--field-selector",
            &node,
            "-o",
            READINESS,
        ];
        Ok(pods(&cluster.kubectl(&words)?))
    }

    const fn namespace(self) -> &'static str {
        match self {
            Self::Lbnode => "lb-system",
            Self::Metallb => NAMESPACE,
        }
    }

    /// Its pods, with how often each was restarted.
    pub(super) fn lives(self, cluster: &Cluster<'_>) -> Result<BTreeSet<String>> {
        let words = ["-n", self.namespace(), "get", "pods", "-o", LIVES];
        let text = cluster.kubectl(&words)?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Waits until the cluster is settled and each of its speakers is ready.
    pub fn settle(self, cluster: &Cluster<'_>) -> Result<()> {
        cluster.settle()?;
        if self == Self::Lbnode {
            return Ok(());
        }
        patience::until("MetalLB's pods are ready", SETTLED, LOOK, || {
            let words = ["-n", NAMESPACE, "get", "pods", "-o", READINESS];
            let pods = pods(&cluster.kubectl(&words)?);
            let ready = !pods.is_empty() && pods.iter().all(|(_, ready)| *ready);
            Ok(ready.then_some(()))
        })
    }

    /// The one machine that answers for an address, as soon as there is one. With MetalLB two may answer for a minute after a
    /// cable was put back; with ours that is an error at once.
    pub(super) fn owner(self, cluster: &Cluster<'_>, address: Ipv4Addr) -> Result<Machine> {
        let what = format!("one machine answers for {address}");
        patience::until(&what, SETTLED, LOOK, || match self {
            Self::Lbnode => cluster.lab.arp_owner(address),
            Self::Metallb => Ok(cluster.lab.arp_owner(address).ok().flatten()),
        })
    }

    /// The path in the API of the pool that Services get their addresses from.
    pub(super) const fn pool(self) -> &'static str {
        match self {
            Self::Lbnode => "/apis/bundledlb.io/v1/addresspools/default",
            Self::Metallb => {
                "/apis/metallb.io/v1beta1/namespaces/metallb-system/ipaddresspools/pool"
            }
        }
    }

    /// A pool `crowd` with five hundred addresses for those who name it; none is in the machines' own network.
    pub(super) const fn wide_pool(self) -> &'static str {
        match self {
            Self::Lbnode => WIDE_POOL,
            Self::Metallb => WIDE_POOL_OF_METALLB,
        }
    }

    /// Takes that pool away again, if it is there.
    pub(super) fn remove_wide_pool(self, cluster: &Cluster<'_>) -> Result<()> {
        let objects = match self {
            Self::Lbnode => [
                "l2advertisement.bundledlb.io/crowd",
                "addresspool.bundledlb.io/crowd",
            ],
            Self::Metallb => [
                "l2advertisement.metallb.io/crowd",
                "ipaddresspool.metallb.io/crowd",
            ],
        };
        for object in objects {
            let words = ["-n", self.namespace(), "delete", object];
            cluster.kubectl(&[&words[..], &["--ignore-not-found"]].concat())?;
        }
        Ok(())
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lbnode => "lbnode",
            Self::Metallb => "metallb",
        })
    }
}

impl FromStr for Contestant {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|contestant| contestant.to_string() == text)
            .ok_or_else(|| anyhow!("there is no contestant `{text}`; there are lbnode, metallb"))
    }
}

/// Takes our programs out of the cluster and puts MetalLB in their place, with the same addresses and on the same nodes.
pub(super) fn replace_by_metallb(cluster: &Cluster<'_>, metallb: &Metallb) -> Result<()> {
    let ours = ["daemonset/lb-speaker", "deployment/lb-controller"];
    for object in ours {
        let words = ["-n", "lb-system", "delete", object, "--ignore-not-found"];
        cluster.kubectl(&words)?;
    }
    patience::until("our pods are gone", LIMIT, LOOK, || {
        let pods = cluster.kubectl(&["-n", "lb-system", "get", "pods", "-o", "name"])?;
        Ok(pods.trim().is_empty().then_some(()))
    })?;
    for machine in &cluster.machines {
        cluster.lab.import_images(*machine, &metallb.images)?;
    }
    cluster.apply(KEY)?;
    let manifest = fs::read_to_string(&metallb.manifest)
        .with_context(|| format!("cannot read {}", metallb.manifest.display()))?;
    cluster.apply(&manifest)?;
    let daemon_set = [
        "-n",
        NAMESPACE,
        "patch",
        "daemonset",
        "speaker",
        "--type=json",
        "-p",
    ];
    cluster.kubectl(&[&daemon_set[..], &[ON_THE_SAME_NODES]].concat())?;
    for object in ["deployment/controller", "daemonset/speaker"] {
        let words = ["-n", NAMESPACE, "rollout", "status", object, "--timeout=9s"];
        patience::until(object, SETTLED, LOOK, || {
            Ok(cluster.kubectl(&words).ok().map(drop))
        })?;
    }
    // Its webhook must answer first.
    patience::until(
        "MetalLB takes a pool",
        SETTLED,
        Duration::from_secs(1),
        || Ok(cluster.apply(ADDRESSES).ok()),
    )
}

/// A command line that leaves the ids of the processes of a program whose command line starts so in `$all`.
fn find(program: &str, start: &str) -> String {
    format!(
        "all=; for p in $(pidof {program}); do tr '\\0' ' ' </proc/$p/cmdline | grep -q '^{start}' && all=\"$all $p\"; done"
    )
}

/// The pods in what [`READINESS`] asks for, and whether they are ready.
fn pods(text: &str) -> Vec<(String, bool)> {
    text.split_whitespace()
        .filter_map(|pod| pod.split_once('='))
        .map(|(name, ready)| (name.to_owned(), ready == "True"))
        .collect()
}

const READINESS: &str = r#"jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}"#;

const LIVES: &str = r#"jsonpath={range .items[*]}{.metadata.uid}={.status.containerStatuses[*].restartCount} {end}"#;

const NAMESPACE: &str = "metallb-system";

/// So long it may take until all is well: what MetalLB forgets of a machine comes back after a minute.
const SETTLED: Duration = Duration::from_secs(180);

/// What its speakers sign their messages with; they wait for it.
const KEY: &str = "apiVersion: v1
kind: Namespace
metadata:
  name: metallb-system
  labels: {pod-security.kubernetes.io/enforce: privileged}
---
apiVersion: v1
kind: Secret
metadata: {name: memberlist, namespace: metallb-system}
stringData: {secretkey: a key of the lab and of nobody else}
";

/// The nodes of a small cluster carry kubeadm's label that keeps MetalLB's speakers from answering.
const ON_THE_SAME_NODES: &str = r#"[
  {"op": "add", "path": "/spec/template/spec/nodeSelector/baremetal.cluster.gke.io~1lbnode", "value": "true"},
  {"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--ignore-exclude-lb"}
]"#;

/// As [`super::POOL`].
const ADDRESSES: &str = "apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: pool, namespace: metallb-system}
spec: {addresses: [10.10.0.201-10.10.0.239]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: l2, namespace: metallb-system}
spec: {ipAddressPools: [pool]}
";

/// The interface by name: the nodes have no address in the network.
const WIDE_POOL: &str = "apiVersion: bundledlb.io/v1
kind: AddressPool
metadata: {name: crowd}
spec: {addresses: [10.10.4.0/23], avoidBuggyIPs: true, manualAssign: true}
---
apiVersion: bundledlb.io/v1
kind: L2Advertisement
metadata: {name: crowd}
spec: {pools: [crowd], interfaces: [eth0]}
";

const WIDE_POOL_OF_METALLB: &str = "apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: crowd, namespace: metallb-system}
spec: {addresses: [10.10.4.0/23], avoidBuggyIPs: true, autoAssign: false}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: crowd, namespace: metallb-system}
spec: {ipAddressPools: [crowd]}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contestants_are_found_by_their_published_names() {
        for contestant in Contestant::ALL {
            let name = contestant.to_string();
            assert_eq!(name.parse::<Contestant>().expect("known"), contestant);
        }
        "cilium".parse::<Contestant>().expect_err("not here");
    }

    #[test]
    fn pods_are_read_with_their_readiness() {
        let pods = pods("speaker-a=True speaker-b=False speaker-c= ");
        let expected = [
            ("speaker-a", true),
            ("speaker-b", false),
            ("speaker-c", false),
        ];
        let expected = expected.map(|(name, ready)| (name.to_owned(), ready));
        assert_eq!(pods, expected);
    }

    #[test]
    fn metallb_has_the_addresses_of_ours() {
        let (first, last) = (super::super::POOL.start(), super::super::POOL.end());
        assert!(ADDRESSES.contains(&format!("[{first}-{last}]")));
        serde_json::from_str::<serde_json::Value>(ON_THE_SAME_NODES).expect("JSON");
    }
}
