//! The cluster of a run: its API once there is one, its secrets, its last touches.

#![expect(clippy::disallowed_methods, reason = "driver: reads the clock")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::etcd::Etcd;
use super::executor::Work;
use super::fleet::Fleet;
use super::redact::Redactor;
use super::{World, data_plane, new_join_secrets};
use crate::api::ClusterApi;
use crate::commands::Artefacts;
use crate::core::cluster_view::{ClusterView, NodeView};
use crate::core::desired::{API_SERVER_PORT, Desired, Machine, Role};
use crate::core::facts::Facts;
use crate::core::plan::{self, Stage, StageName};
use crate::core::step::{ApiStep, Step};
use crate::error::Failure;
use crate::manifest::kubeadm::{Allowances, JoinSecrets, Software};
use crate::script;
use crate::ui::Progress;
use crate::workspace::Workspace;

/// Longest wait for the first answer of the API, per way to it.
const FIRST_ANSWER: Duration = Duration::from_secs(8);
/// Longest wait for one call once a way was found: the virtual IP may be moving.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait until a node that joined has an object and a pod range.
const REGISTERED: Duration = Duration::from_secs(120);
/// Longest wait until every node is Ready.
const READY: Duration = Duration::from_secs(180);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(300);

/// The cluster of a run.
pub struct Cluster<'a> {
    world: &'a World<'a>,
    fleet: &'a Fleet<'a>,
    desired: &'a Desired,
    artefacts: &'a Artefacts,
    software: Software,
    allowances: Allowances,
    secrets: Option<JoinSecrets>,
    access: Option<Access>,
    etcd: Option<Etcd>,
}

/// A way to the API.
struct Access {
    kubeconfig: String,
    certificate_authority: String,
    api: Box<dyn ClusterApi>,
    last: ClusterView,
}

impl<'a> Cluster<'a> {
    /// The cluster of a run that has just looked at its machines.
    pub fn new(
        world: &'a World<'a>,
        fleet: &'a Fleet<'a>,
        desired: &'a Desired,
        artefacts: &'a Artefacts,
        facts: &BTreeMap<IpAddr, Facts>,
    ) -> Self {
        let installed = facts
            .values()
            .find_map(|facts| facts.kubeadm.clone())
            .unwrap_or_default();
        let software = artefacts.bundle.as_ref().map_or_else(
            || Software {
                version: installed,
                image_repository: None,
            },
            |bundle| Software {
                version: bundle.kubernetes_version.clone(),
                image_repository: Some(bundle.image_repository.clone()),
            },
        );
        let allowances = Allowances::of(facts.values());
        Self {
            world,
            fleet,
            desired,
            artefacts,
            software,
            allowances,
            secrets: None,
            access: None,
            etcd: None,
        }
    }

    /// What turns steps into scripts.
    pub fn work(&self) -> Work<'_> {
        Work {
            desired: self.desired,
            bundle: self.artefacts.bundle.as_ref(),
            lbnode: &self.artefacts.lbnode,
            software: &self.software,
            allowances: self.allowances,
            secrets: self.secrets.as_ref(),
            certificate_authority: self
                .access
                .as_ref()
                .map(|access| access.certificate_authority.as_str()),
        }
    }

    /// Whether the routed pod network is ours to set up.
    pub fn routed_network(&self) -> bool {
        self.artefacts.cni.is_none()
    }

    /// The API.
    ///
    /// # Errors
    /// When there is no cluster yet.
    pub fn api(&self) -> Result<&dyn ClusterApi, Failure> {
        let access = self.access.as_ref();
        access
            .map(|access| access.api.as_ref())
            .ok_or_else(|| Failure::failed("the cluster has no API yet"))
    }

    /// Does one step through the API, or through etcd's.
    ///
    /// # Errors
    /// When it refuses or does not answer.
    pub async fn apply(&self, step: &ApiStep) -> Result<(), Failure> {
        match step {
            ApiStep::RemoveEtcdMember { node_ip } => {
                // It is planned only after the members were seen.
                if let Some(etcd) = &self.etcd {
                    etcd.remove(*node_ip).await?;
                }
            }
            ApiStep::DeleteNode { node } => self.api()?.delete_node(node).await?,
            ApiStep::Mark(mark) => self.api()?.mark(mark).await?,
        }
        Ok(())
    }

    /// The cluster as it is, with an object and pod ranges for every machine that has joined; nothing while
    /// there is no cluster.
    ///
    /// # Errors
    /// When the API does not answer, or a joined node does not show up.
    pub async fn view(
        &mut self,
        facts: &BTreeMap<IpAddr, Facts>,
    ) -> Result<Option<ClusterView>, Failure> {
        if !plan::cluster_lives(self.desired, facts) {
            return Ok(None);
        }
        if self.access.is_none() {
            self.access = Some(self.find_access(facts).await?);
        }
        let deadline = Instant::now() + REGISTERED;
        loop {
            let mut view = self.api()?.view().await?;
            let routed = self.routed_network();
            let there = |node: Option<&NodeView>| {
                node.is_some_and(|node| !routed || !node.pod_cidrs.is_empty())
            };
            let joined = facts.values().filter(|facts| facts.member.is_some());
            let absent: Vec<&str> = joined
                .filter(|facts| !there(view.nodes.get(&facts.hostname)))
                .map(|facts| facts.hostname.as_str())
                .collect();
            if absent.is_empty() {
                view.etcd = self.etcd_members(facts).await?;
                if let Some(access) = &mut self.access {
                    access.last = view.clone();
                }
                return Ok(Some(view));
            }
            self.world.interrupt.check()?;
            if Instant::now() >= deadline {
                return Err(Failure::failed(format!(
                    "joined, but without a node object or pod range: {}",
                    absent.join(", ")
                ))
                .hint("`journalctl -u kubelet` on the machine says why; `clusterNetwork.pods` may be used up"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Asked only while a control plane is to join: stale members must go before that.
    async fn etcd_members(
        &mut self,
        facts: &BTreeMap<IpAddr, Facts>,
    ) -> Result<BTreeSet<IpAddr>, Failure> {
        let living = self.member_control_planes(facts).next();
        let all =
            self.member_control_planes(facts).count() == self.desired.control_planes().count();
        let Some(living) = living.filter(|_| !all) else {
            return Ok(BTreeSet::new());
        };
        let etcd = Etcd::open(self.world, self.fleet, living).await?;
        let addresses = etcd.addresses();
        self.etcd = Some(etcd);
        Ok(addresses)
    }

    fn member_control_planes(
        &self,
        facts: &BTreeMap<IpAddr, Facts>,
    ) -> impl Iterator<Item = &'a Machine> {
        let member = |machine: &&Machine| {
            facts.get(&machine.address).is_some_and(|facts| {
                let role = facts.member.as_ref().map(|member| member.role.as_str());
                role == Some(Role::ControlPlane.membership())
            })
        };
        let machines: Vec<_> = self.desired.control_planes().filter(member).collect();
        machines.into_iter()
    }

    /// Through the virtual IP, or, when it does not answer, through an API server itself. An API that has lost
    /// its majority comes back when the machine that was cut off has booted: it is waited for.
    async fn find_access(&self, facts: &BTreeMap<IpAddr, Facts>) -> Result<Access, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut why = String::from("no control plane has joined");
            for machine in self.member_control_planes(facts) {
                match self.try_access(machine).await {
                    Ok(access) => return Ok(access),
                    Err(failure) => why = failure.message,
                }
                self.world.interrupt.check()?;
            }
            if Instant::now() >= deadline {
                return Err(Failure::failed(why).hint("`crictl ps -a` and `journalctl -u kubelet` on a control plane say more; `lbctl reset cluster` begins anew"));
            }
            self.world.ui.note(&format!("waiting for the API: {why}"));
        }
    }

    async fn try_access(&self, machine: &Machine) -> Result<Access, Failure> {
        let kubeconfig = self.read_kubeconfig(machine.address).await?;
        let certificate_authority = certificate_authority(&kubeconfig)?;
        let own = SocketAddr::new(machine.node_ip, API_SERVER_PORT);
        let mut last = Failure::failed("");
        for server in [self.desired.server_url(), format!("https://{own}")] {
            let connect = |patience| self.world.api.connect(&kubeconfig, Some(&server), patience);
            match connect(FIRST_ANSWER).await?.view().await {
                Ok(last) => {
                    if server != self.desired.server_url() {
                        self.world.ui.note(&format!(
                            "the virtual IP does not answer; going on through {server}"
                        ));
                    }
                    let api = connect(PATIENCE).await?;
                    return Ok(Access {
                        kubeconfig,
                        certificate_authority,
                        api,
                        last,
                    });
                }
                Err(failure) => last = failure.into(),
            }
        }
        Err(last)
    }

    async fn read_kubeconfig(&self, address: IpAddr) -> Result<String, Failure> {
        let machine = self.fleet.machine(address);
        let output = machine
            .run(&script::read_admin_conf(), "read the kubeconfig")
            .await;
        match output {
            Ok(output) if output.status == 0 => Ok(output.stdout),
            Ok(output) => Err(Failure::failed(format!(
                "{address}: {}",
                output.stderr.trim()
            ))),
            Err(failure) => Err(Failure::failed(format!("{address}: {failure}"))),
        }
    }

    /// Secrets that `kubeadm init` makes known to the cluster.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn secrets_for_init(&mut self) -> Result<(), Failure> {
        let secrets = new_join_secrets()?;
        self.world.log.hide(Redactor::new(Some(&secrets)));
        self.secrets = Some(secrets);
        Ok(())
    }

    /// Secrets for joining a cluster that an earlier run began.
    ///
    /// # Errors
    /// When the API refuses, or the certificates cannot be uploaded.
    pub async fn secrets_for_join(
        &mut self,
        facts: &mut BTreeMap<IpAddr, Facts>,
        stage: StageName,
    ) -> Result<(), Failure> {
        if self.secrets.is_some() {
            return Ok(());
        }
        self.secrets_for_init()?;
        if let Some(secrets) = &self.secrets {
            self.api()?.add_join_token(secrets).await?;
        }
        // Workers need no certificates, but those of the next stage of this run may.
        let first = self
            .member_control_planes(facts)
            .next()
            .map(|machine| machine.address);
        if let (Some(address), StageName::JoinControlPlanes) = (first, stage) {
            let steps = BTreeMap::from([(address, vec![Step::UploadCerts])]);
            let upload = Stage {
                name: stage,
                first: Vec::new(),
                machines: steps,
                api: Vec::new(),
            };
            let failures =
                super::run_stage(self.world, self.fleet, &self.work(), &upload, facts).await;
            if let Some(failed) = failures.first() {
                return Err(Failure::failed(format!(
                    "{}: {}: {}",
                    failed.node, failed.step, failed.reason
                )));
            }
        }
        Ok(())
    }

    /// The kubeconfig, the CNI of the operator's choice, the data plane, the wait for Ready, secrets taken back. True
    /// when something was changed.
    ///
    /// # Errors
    /// When a node does not become Ready, or the API or the disk refuses.
    pub async fn finish(&self, workspace: &Workspace) -> Result<bool, Failure> {
        let mut changed = false;
        // First: whatever is refused after it, the operator can look at the cluster.
        if let Some(access) = &self.access {
            changed |= workspace.keep_kubeconfig(&access.kubeconfig)?;
        }
        if let Some((file, text)) = &self.artefacts.cni {
            changed |= self.api()?.apply_manifest(text, file).await?;
        }
        let installed = data_plane::install(self.api()?, self.desired, self.artefacts).await?;
        changed |= installed.changed;
        for note in &installed.notes {
            self.world.log.machine("api")?.note(note);
            self.world.ui.note(note);
        }
        self.wait_ready().await?;
        if let Some(secrets) = &self.secrets {
            self.api()?.remove_join_secrets(secrets).await?;
        }
        Ok(changed)
    }

    async fn wait_ready(&self) -> Result<(), Failure> {
        let waiting = |view: &ClusterView| {
            let waiting = view.nodes.iter().filter(|(_, node)| !node.ready);
            let words = waiting.map(|(name, node)| {
                format!(
                    "{name}: {}",
                    node.why.as_deref().unwrap_or("no condition `Ready` yet")
                )
            });
            words.collect::<Vec<_>>()
        };
        let mut last = match &self.access {
            Some(access) => waiting(&access.last),
            None => return Ok(()),
        };
        if last.is_empty() {
            return Ok(());
        }
        let progress = Progress::begin(self.world.ui, "wait until every node is Ready");
        let deadline = Instant::now() + READY;
        while !last.is_empty() {
            self.world.interrupt.check()?;
            if Instant::now() >= deadline {
                return Err(Failure::failed(format!(
                    "not Ready:\n  {}",
                    last.join("\n  ")
                )));
            }
            tokio::time::sleep(LOOK).await;
            last = waiting(&self.api()?.view().await?);
        }
        progress.end();
        Ok(())
    }
}

fn certificate_authority(kubeconfig: &str) -> Result<String, Failure> {
    let value: serde_json::Value = serde_saphyr::from_str(kubeconfig)
        .map_err(|_| Failure::failed("the cluster's admin.conf is no YAML"))?;
    value["clusters"][0]["cluster"]["certificate-authority-data"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::failed("the cluster's admin.conf holds no CA"))
}
