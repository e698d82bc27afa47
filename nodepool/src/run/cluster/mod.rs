//! The cluster of a run: its API once there is one, its secrets, its last touches.

#![expect(clippy::disallowed_methods, reason = "driver: reads the clock")]

mod access;
mod finish;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use self::access::Access;
use super::data_plane;
use super::etcd::Etcd;
use super::executor::Work;
use super::fleet::Fleet;
use super::redact::Redactor;
use super::withdraw::withdraw;
use super::{World, new_join_secrets};
use crate::api::ClusterApi;
use crate::commands::Artefacts;
use crate::core::cluster_view::{ClusterView, NodeView};
use crate::core::desired::{Desired, Machine, Role};
use crate::core::facts::Facts;
use crate::core::plan::{self, Situation, Stage, StageName};
use crate::core::step::{ApiStep, Step};
use crate::error::Failure;
use crate::manifest::kubeadm::{Allowances, JoinSecrets, Software};

/// Longest wait until a node that joined has an object and a pod range.
const REGISTERED: Duration = Duration::from_secs(120);
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
    routed_network: bool,
    secrets: Option<JoinSecrets>,
    access: Option<Access>,
    etcd: Option<Etcd>,
    /// Archives of the bundle that were found to be whole.
    whole: BTreeSet<String>,
}

impl<'a> Cluster<'a> {
    /// The cluster of a run that has just looked at its machines. `routed_network`: the pod network is ours to set up.
    pub fn new(
        world: &'a World<'a>,
        fleet: &'a Fleet<'a>,
        desired: &'a Desired,
        artefacts: &'a Artefacts,
        routed_network: bool,
        facts: &BTreeMap<IpAddr, Facts>,
    ) -> Self {
        // The first control plane's makes the cluster.
        let mut machines = desired.machines.iter();
        let installed = machines
            .find_map(|machine| facts.get(&machine.address)?.kubeadm.clone())
            .unwrap_or_default();
        let software = artefacts.kubernetes(&installed);
        let allowances = Allowances::of(facts.values());
        Self {
            world,
            fleet,
            desired,
            artefacts,
            software,
            allowances,
            routed_network,
            secrets: None,
            access: None,
            etcd: None,
            whole: BTreeSet::new(),
        }
    }

    /// Compares the image archives that a stage sends with their checksums, each once a run: what a machine imports it
    /// does not check itself.
    ///
    /// # Errors
    /// When one is not what the bundle says.
    pub async fn check_archives(&mut self, stage: &Stage) -> Result<(), Failure> {
        let artefacts = self.artefacts;
        let Some(bundle) = &artefacts.bundle else {
            return Ok(());
        };
        let steps = stage.machines.values().flatten();
        for step in steps {
            let Step::ImportImages(images) = step else {
                continue;
            };
            if self.whole.contains(&images.path) {
                continue;
            }
            let (bundle, archive) = (bundle.clone(), images.clone());
            let verified = tokio::task::spawn_blocking(move || bundle.verify(&archive)).await;
            let verified = verified.map_err(|error| Failure::failed(error.to_string()))?;
            verified.map_err(|failure| {
                Failure::failed(failure.to_string())
                    .hint("the bundle is damaged: copy it again, or make it anew")
            })?;
            self.whole.insert(images.path.clone());
        }
        Ok(())
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
        self.routed_network
    }

    /// What the planner looks at.
    pub fn situation<'s>(
        &self,
        facts: &'s BTreeMap<IpAddr, Facts>,
        view: Option<&'s ClusterView>,
    ) -> Situation<'s>
    where
        'a: 's,
    {
        Situation {
            desired: self.desired,
            bundle: self.artefacts.bundle.as_ref(),
            packages: self.artefacts.packages.as_ref(),
            lbnode: &self.artefacts.lbnode,
            routed_network: self.routed_network,
            facts,
            view,
        }
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
            ApiStep::Withdraw { node } => {
                let api = self.api()?;
                // Who carries them from now on has the image of this release alone: speakers of another one never begin there.
                data_plane::install_programs(api, self.desired, self.artefacts).await?;
                withdraw(self.world, api, self.desired, node).await?;
            }
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

    /// Removes whoever has these addresses from etcd, by way of a control plane that stays.
    ///
    /// # Errors
    /// When no control plane's etcd does it.
    pub async fn leave_etcd(
        &self,
        facts: &BTreeMap<IpAddr, Facts>,
        node_ips: &[IpAddr],
    ) -> Result<(), Failure> {
        let mut last = Failure::failed("no control plane is left to ask");
        for living in self.member_control_planes(facts) {
            let etcd = match Etcd::open(self.world, self.fleet, living).await {
                Ok(etcd) => etcd,
                Err(failure) => {
                    last = failure;
                    continue;
                }
            };
            for address in node_ips {
                etcd.remove(*address).await?;
            }
            return Ok(());
        }
        Err(last)
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
}
