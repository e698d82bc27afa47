//! The state of a cluster as one picture: pages of the roles, node objects, and what follows from them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::cluster_view::{ClusterView, Maintenance};
use super::desired::{Desired, Machine};
use super::service_view::ServiceView;

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
    /// Version of the kubelet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubelet: Option<String>,
    /// Version of `lbnode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lbnode: Option<String>,
    /// The virtual router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrrp: Option<RouterState>,
    /// The proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyState>,
}

/// A virtual router, from its status page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterState {
    /// `active`, `backup`, `initialize`, `fault`, or `unreachable`.
    pub state: String,
    /// Since when.
    #[serde(default)]
    pub since: String,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// Its virtual routers.
    #[serde(default, skip_serializing)]
    pub routers: Vec<Hearing>,
    /// What its checks say.
    #[serde(default, skip_serializing)]
    pub health: RouterHealth,
}

/// What the checks of a virtual router say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct RouterHealth {
    /// In a word.
    #[serde(default)]
    pub verdict: Option<String>,
}

/// Whom a virtual router hears.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hearing {
    /// Whose adverts say that it has the address.
    #[serde(default)]
    pub active_peer: Option<IpAddr>,
}

/// A proxy, from its status page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyState {
    /// API servers.
    pub servers: Vec<ServerState>,
}

/// An API server as a proxy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    /// Name.
    pub name: String,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// Since when.
    #[serde(default)]
    pub since: String,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// Sessions now.
    #[serde(default)]
    pub sessions: u64,
}

/// What one machine answered to `script::role_status`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pages {
    /// Host name.
    pub hostname: Option<String>,
    /// Version of `lbnode`.
    pub lbnode: Option<String>,
    /// The virtual router.
    pub vrrp: Option<RouterState>,
    /// The proxy.
    pub proxy: Option<ProxyState>,
}

/// State of a router whose page does not answer.
const SILENT: &str = "unreachable";

impl Pages {
    /// Reads the answer; a page that cannot be read is as good as none.
    pub fn parse(text: &str) -> Self {
        let mut pages = Self::default();
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            let value = value.trim();
            let known = || (!value.is_empty()).then(|| value.to_owned());
            match key {
                "hostname" => pages.hostname = known(),
                "version" => pages.lbnode = known(),
                "vrrp" => {
                    let silent = || RouterState {
                        state: SILENT.to_owned(),
                        since: String::new(),
                        why: "its status page does not answer".to_owned(),
                        routers: Vec::new(),
                        health: RouterHealth::default(),
                    };
                    pages.vrrp = Some(serde_json::from_str(value).unwrap_or_else(|_| silent()));
                }
                "proxy" => pages.proxy = serde_json::from_str(value).ok(),
                _ => {}
            }
        }
        pages
    }
}

impl ServerState {
    /// Whether clients are sent to it.
    pub fn is_up(&self) -> bool {
        self.state.eq_ignore_ascii_case("up")
    }
}

impl RouterState {
    /// One that is stopped for as long as its node is in maintenance.
    fn resting(maintenance: Option<&Maintenance>) -> Self {
        Self {
            state: "stopped".to_owned(),
            since: maintenance.map_or_else(String::new, |noted| noted.since.clone()),
            why: "its node is in maintenance".to_owned(),
            routers: Vec::new(),
            health: RouterHealth::default(),
        }
    }

    /// It is well, and waits until nobody has the virtual IP.
    pub fn stands_back(&self) -> bool {
        self.health.verdict.as_deref() == Some("standing-back")
    }

    /// One of its virtual routers hears nobody who has the address.
    pub fn hears_nobody(&self) -> bool {
        let mut routers = self.routers.iter();
        routers.any(|router| router.active_peer.is_none())
    }

    fn is_silent(&self) -> bool {
        self.state == SILENT
    }

    fn is_active(&self) -> bool {
        self.state.eq_ignore_ascii_case("active")
    }
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
                kubelet: object.map(|node| node.version.clone()),
                lbnode: pages.lbnode,
                vrrp: router.filter(|_| machine.load_balancer.is_some()),
                proxy: pages.proxy.filter(|_| machine.load_balancer.is_some()),
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
        owners: active()
            .map(|node| {
                node.node
                    .clone()
                    .unwrap_or_else(|| node.address.to_string())
            })
            .collect(),
        since: first.as_ref().map(|router| router.since.clone()),
        why: first.map(|router| router.why),
    };
    Picture {
        cluster: desired.name.clone(),
        server: desired.server_url(),
        api_error: view.err(),
        vip,
        nodes,
        data_plane: None,
    }
}

impl NodeState {
    /// Whether it is missed: it cannot be asked, though it is in service.
    pub fn is_missed(&self) -> bool {
        let drained = self.maintenance.as_ref().is_some_and(|noted| noted.drained);
        self.unreachable.is_some() && !drained
    }
}

impl Picture {
    /// What is not as it should be, in words.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self
            .api_error
            .iter()
            .map(|why| format!("the API does not answer: {why}"))
            .collect();
        match self.vip.owners.len() {
            // Whether it leads to the API is what `api_error` says.
            0 if self.vip.external => {}
            0 => problems.push(format!("nobody has the virtual IP {}", self.vip.address)),
            1 => {}
            _ => problems.push(format!(
                "the virtual IP {} has more than one owner: {}",
                self.vip.address,
                self.vip.owners.join(", ")
            )),
        }
        for node in &self.nodes {
            let name = node
                .node
                .clone()
                .unwrap_or_else(|| node.address.to_string());
            // What is out of service may be off.
            if node.maintenance.as_ref().is_some_and(|noted| noted.drained) {
                continue;
            }
            if let Some(why) = &node.unreachable {
                problems.push(format!("{name}: {why}"));
            }
            if node.ready == Some(false) {
                let why = node.why.as_deref().unwrap_or("no reason given");
                problems.push(format!("{name} is not Ready: {why}"));
            }
            for server in node.proxy.iter().flat_map(|proxy| &proxy.servers) {
                if !server.is_up() {
                    problems.push(format!(
                        "{name}: its proxy has {} {} since {}: {}",
                        server.name, server.state, server.since, server.why
                    ));
                }
            }
        }
        problems.extend(self.data_plane.iter().flat_map(ServiceView::problems));
        problems
    }
}

#[cfg(test)]
mod tests;
