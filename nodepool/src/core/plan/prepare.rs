//! What a machine needs before it can be part of a cluster.

use super::Situation;
use crate::bundle::Bundle;
use crate::core::desired::Machine;
use crate::core::facts::{ConfigOwner, Facts};
use crate::core::step::Step;
use crate::core::update::rests;
use crate::core::version::Version;
use crate::lbnode;
use crate::manifest::{self, NodeFile, cni, containerd, kubeadm, kubelet, static_pod};

impl Situation<'_> {
    /// Order inside: software, containerd, images, then the balancer's configuration, image, manifest.
    pub(super) fn prepare(&self, machine: &Machine, facts: &Facts) -> Vec<Step> {
        let mut steps = Vec::new();
        let Situation { bundle, lbnode, .. } = self;
        for file in bundle.iter().flat_map(|bundle| &bundle.files) {
            if !present(facts, &file.install, &file.sha256, &file.mode) {
                steps.push(Step::PutBundleFile(file.clone()));
            }
            let fact = facts.files.get(&file.install);
            let linked = |link: &String| {
                let other = facts.files.get(link);
                fact.zip(other).is_some_and(|(fact, other)| fact == other)
            };
            let copied = steps.last() == Some(&Step::PutBundleFile(file.clone()));
            if !file.links.is_empty() && (copied || !file.links.iter().all(linked)) {
                steps.push(Step::Link(file.clone()));
            }
        }
        if self.lacks_lbnode(facts) {
            steps.push(Step::PutLbnode {
                sha256: lbnode.sha256.clone(),
            });
        }
        self.containerd(facts, &mut steps);
        let sysctl = missing(facts, [manifest::sysctl()]);
        if !sysctl.is_empty() || !facts.ip_forward {
            steps.extend(sysctl);
            steps.push(Step::LoadSysctl);
        }
        for images in bundle.iter().flat_map(|bundle| &bundle.images) {
            if !images
                .names
                .iter()
                .all(|name| facts.images.contains_key(name))
            {
                steps.push(Step::ImportImages(images.clone()));
            }
        }
        if let Some(kubelet) = self.bundled_kubelet() {
            steps.extend(missing(
                facts,
                [kubelet::unit(kubelet), kubelet::drop_in(kubelet)],
            ));
        }
        let written = |path: &str| {
            steps
                .iter()
                .any(|step| matches!(step, Step::PutFile(file) if file.path == path))
        };
        let units = [kubelet::UNIT, kubelet::DROP_IN];
        let unread = units.iter().any(|path| written(path) || facts.unread(path));
        if unread || !facts.kubelet_unit.enabled {
            steps.push(Step::EnableKubelet);
        }
        let digest = &lbnode.image.digest;
        if machine.load_balancer.is_some() {
            steps.extend(missing(facts, manifest::load_balancer_configs(machine)));
        }
        if self.runs_lbnode(machine, facts) && facts.images.get(lbnode::IMAGE) != Some(digest) {
            steps.push(Step::ImportLbnode {
                digest: digest.clone(),
            });
        }
        if self.desired.shares_port(machine) {
            steps.extend(missing(facts, [kubeadm::api_server_patch(machine)]));
        }
        if machine.is_dedicated_balancer() {
            // Before there is a cluster they have a stage of their own.
            if super::cluster_lives(self.desired, self.facts) {
                steps.extend(missing(facts, self.authority()));
                steps.extend(missing(
                    facts,
                    manifest::load_balancer_pods(machine, digest),
                ));
            }
        } else {
            steps.extend(missing(
                facts,
                manifest::load_balancer_pods(machine, digest),
            ));
        }
        steps
    }

    /// Where the load balancer is somebody else's nothing of ours runs.
    fn lacks_lbnode(&self, facts: &Facts) -> bool {
        !self.desired.external && !present(facts, lbnode::INSTALLED, &self.lbnode.sha256, "755")
    }

    /// Static pods and speakers are the same image. A speaker that is to hand over goes on until it has: the programs of this
    /// release replace it before that.
    fn runs_lbnode(&self, machine: &Machine, facts: &Facts) -> bool {
        machine.load_balancer.is_some() || machine.lbnode || self.carries_no_more(machine, facts)
    }

    /// What a member lacks of the node binary and its image. Nothing restarts by it.
    pub(in crate::core) fn bring(&self, machine: &Machine, facts: &Facts) -> Vec<Step> {
        let lbnode = self.lbnode;
        let mut steps = Vec::new();
        if self.lacks_lbnode(facts) {
            let sha256 = lbnode.sha256.clone();
            steps.push(Step::PutLbnode { sha256 });
        }
        let digest = &lbnode.image.digest;
        if self.runs_lbnode(machine, facts) && facts.images.get(lbnode::IMAGE) != Some(digest) {
            let digest = digest.clone();
            steps.push(Step::ImportLbnode { digest });
        }
        steps
    }

    /// Files of the API load balancer that differ. The static pods, last, restart it. A router that rests is not begun.
    pub(in crate::core) fn turn(&self, machine: &Machine, facts: &Facts) -> Vec<Step> {
        let authority = self.authority().filter(|_| machine.is_dedicated_balancer());
        let mut files = manifest::load_balancer_configs(machine);
        files.extend(authority);
        files.extend(manifest::load_balancer_pods(
            machine,
            &self.lbnode.image.digest,
        ));
        if rests(machine, facts) {
            let router = static_pod::VRRP.path();
            files.retain(|file| file.path != router);
        }
        missing(facts, files)
    }

    fn containerd(&self, facts: &Facts, steps: &mut Vec<Step>) {
        let file = self.containerd_config(facts);
        let suits =
            facts.containerd.config == ConfigOwner::Edited && containerd_suits(facts, self.bundle);
        let changes = if suits {
            Vec::new()
        } else {
            missing(facts, [file])
        };
        let unread = !suits && facts.unread(containerd::PATH);
        if !changes.is_empty() || unread || !facts.containerd.active {
            steps.extend(changes);
            steps.push(Step::RestartContainerd);
        }
    }

    fn containerd_config(&self, facts: &Facts) -> NodeFile {
        let version = facts.containerd.version.as_deref();
        containerd::file(&containerd::Settings {
            version: version.and_then(Version::parse),
            pause_image: self.bundle.map(|bundle| bundle.pause_image.as_str()),
            cni_directory: facts.cni_directory(&cni::PLUGINS).unwrap_or("/opt/cni/bin"),
            restrict_oom_score: facts.oom_score_restricted(),
        })
    }

    fn bundled_kubelet(&self) -> Option<&str> {
        let files = &self.bundle?.files;
        let mut paths = files
            .iter()
            .flat_map(|file| std::iter::once(&file.install).chain(&file.links));
        paths
            .find(|path| path.ends_with("/kubelet"))
            .map(String::as_str)
    }
}

/// A configuration that somebody edited does what kubeadm's clusters need.
pub fn containerd_suits(facts: &Facts, bundle: Option<&Bundle>) -> bool {
    let containerd = &facts.containerd;
    let sandbox = bundle.is_none_or(|bundle| {
        containerd.sandbox_image.as_deref() == Some(bundle.pause_image.as_str())
    });
    containerd.systemd_cgroup && !containerd.cri_disabled && sandbox
}

fn present(facts: &Facts, path: &str, sha256: &str, mode: &str) -> bool {
    let same_mode = |fact: &str| fact.trim_start_matches('0') == mode.trim_start_matches('0');
    facts
        .files
        .get(path)
        .is_some_and(|fact| fact.sha256 == sha256 && same_mode(&fact.mode))
}

pub(super) fn missing(facts: &Facts, files: impl IntoIterator<Item = NodeFile>) -> Vec<Step> {
    let files = files.into_iter();
    let missing = files.filter(|file| !present(facts, &file.path, &file.sha256(), file.mode));
    missing.map(Step::PutFile).collect()
}
