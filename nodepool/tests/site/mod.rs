//! A site of scripted machines: they understand the scripts of `lbctl` by name and keep what those would change.

pub(crate) mod api;
mod artefacts;
mod balancer;
mod commands;
mod machine;
pub(crate) mod network;
mod others;
mod report;
mod speakers;
pub(crate) mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use cluster_config::Cluster;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use nodepool::api::{ApiConnector, ApiFailure, ClusterApi, EtcdApi};
use nodepool::commands::Artefacts;
use nodepool::core::desired::Desired;
use nodepool::core::from_config;
use nodepool::remote::{Connector, Held, Hold, Output, Remote, RemoteFailure, Script};
use nodepool::run::Interrupt;
use nodepool::script::LOCK_TAKEN;

pub(crate) use machine::Machine;
use traffic::Traffic;

/// How a run is disturbed at one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection breaks before the command begins.
    Before,
    /// The command begins, and the machine loses power in the middle.
    Half,
    /// The command ends, and the connection breaks before anyone sees it.
    After,
    /// The command ends well, and the operator has pressed Ctrl-C meanwhile.
    CtrlC,
}

/// Machines, their cluster, and what is to go wrong.
#[derive(Clone)]
pub(crate) struct Site {
    inner: Arc<Mutex<Inner>>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) desired: Desired,
    pub(crate) artefacts: Artefacts,
    pub(crate) folder: Arc<tempfile::TempDir>,
    pub(crate) traffic: Arc<Traffic>,
    interrupt: Arc<Mutex<Interrupt>>,
}

#[derive(Clone)]
pub(crate) struct Inner {
    pub(crate) machines: BTreeMap<IpAddr, Machine>,
    /// Node objects: labels and taints.
    pub(crate) nodes: BTreeMap<String, api::FakeNode>,
    pub(crate) token_secrets: Vec<String>,
    /// What was applied, by its name.
    pub(crate) texts: BTreeMap<String, String>,
    /// The objects in it, as `Kind/name`.
    pub(crate) applied: BTreeMap<String, serde_json::Value>,
    /// Events of the cluster.
    pub(crate) collected: Vec<serde_json::Value>,
    /// Deployments and DaemonSets of others.
    pub(crate) workloads: Vec<serde_json::Value>,
    /// Looks until the speakers serve.
    pub(crate) slow_speakers: u32,
    /// Speakers as they report themselves.
    pub(crate) speakers: Vec<serde_json::Value>,
    /// Pods of the data plane.
    pub(crate) pods: Vec<serde_json::Value>,
    /// The manifest that the API refuses.
    pub(crate) refuses: Option<String>,
    /// kubeadm's configuration of the cluster, as it was made.
    pub(crate) made: serde_json::Value,
    /// Machines without power.
    pub(crate) dark: BTreeSet<IpAddr>,
    /// Addresses of etcd's members.
    pub(crate) etcd: BTreeSet<IpAddr>,
    /// What is wrong with the network.
    pub(crate) network: network::Network,
    /// Changing commands so far, as `address id first-argument`.
    pub(crate) changes: Vec<String>,
    /// The API load balancers.
    pub(crate) balancers: balancer::Balancers,
    pub(crate) fault: Option<(usize, Fault)>,
    pub(crate) locked_by: Option<String>,
}

impl Site {
    /// The machines of a cluster file, bare.
    pub(crate) fn new(text: &str) -> Self {
        let loaded = cluster_config::load(text, "cluster.yaml");
        let cluster = loaded.cluster.expect("the file is valid");
        let desired = from_config::desired(&cluster);
        let machines = desired.machines.iter().enumerate();
        let machines = machines.map(|(i, machine)| {
            let bare = Machine::bare(&format!("m{i}"), machine.node_ip);
            (machine.address, bare.reached_at(machine.address))
        });
        let folder = tempfile::tempdir().expect("a folder");
        let inner = Inner {
            machines: machines.collect(),
            nodes: BTreeMap::new(),
            token_secrets: Vec::new(),
            texts: BTreeMap::new(),
            applied: BTreeMap::new(),
            collected: Vec::new(),
            workloads: Vec::new(),
            slow_speakers: 0,
            speakers: Vec::new(),
            pods: Vec::new(),
            refuses: None,
            made: serde_json::Value::Null,
            dark: BTreeSet::new(),
            etcd: BTreeSet::new(),
            network: network::Network::default(),
            changes: Vec::new(),
            balancers: balancer::Balancers::default(),
            fault: None,
            locked_by: None,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            cluster: Arc::new(cluster),
            desired,
            artefacts: artefacts::artefacts(folder.path()),
            folder: Arc::new(folder),
            traffic: Arc::default(),
            interrupt: Arc::new(Mutex::new(Interrupt::default())),
        }
    }

    /// The same machines as they are, with a fate of their own from here.
    pub(crate) fn fork(&self) -> Self {
        let inner = self.inner().clone();
        Self {
            inner: Arc::new(Mutex::new(inner)),
            interrupt: Arc::default(),
            traffic: Arc::default(),
            ..self.clone()
        }
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test thread has panicked")
    }

    pub(crate) fn log_folder(&self) -> std::path::PathBuf {
        self.folder
            .path()
            .join("ws")
            .join(&self.desired.name)
            .join("log")
    }

    /// The machines, the API and their past under another cluster file.
    pub(crate) fn edit(&mut self, text: &str) {
        let loaded = cluster_config::load(text, "cluster.yaml");
        let cluster = loaded.cluster.expect("the file is valid");
        self.desired = from_config::desired(&cluster);
        self.cluster = Arc::new(cluster);
        let mut inner = self.inner();
        for machine in &self.desired.machines {
            let name = format!("m{}", inner.machines.len());
            let bare = || Machine::bare(&name, machine.node_ip).reached_at(machine.address);
            inner.machines.entry(machine.address).or_insert_with(bare);
        }
    }

    /// All logs of all runs.
    pub(crate) fn logs(&self) -> String {
        let runs = std::fs::read_dir(self.log_folder()).expect("logs");
        let logs = runs
            .flat_map(|run| std::fs::read_dir(run.expect("a run").path()).expect("logs of a run"));
        logs.map(|log| std::fs::read_to_string(log.expect("a log").path()).expect("text"))
            .collect()
    }

    /// Everything that lasts, for comparing ends.
    pub(crate) fn state(&self) -> String {
        let inner = self.inner();
        let mut text = String::new();
        for (address, machine) in &inner.machines {
            text.push_str(&format!("{address} {machine:#?}\n"));
        }
        text.push_str(&format!("{:#?}\n{:?}", inner.nodes, inner.token_secrets));
        text
    }

    /// A change through an API; it can be interrupted as a script can.
    fn api_step(&self, what: &str, change: impl FnOnce(&mut Inner)) -> Result<(), ApiFailure> {
        let mut inner = self.inner();
        inner.changes.push(what.to_owned());
        let count = inner.changes.len();
        let fault = inner.fault.filter(|(at, _)| *at == count);
        let fault = fault.map(|(_, fault)| fault);
        if !matches!(fault, Some(Fault::Before | Fault::Half)) {
            change(&mut inner);
        }
        match fault {
            None => Ok(()),
            Some(Fault::CtrlC) => {
                self.press_ctrl_c();
                Ok(())
            }
            Some(_) => Err(ApiFailure::Silent {
                server: "x".to_owned(),
                reason: "gone".to_owned(),
            }),
        }
    }

    fn press_ctrl_c(&self) {
        let interrupt = self.interrupt.lock().expect("no test thread has panicked");
        interrupt.ask();
    }

    fn run_on(&self, address: IpAddr, script: &Script) -> Result<Output, RemoteFailure> {
        let mut inner = self.inner();
        if script.id.starts_with("probe-") {
            let interrupted = inner.network.ctrl_c == Some(script.id);
            let output = network::answer(&mut inner, address, script);
            if interrupted {
                self.press_ctrl_c();
            }
            return Ok(output);
        }
        if script.id == "role-status" {
            return Ok(inner.role_status(address));
        }
        if !script.exclusive {
            let machine = inner
                .machines
                .get_mut(&address)
                .expect("a machine of the site");
            return Ok(machine.answer(script));
        }
        let word = script.args.first().cloned().unwrap_or_default();
        inner
            .changes
            .push(format!("{address} {} {word}", script.id));
        let count = inner.changes.len();
        let fault = inner
            .fault
            .filter(|(at, _)| *at == count)
            .map(|(_, fault)| fault);
        if fault == Some(Fault::Before) {
            return Err(RemoteFailure::Lost);
        }
        if script.id == "kubeadm-join" && script.args[3] == "control-plane" {
            // etcd takes the member in, also when the machine dies right after; it takes nobody in twice.
            let node_ip = inner.node_ip(address);
            assert!(
                inner.etcd.insert(node_ip),
                "{node_ip} is a member of etcd already"
            );
        }
        if script.id == "kubeadm-init" {
            // It goes by way of the virtual IP.
            for machine in &self.desired.machines {
                let stands = inner.machines[&machine.address].stands_alone;
                assert_eq!(
                    stands,
                    machine.is_dedicated_balancer(),
                    "{}",
                    machine.address
                );
            }
            inner.etcd = BTreeSet::from([inner.node_ip(address)]);
            inner.made = api::made(&self.desired);
        }
        let machine = inner
            .machines
            .get_mut(&address)
            .expect("a machine of the site");
        let output = machine.change(script, fault == Some(Fault::Half), &self.desired);
        if machine.is_member() {
            let (hostname, role) = (machine.hostname.clone(), machine.role());
            let (index, node_ip) = (inner.nodes.len(), inner.node_ip(address));
            inner
                .nodes
                .entry(hostname)
                .or_insert_with(|| api::FakeNode::new(index, &role, node_ip));
        }
        if output.status == 0 && fault != Some(Fault::Half) {
            inner.restarted(address, script);
        }
        match fault {
            Some(Fault::After | Fault::Half) => Err(RemoteFailure::Lost),
            Some(Fault::CtrlC) => {
                self.press_ctrl_c();
                Ok(output)
            }
            _ => Ok(output),
        }
    }
}

impl Inner {
    /// Where the machine that SSH reaches at `address` is inside the cluster.
    pub(crate) fn node_ip(&self, address: IpAddr) -> IpAddr {
        self.machines[&address]
            .address
            .expect("a machine has an address")
    }
}

struct Line {
    site: Site,
    address: IpAddr,
}

impl Line {
    async fn carry(&self, id: &str, args: &[String]) {
        self.site.traffic.carry(self.address, id, args).await;
    }
}

impl Remote for Line {
    fn run<'a>(&'a self, script: &'a Script) -> BoxFuture<'a, Result<Output, RemoteFailure>> {
        async move {
            self.carry(script.id, &script.args).await;
            self.site.run_on(self.address, script)
        }
        .boxed()
    }

    fn hold<'a>(&'a self, script: &'a Script) -> BoxFuture<'a, Result<Hold, RemoteFailure>> {
        async move {
            self.carry(script.id, &script.args).await;
            if script.id.starts_with("probe-") {
                return Ok(network::hold(&self.site, self.address, script));
            }
            if let Some(holder) = self.site.inner().locked_by.clone() {
                return Ok(Hold::Ended(Output {
                    status: LOCK_TAKEN,
                    stdout: holder,
                    stderr: String::new(),
                }));
            }
            Ok(Hold::Held(Held::new(tokio::sync::oneshot::channel().0)))
        }
        .boxed()
    }

    fn forward(&self, port: u16) -> BoxFuture<'_, Result<SocketAddr, RemoteFailure>> {
        async move { Ok(SocketAddr::from(([127, 0, 0, 1], port))) }.boxed()
    }
}

impl Connector for Site {
    fn connect<'a>(
        &'a self,
        address: IpAddr,
    ) -> BoxFuture<'a, Result<Box<dyn Remote>, RemoteFailure>> {
        async move {
            self.traffic.carry(address, "connect", &[]).await;
            let inner = self.inner();
            if !inner.machines.contains_key(&address) || inner.dark.contains(&address) {
                return Err(RemoteFailure::Unreachable("No route to host".to_owned()));
            }
            drop(inner);
            Ok(Box::new(Line {
                site: self.clone(),
                address,
            }) as Box<dyn Remote>)
        }
        .boxed()
    }
}

impl ApiConnector for Site {
    fn connect<'a>(
        &'a self,
        _kubeconfig: &'a str,
        _server: Option<&'a str>,
        _patience: std::time::Duration,
    ) -> BoxFuture<'a, Result<Box<dyn ClusterApi>, ApiFailure>> {
        async move { Ok(Box::new(api::FakeApi { site: self.clone() }) as Box<dyn ClusterApi>) }
            .boxed()
    }

    fn etcd<'a>(
        &'a self,
        _credentials: &'a str,
        _address: SocketAddr,
    ) -> BoxFuture<'a, Result<Box<dyn EtcdApi>, ApiFailure>> {
        async move { Ok(Box::new(api::FakeEtcd { site: self.clone() }) as Box<dyn EtcdApi>) }
            .boxed()
    }
}
