//! Settings on the nodes against those of the file: what differs, in words, and what cannot change node by node.

use std::net::IpAddr;

use cluster_config::node;
use cluster_config::node::vrrp::VirtualRouter;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::desired::LoadBalancer;
use crate::lbnode::spoken_version;

/// What a node's files say at the moment; absent: no file, or one that cannot be read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeSettings {
    /// `/etc/lbnode/vrrp.yaml`.
    pub vrrp: Option<RouterFile>,
    /// `/etc/lbnode/proxy.yaml`.
    pub proxy: Option<Value>,
    /// Version and commit of the lbnode on it.
    pub lbnode: Option<String>,
    /// What `apiVersion` of `vrrp.yaml` says, where this program does not know it.
    pub foreign: Option<String>,
}

/// `/etc/lbnode/vrrp.yaml` as any release wrote it: of what a newer one may have added nothing is needed here.
#[derive(Debug, Clone, PartialEq)]
pub struct RouterFile {
    /// What decides who hears whom.
    pub routers: Vec<Announced>,
    /// All of it.
    whole: Value,
}

/// What others must know of a virtual router to hear it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Announced {
    /// Its ID.
    #[serde(rename = "virtualRouterID")]
    pub virtual_router_id: u8,
    /// The node's own address.
    pub source_address: IpAddr,
    /// Whom it hears; empty: multicast.
    #[serde(default)]
    pub peers: Vec<IpAddr>,
    /// The virtual addresses.
    pub addresses: Vec<IpAddr>,
}

impl RouterFile {
    fn read(whole: Value) -> Option<Self> {
        let routers = serde_json::from_value(whole.get("routers")?.clone()).ok()?;
        Some(Self { routers, whole })
    }
}

impl NodeSettings {
    /// Reads what `script::read_settings` prints: lines of the files, with their names before them.
    pub fn parse(text: &str) -> Self {
        let file = |name: &str| {
            let mut whole = String::new();
            for line in text.lines().filter_map(|line| line.strip_prefix(name)) {
                whole.push_str(line);
                whole.push('\n');
            }
            whole
        };
        let known = |name: &str| {
            let whole: Option<Value> = serde_saphyr::from_str(&file(name)).ok();
            whole.filter(Value::is_object)
        };
        let vrrp = known("vrrp|");
        let version = vrrp.as_ref().and_then(|vrrp| vrrp["apiVersion"].as_str());
        let foreign = version.filter(|version| *version != node::API_VERSION);
        let foreign = foreign.map(str::to_owned);
        Self {
            proxy: known("proxy|"),
            lbnode: spoken_version(file("lbnode|").trim()),
            vrrp: vrrp
                .filter(|_| foreign.is_none())
                .and_then(RouterFile::read),
            foreign,
        }
    }

    /// Why a router with the file's settings would not hear one with those of this node, or not be heard by it: both
    /// would have the virtual IP. Empty: they understand each other.
    pub fn strangers(&self, wanted: &LoadBalancer) -> Vec<String> {
        let Some(vrrp) = &self.vrrp else {
            return Vec::new();
        };
        let mut reasons = Vec::new();
        let (old, new) = (&vrrp.routers, &wanted.vrrp.routers);
        if old.len() != new.len() {
            reasons.push(format!(
                "`loadBalancer.vips`: {} virtual IPs become {}",
                old.len(),
                new.len()
            ));
        }
        for (old, new) in old.iter().zip(new) {
            reasons.extend(strange(old, new));
        }
        reasons
    }
}

fn strange(old: &Announced, new: &VirtualRouter) -> Vec<String> {
    let mut reasons = Vec::new();
    if old.virtual_router_id != new.virtual_router_id {
        reasons.push(format!(
            "`loadBalancer.vrrp.virtualRouterID`: {} becomes {}",
            old.virtual_router_id, new.virtual_router_id
        ));
    }
    if old.source_address != new.source_address {
        reasons.push(format!(
            "the address of the node in the cluster (`k8sIP`): {} becomes {}",
            old.source_address, new.source_address
        ));
    }
    if old.addresses != new.addresses {
        let list = |addresses: &[IpAddr]| {
            let addresses = addresses.iter().map(ToString::to_string);
            addresses.collect::<Vec<_>>().join(", ")
        };
        reasons.push(format!(
            "`loadBalancer.vips`: {} becomes {}",
            list(&old.addresses),
            list(&new.addresses)
        ));
    }
    let (was, is) = (!old.peers.is_empty(), !new.peers.is_empty());
    if was != is {
        reasons.push(format!("`loadBalancer.vrrp.unicast`: {was} becomes {is}"));
    }
    reasons
}

/// What differs between a node's settings and the file's: `vrrp routers[0].priority: 240 becomes 160`.
pub fn differences(settings: &NodeSettings, wanted: &LoadBalancer) -> Vec<String> {
    let mut all = Vec::new();
    let vrrp = settings.vrrp.as_ref().map(|vrrp| &vrrp.whole);
    compare("vrrp ", vrrp, &value(&wanted.vrrp), &mut all);
    let proxy = settings.proxy.as_ref();
    compare("proxy ", proxy, &value(&wanted.proxy), &mut all);
    all
}

fn value<T: Serialize>(settings: &T) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

fn compare(place: &str, old: Option<&Value>, new: &Value, all: &mut Vec<String>) {
    let Some(old) = old else {
        all.push(format!(
            "{}: no settings that can be read",
            place.trim_end()
        ));
        return;
    };
    walk(place, old, new, all);
}

fn walk(place: &str, old: &Value, new: &Value, all: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(was), Value::Object(is)) => {
            let keys = was
                .keys()
                .chain(is.keys().filter(|key| !was.contains_key(*key)));
            for key in keys {
                let dot = if place.ends_with(' ') { "" } else { "." };
                walk(&format!("{place}{dot}{key}"), &old[key], &new[key], all);
            }
        }
        (Value::Array(was), Value::Array(is))
            if was.len() == is.len() && is.iter().all(Value::is_object) =>
        {
            for (index, (was, is)) in was.iter().zip(is).enumerate() {
                walk(&format!("{place}[{index}]"), was, is, all);
            }
        }
        _ if old == new => {}
        _ => all.push(format!("{place}: {} becomes {}", short(old), short(new))),
    }
}

/// Lists of objects would be half a page: how many there are says enough.
fn short(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let names = items.iter().filter_map(|item| item["name"].as_str());
            let names: Vec<&str> = names.collect();
            if names.len() == items.len() {
                names.join(", ")
            } else {
                format!("{} entries", items.len())
            }
        }
        Value::Array(items) => items.iter().map(short).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
