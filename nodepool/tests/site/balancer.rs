//! The API load balancers of the scripted machines: restarting one takes a while, and its virtual IP goes elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use nodepool::core::cluster_view::BalancerPod;
use nodepool::remote::{Output, Script};
use serde_json::{Value, json};

use super::{Inner, Machine};

/// How often the API shows a restarted pod as it was before, and then how often as not ready.
const LOOKS: u32 = 4;

#[derive(Debug, Clone, Default)]
pub(crate) struct Balancers {
    /// Who has the virtual IP.
    pub(crate) owner: Option<IpAddr>,
    /// Restarts so far, in order.
    pub(crate) restarts: Vec<IpAddr>,
    /// Moves of the virtual IP so far.
    pub(crate) moves: usize,
    /// They never become well with settings in which this stands.
    pub(crate) poison: Option<String>,
    /// Pods as the API shows them, by machine and name.
    shown: BTreeMap<(IpAddr, String), Shown>,
    /// How many of them the machines' status pages were asked for.
    pub(crate) asked: BTreeMap<IpAddr, usize>,
}

#[derive(Debug, Clone)]
struct Shown {
    pod: BalancerPod,
    /// Peers that its router was started with.
    peers: BTreeSet<IpAddr>,
    /// What it is restarted with, and how many looks that takes.
    coming: Option<(BalancerPod, u32)>,
}

const PODS: [&str; 2] = ["lb-vrrp", "lb-proxy"];

impl Inner {
    /// Whoever has both pods, ready, and no restart under way.
    pub(crate) fn well(&self) -> BTreeSet<IpAddr> {
        let shown = &self.balancers.shown;
        let well = |address: &IpAddr| {
            PODS.iter().all(|name| {
                let shown = shown.get(&(*address, (*name).to_owned()));
                shown.is_some_and(|shown| shown.pod.ready && shown.coming.is_none())
            })
        };
        self.machines.keys().copied().filter(well).collect()
    }

    /// A step ended: kubelets run what the manifests say.
    pub(crate) fn restarted(&mut self, address: IpAddr, script: &Script) {
        let machine = &self.machines[&address];
        let router = (address, "lb-vrrp".to_owned());
        if script.id == "stop-router" && !self.balancers.shown.contains_key(&router) {
            return;
        }
        if script.id == "stop-router" {
            assert!(
                self.well().iter().any(|other| *other != address),
                "nobody is left when {address} stops"
            );
            self.balancers.shown.remove(&router);
            self.give_away(address);
            return;
        }
        if script.id == "reset" {
            self.balancers.shown.retain(|(at, _), _| *at != address);
        }
        if !machine.is_member() {
            return;
        }
        if script.id == "stop-others" {
            self.take_what_nobody_has();
            return;
        }
        let joins = script.id.starts_with("kubeadm-");
        let mut restarts = false;
        for name in PODS {
            let path = format!("/etc/kubernetes/manifests/{name}.yaml");
            let Some(text) = machine.texts.get(&path) else {
                continue;
            };
            let concerned = joins || (script.id == "put-file" && script.args[0] == path);
            if !concerned {
                continue;
            }
            let pod = pod(machine, name, text);
            let peers = peers(machine);
            let key = (address, name.to_owned());
            if joins {
                let coming = None;
                let shown = Shown { pod, peers, coming };
                self.balancers.shown.insert(key, shown);
            } else if let Some(shown) = self.balancers.shown.get_mut(&key) {
                shown.coming = Some((pod, 2 * LOOKS));
                shown.peers = peers;
                restarts = true;
            } else {
                // It was stopped, and its manifest is there again.
                let coming = Some((pod.clone(), LOOKS));
                let pod = BalancerPod {
                    ready: false,
                    ..pod
                };
                let shown = Shown { pod, peers, coming };
                self.balancers.shown.insert(key, shown);
                restarts = true;
            }
        }
        if restarts && self.balancers.restarts.last() != Some(&address) {
            self.balancers.restarts.push(address);
        }
        self.routers_hear_each_other();
        let others = self.well();
        let shown = self.balancers.shown.keys();
        let several = shown.filter(|(_, name)| name == "lb-vrrp").count() > 1;
        if restarts && several {
            assert!(
                others.iter().any(|other| *other != address),
                "nobody is left when {address} restarts: {others:?}"
            );
        }
        if self.balancers.owner.is_none() {
            self.take_what_nobody_has();
        } else if restarts {
            self.give_away(address);
        }
    }

    /// Somebody else has the virtual IP.
    pub(crate) fn somebody_elses(&self) -> bool {
        let vip = [10, 10, 0, 100].into();
        self.machines.values().any(|one| one.has_address(vip))
    }

    /// One of those that are well takes the virtual IP, unless somebody else has it.
    fn take_what_nobody_has(&mut self) {
        if self.balancers.owner.is_none() && !self.somebody_elses() {
            self.balancers.owner = self.well().into_iter().next();
        }
    }

    /// The virtual IP goes from this machine to another one that is well.
    fn give_away(&mut self, from: IpAddr) {
        if self.balancers.owner == Some(from) {
            let next = self.well().into_iter().find(|other| *other != from);
            self.balancers.moves += usize::from(next.is_some());
            self.balancers.owner = next.or(self.balancers.owner);
        }
    }

    /// A machine has lost its power.
    pub(crate) fn lose(&mut self, address: IpAddr) {
        self.balancers.shown.retain(|(at, _), _| *at != address);
        self.give_away(address);
    }

    /// A router that is not among another one's peers hears nothing of it, and takes the virtual IP as well.
    fn routers_hear_each_other(&self) {
        let shown = &self.balancers.shown;
        let routers = shown.iter().filter(|((_, name), _)| name == "lb-vrrp");
        let routers: Vec<(IpAddr, &Shown)> = routers.map(|((at, _), shown)| (*at, shown)).collect();
        for (one, shown) in &routers {
            for (other, _) in routers.iter().filter(|(other, _)| other != one) {
                assert!(
                    shown.peers.contains(&self.node_ip(*other)),
                    "the router of {one} does not know that of {other}"
                );
            }
        }
    }

    /// What the API shows; looking lets time pass.
    pub(crate) fn balancer_pods(&mut self) -> Vec<BalancerPod> {
        let poison = self.balancers.poison.clone();
        let machines = &self.machines;
        let mut pods = Vec::new();
        for ((address, _), shown) in &mut self.balancers.shown {
            if let Some((pod, looks)) = shown.coming.take() {
                let texts = &machines[address].texts;
                let spoiled = poison
                    .as_ref()
                    .is_some_and(|poison| texts.values().any(|text| text.contains(poison)));
                let left = if spoiled { looks.max(2) - 1 } else { looks - 1 };
                if left < LOOKS {
                    let ready = left == 0;
                    shown.pod = BalancerPod {
                        ready,
                        ..pod.clone()
                    };
                }
                if left > 0 {
                    shown.coming = Some((pod, left));
                }
            }
            pods.push(shown.pod.clone());
        }
        self.take_what_nobody_has();
        pods
    }

    pub(crate) fn role_status(&mut self, address: IpAddr) -> Output {
        *self.balancers.asked.entry(address).or_default() += 1;
        let machine = &self.machines[&address];
        // A restart that has not begun yet is not seen by anybody.
        let well = PODS.iter().all(|name| {
            let shown = self.balancers.shown.get(&(address, (*name).to_owned()));
            shown.is_some_and(|shown| shown.pod.ready)
        });
        let stands_back = machine
            .texts
            .get("/etc/lbnode/vrrp.yaml")
            .is_some_and(|text| text.contains("standBack: true"));
        let owner = self.balancers.owner;
        let state = if owner == Some(address) {
            "active"
        } else {
            "backup"
        };
        let router = match owner.map(|owner| self.node_ip(owner)) {
            _ if !well => "unreachable".to_owned(),
            _ if self.somebody_elses() => {
                assert!(stands_back, "{address} would take the virtual IP as well");
                let health = json!({ "verdict": "standing-back" });
                json!({ "state": "initialize", "health": health }).to_string()
            }
            None => json!({ "state": state }).to_string(),
            Some(owner) => {
                let own = self.node_ip(address);
                let heard = (owner != own).then_some(owner);
                let routers = json!([{ "activePeer": heard, "source": own }]);
                json!({ "state": state, "since": "s", "why": "w", "routers": routers }).to_string()
            }
        };
        let stdout = format!(
            "hostname {}\nvrrp {router}\nproxy {}\nversion lbnode 0\n",
            machine.hostname,
            json!({ "servers": servers(machine) })
        );
        Output {
            status: 0,
            stdout,
            stderr: String::new(),
        }
    }
}

/// The API servers that its proxy was told of, all of them well.
fn servers(machine: &Machine) -> Vec<Value> {
    let Some(text) = machine.texts.get("/etc/lbnode/proxy.yaml") else {
        return Vec::new();
    };
    let settings: Value = serde_saphyr::from_str(text).expect("settings");
    let servers = settings["backend"]["servers"].as_array();
    let servers = servers.into_iter().flatten();
    servers
        .map(|server| json!({ "name": server["name"], "state": "up" }))
        .collect()
}

fn peers(machine: &Machine) -> BTreeSet<IpAddr> {
    let text = &machine.texts["/etc/lbnode/vrrp.yaml"];
    let settings: Value = serde_saphyr::from_str(text).expect("settings");
    let peers = settings["routers"][0]["peers"].as_array();
    let peers = peers.into_iter().flatten().filter_map(Value::as_str);
    peers
        .map(|peer| peer.parse().expect("an address"))
        .collect()
}

fn pod(machine: &Machine, name: &str, text: &str) -> BalancerPod {
    let manifest: Value = serde_saphyr::from_str(text).expect("a pod");
    let annotation = |key: &str| {
        let value = manifest["metadata"]["annotations"][key].as_str();
        value.expect("an annotation").to_owned()
    };
    BalancerPod {
        node: machine.hostname.clone(),
        name: name.to_owned(),
        config_sha256: annotation("bundledlb.io/config-sha256"),
        image_digest: annotation("bundledlb.io/image-digest"),
        ready: true,
    }
}
