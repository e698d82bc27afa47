//! The state of a cluster as one picture: pages of the roles, node objects, and what follows from them.

mod pages;
mod problems;
mod versions;

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

pub use pages::{Hearing, Pages, ProxyState, RouterHealth, RouterState, ServerState, SpeakerPage};
pub use versions::{Component, VersionOn};

use super::cluster_view::{BalancerPod, ClusterView, Maintenance};
use super::desired::{Desired, Machine};
use super::service_view::{self, Objects, ServiceView};
use super::update::{Drift, Inspected};
use crate::lbnode::spoken_version;

/// A cluster's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Picture {
    /// Name of the cluster.
    pub cluster: String,
    /// URL of the API.
    pub server: String,
    /// Why the API does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_error: Option<String>,
    /// The virtual IP.
    pub vip: VipState,
    /// Machines in the file's order.
    pub nodes: Vec<NodeState>,
    /// Addresses for Services; absent while the API does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_plane: Option<ServiceView>,
    /// Which versions of what are on which nodes.
    pub versions: Vec<Component>,
    /// What `update cluster` would change that is not about one machine of the file, in words.
    pub drift: Vec<String>,
    /// This program is of another release than most nodes: what is only worded otherwise was not compared.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub other_release: bool,
}

/// Who has the virtual IP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VipState {
    /// The address.
    pub address: IpAddr,
    /// A load balancer of somebody else has it (`loadBalancer.mode: manual`).
    pub external: bool,
    /// Nodes whose router is Active; one, when all is well and it is ours.
    pub owners: Vec<String>,
    /// Since when, as the owner says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Why it became the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeState {
    /// Address for SSH.
    pub address: IpAddr,
    /// Name of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// `control-plane`, `load-balancer`, `worker`.
    pub role: &'static str,
    /// Why the machine cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
    /// Condition `Ready`; absent when unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Since when it is, or is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_since: Option<String>,
    /// Why it is not Ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// It is out of service for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// Nothing new is placed on it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cordoned: bool,
    /// Version of the kubelet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubelet: Option<String>,
    /// Version of containerd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containerd: Option<String>,
    /// Version of `lbnode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lbnode: Option<String>,
    /// Digests of the images that its API load balancer runs: one, unless it is about to change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// The virtual router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrrp: Option<RouterState>,
    /// The proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyState>,
    /// The speaker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speaker: Option<SpeakerPage>,
    /// What `update cluster` would change on it, in words; absent when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<Vec<String>>,
}

/// Puts the picture together. `answers`: what each machine said, or why it could not be asked.
pub fn picture(
    desired: &Desired,
    view: Result<&ClusterView, String>,
    answers: impl Fn(&Machine) -> Result<Pages, String>,
) -> Picture {
    let nodes: Vec<NodeState> = desired
        .machines
        .iter()
        .map(|machine| {
            let answer = answers(machine);
            let unreachable = answer.as_ref().err().cloned();
            let pages = answer.unwrap_or_default();
            let named = view.as_ref().ok().zip(pages.hostname.as_ref());
            let named = named.and_then(|(view, name)| view.nodes.get_key_value(name));
            let at = || view.as_ref().ok()?.node_at(machine.node_ip);
            let (name, object) = named.or_else(at).unzip();
            let maintenance = object.and_then(|node| node.maintenance.clone());
            // A router that was stopped on purpose has no page.
            let rests = maintenance.as_ref().is_some_and(|noted| noted.drained);
            let router = pages.vrrp.map(|router| {
                if rests && router.is_silent() {
                    RouterState::resting(maintenance.as_ref())
                } else {
                    router
                }
            });
            NodeState {
                address: machine.address,
                node: pages.hostname.or_else(|| name.cloned()),
                role: machine.role.name(),
                unreachable,
                ready: object.map(|node| node.ready),
                ready_since: object.and_then(|node| node.since.clone()),
                why: object.and_then(|node| node.why.clone()),
                maintenance,
                cordoned: object.is_some_and(|node| node.cordoned),
                kubelet: object.map(|node| node.version.clone()),
                containerd: object.and_then(|node| node.runtime.as_deref().and_then(containerd)),
                lbnode: pages.lbnode,
                images: Vec::new(),
                vrrp: router.filter(|_| machine.load_balancer.is_some()),
                proxy: pages.proxy.filter(|_| machine.load_balancer.is_some()),
                speaker: pages.speaker.filter(|_| machine.lbnode),
                drift: None,
            }
        })
        .collect();
    let active = || {
        nodes
            .iter()
            .filter(|node| node.vrrp.as_ref().is_some_and(RouterState::is_active))
    };
    let first = active().next().and_then(|node| node.vrrp.clone());
    let vip = VipState {
        address: desired.vip,
        external: desired.external,
        owners: active().map(NodeState::name).collect(),
        since: first.as_ref().map(|router| router.since.clone()),
        why: first.map(|router| router.why),
    };
    let mut picture = Picture {
        cluster: desired.name.clone(),
        server: desired.server_url(),
        api_error: view.err(),
        vip,
        nodes,
        data_plane: None,
        versions: Vec::new(),
        drift: Vec::new(),
        other_release: false,
    };
    picture.count_versions();
    picture
}

/// `containerd://1.7.24` as the node object has it; another runtime is none of ours.
fn containerd(runtime: &str) -> Option<String> {
    let version = runtime.strip_prefix("containerd://")?;
    Some(version.trim_start_matches('v').to_owned())
}

impl Picture {
    /// Adds what the API knows of the data plane and of the API load balancer's pods.
    pub fn add_objects(&mut self, objects: &Objects, pods: &[BalancerPod]) {
        for node in &mut self.nodes {
            let own = pods.iter().filter(|pod| node.is_called(&pod.node));
            let digests = own.map(|pod| pod.image_digest.clone());
            let digests: BTreeSet<String> = digests.filter(|digest| !digest.is_empty()).collect();
            node.images = digests.into_iter().collect();
        }
        self.data_plane = Some(service_view::view(objects));
        self.count_versions();
    }

    /// Adds what differs from the file, and what the machines say where the API says nothing.
    pub fn add_inspection(&mut self, inspected: &Inspected, drift: Drift) {
        let Drift {
            mut machines,
            cluster,
            other_release,
        } = drift;
        (self.drift, self.other_release) = (cluster, other_release);
        for node in &mut self.nodes {
            node.drift = machines.remove(&node.address);
            if node.containerd.is_none()
                && let Some(facts) = inspected.facts.get(&node.address)
            {
                let version = facts.containerd.version.as_deref();
                node.containerd = version.map(|version| version.trim_start_matches('v').to_owned());
            }
        }
        self.count_versions();
    }

    /// Counts the versions again, of what is known by now.
    pub(in crate::core) fn count_versions(&mut self) {
        let speakers = self
            .data_plane
            .as_ref()
            .map(|view| view.speakers.as_slice());
        self.versions = versions::components(&self.nodes, speakers.unwrap_or_default());
    }
}

impl NodeState {
    /// Whether it is missed: it cannot be asked, though it is in service.
    pub fn is_missed(&self) -> bool {
        self.unreachable.is_some() && !self.rests()
    }

    /// Nothing of it is in use: somebody may work on it.
    pub fn rests(&self) -> bool {
        self.maintenance.as_ref().is_some_and(|noted| noted.drained)
    }

    /// Its name, or its address while that is not known.
    pub fn name(&self) -> String {
        self.node
            .clone()
            .unwrap_or_else(|| self.address.to_string())
    }

    /// Whether this is its name.
    pub fn is_called(&self, name: &str) -> bool {
        self.node.as_deref() == Some(name)
    }

    /// Version and commit of its `lbnode`; as it says itself where that has another form.
    pub fn lbnode_version(&self) -> Option<String> {
        let words = self.lbnode.as_deref()?;
        Some(spoken_version(words).unwrap_or_else(|| words.to_owned()))
    }
}

#[cfg(test)]
mod tests;
