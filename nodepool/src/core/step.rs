//! One change: what it is, in words and as data. `crate::run` does it; [`Step::applied`] is what it makes true.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::desired::Taint;
use super::facts::{
    ApiServer, ConfigOwner, Facts, FileFact, Membership, OtherBalancer, PackageManager,
};
use crate::bundle::{BundleFile, BundleImages};
use crate::lbnode;
use crate::manifest::{NodeFile, cni, containerd, kubelet, packages, static_pod};

/// A change of one machine, over SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Take back a kubeadm run that did not end well.
    CleanKubeadm,
    /// Have the machine fetch the key of Kubernetes' package repository.
    FetchPackageKey {
        /// Its package manager.
        manager: PackageManager,
        /// Where the key is.
        address: String,
    },
    /// Install packages and keep them at their version.
    InstallPackages {
        /// The machine's package manager.
        manager: PackageManager,
        /// Each as `NAME`, `NAME|OTHER` or `NAME=VERSION`; none: only finish what was begun.
        packages: Vec<String>,
    },
    /// Write a file.
    PutFile(NodeFile),
    /// Copy a file of the bundle.
    PutBundleFile(BundleFile),
    /// Make the further names of a file of the bundle.
    Link(BundleFile),
    /// Copy `lbnode`.
    PutLbnode {
        /// Its checksum.
        sha256: String,
    },
    /// Restart containerd with its configuration.
    RestartContainerd,
    /// Load the forwarding switch.
    LoadSysctl,
    /// Import an archive of the bundle.
    ImportImages(BundleImages),
    /// Import `lbnode`'s image.
    ImportLbnode {
        /// Digest of its manifest.
        digest: String,
    },
    /// Enable the kubelet.
    EnableKubelet,
    /// Have kubeadm make the CA.
    MakeAuthority,
    /// Stop the API load balancer of a machine that has not joined.
    StopBalancer,
    /// Start the kubelet without a cluster.
    StandAlone,
    /// `kubeadm init`.
    Init {
        /// The cluster's name.
        cluster: String,
    },
    /// Upload the control plane's keys for those who join.
    UploadCerts,
    /// `kubeadm join`.
    Join {
        /// The cluster's name.
        cluster: String,
        /// As a control plane, or as a worker.
        role: &'static str,
    },
    /// Start the unit that sets the pod routes.
    StartRoutes,
    /// Note that a machine is in the cluster already.
    Adopt {
        /// The cluster's name.
        cluster: String,
        /// As a control plane, or as a worker.
        role: &'static str,
    },
    /// Stop load balancers of others.
    StopOthers(StopOthers),
    /// Have the API server listen on this address alone.
    KeepToAddress(SocketAddr),
}

/// Load balancers of others that stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopOthers {
    /// In the order in which they do.
    pub others: Vec<OtherBalancer>,
    /// The virtual IPs.
    pub vips: Vec<IpAddr>,
    /// The virtual IP is on the machine, and leaves it; else it must not be there.
    pub owner: bool,
}

/// A change of the cluster, through its API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiStep {
    /// Remove the etcd member of a control plane that must join anew.
    RemoveEtcdMember {
        /// Its address inside the cluster.
        node_ip: IpAddr,
    },
    /// Remove the object of a node that must join anew.
    DeleteNode {
        /// The node.
        node: String,
    },
    /// Set labels and taints.
    Mark(Mark),
    /// Have a node that does not carry Service addresses any more hand them over, and take its label.
    Withdraw {
        /// The node.
        node: String,
    },
}

/// Labels and taints to change on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The node.
    pub node: String,
    /// Labels to set.
    pub labels: BTreeMap<String, String>,
    /// Taints to add.
    pub add_taints: Vec<Taint>,
    /// Keys of taints to remove.
    pub remove_taints: Vec<String>,
}

impl Step {
    /// In words, for progress and logs.
    pub fn title(&self) -> String {
        match self {
            Self::CleanKubeadm => "take back an unfinished kubeadm run".to_owned(),
            Self::FetchPackageKey { .. } => "fetch the key of the package repository".to_owned(),
            Self::InstallPackages { packages, .. } if packages.is_empty() => {
                "finish installing packages".to_owned()
            }
            Self::InstallPackages { packages, .. } => format!("install {}", packages.join(" ")),
            Self::PutFile(file) => format!("write {}", file.path),
            Self::PutBundleFile(file) => format!("copy {}", file.install),
            Self::Link(file) => format!("link {} more names of {}", file.links.len(), file.install),
            Self::PutLbnode { .. } => format!("copy {}", lbnode::INSTALLED),
            Self::RestartContainerd => "restart containerd".to_owned(),
            Self::LoadSysctl => "switch forwarding on".to_owned(),
            Self::ImportImages(images) => format!("import {} images", images.names.len()),
            Self::ImportLbnode { .. } => format!("import image {}", lbnode::IMAGE),
            Self::EnableKubelet => "enable kubelet".to_owned(),
            Self::MakeAuthority => "make the certificate authority".to_owned(),
            Self::StopBalancer => "stop the API load balancer".to_owned(),
            Self::StandAlone => "start the kubelet without a cluster".to_owned(),
            Self::Init { .. } => "kubeadm init".to_owned(),
            Self::UploadCerts => "upload certificates for joining nodes".to_owned(),
            Self::Join { role, .. } => format!("kubeadm join as {role}"),
            Self::StartRoutes => "set routes to the other nodes' pods".to_owned(),
            Self::Adopt { cluster, role } => format!("note that it is a {role} of {cluster}"),
            Self::StopOthers(stop) => {
                let names: Vec<String> = stop.others.iter().map(ToString::to_string).collect();
                format!("stop {}", names.join(", "))
            }
            Self::KeepToAddress(address) => {
                format!("have the API server listen on {address} and on no other address")
            }
        }
    }

    /// Records in `facts` what is true after the step.
    pub fn applied(&self, facts: &mut Facts) {
        match self {
            Self::CleanKubeadm => {
                facts.kubeconfigs.clear();
                facts.manifests.clear();
                facts.pki = false;
                facts.authority = false;
                facts.ca = None;
                facts.etcd_data = false;
                facts.member = None;
                facts.kubelet_unit.active = false;
                // kubeadm reset empties the directory of static pods.
                facts
                    .files
                    .retain(|path, _| !path.starts_with("/etc/kubernetes/manifests/"));
            }
            Self::FetchPackageKey { manager, .. } => {
                facts.ledger = true;
                put(facts, packages::key_path(*manager), String::new(), "644");
            }
            // What has come is looked at anew.
            Self::InstallPackages { .. } => {
                facts.ledger = true;
                facts.supply.unfinished = false;
            }
            Self::PutFile(file) => {
                facts.ledger = true;
                if file.path == containerd::PATH {
                    facts.containerd.config = ConfigOwner::Ours;
                }
                put(facts, &file.path, file.sha256(), file.mode);
            }
            Self::PutBundleFile(file) => {
                facts.ledger = true;
                put(facts, &file.install, file.sha256.clone(), &file.mode);
            }
            Self::Link(file) => {
                if let Some(fact) = facts.files.get(&file.install).cloned() {
                    for link in &file.links {
                        facts.files.insert(link.clone(), fact.clone());
                    }
                }
            }
            Self::PutLbnode { sha256 } => put(facts, lbnode::INSTALLED, sha256.clone(), "755"),
            Self::RestartContainerd => {
                facts.containerd.active = true;
                read(facts, &[containerd::PATH]);
            }
            Self::LoadSysctl => facts.ip_forward = true,
            Self::ImportImages(images) => {
                for name in &images.names {
                    facts.images.insert(name.clone(), String::new());
                }
            }
            Self::ImportLbnode { digest } => {
                facts
                    .images
                    .insert(lbnode::IMAGE.to_owned(), digest.clone());
            }
            Self::EnableKubelet => {
                facts.kubelet_unit.present = true;
                facts.kubelet_unit.enabled = true;
                read(facts, &[kubelet::UNIT, kubelet::DROP_IN]);
            }
            Self::MakeAuthority => facts.authority = true,
            Self::StopBalancer => {
                let pods = [&static_pod::VRRP, &static_pod::PROXY];
                for pod in pods {
                    facts.files.remove(&pod.path());
                }
            }
            Self::StandAlone => {
                facts.kubelet_unit.enabled = true;
                facts.kubelet_unit.active = true;
                let files = [kubelet::STANDALONE_CONFIG, kubelet::STANDALONE_DROP_IN];
                read(facts, &files);
            }
            Self::Init { cluster } => join(facts, cluster, "control-plane"),
            Self::Join { cluster, role } => join(facts, cluster, role),
            Self::StartRoutes => read(facts, &[cni::ROUTES]),
            Self::Adopt { cluster, role } => {
                facts.member = Some(Membership {
                    cluster: cluster.clone(),
                    role: (*role).to_owned(),
                });
            }
            Self::StopOthers(stop) => stopped(facts, stop),
            Self::KeepToAddress(address) => {
                facts.api_server = Some(ApiServer {
                    port: address.port(),
                    address: Some(address.ip()),
                });
            }
            Self::UploadCerts => {}
        }
    }
}

fn stopped(facts: &mut Facts, stop: &StopOthers) {
    facts.others.retain(|other| !stop.others.contains(other));
    let ends = |program: &str| stop.others.iter().any(|one| one.program.name() == program);
    facts.listeners.retain(|listener| {
        let program = listener.process.as_ref();
        !program.is_some_and(|(program, _)| ends(program))
    });
    if stop.owner {
        let vips = &stop.vips;
        facts
            .addresses
            .retain(|(_, net)| !vips.contains(&net.addr()));
    }
}

fn put(facts: &mut Facts, path: &str, sha256: String, mode: &str) {
    let mode = mode.trim_start_matches('0').to_owned();
    facts.files.insert(
        path.to_owned(),
        FileFact {
            sha256,
            mode,
            inode: 0,
        },
    );
}

fn read(facts: &mut Facts, paths: &[&str]) {
    for path in paths {
        if let Some(fact) = facts.files.get(*path) {
            facts.loaded.insert((*path).to_owned(), fact.sha256.clone());
        }
    }
}

fn join(facts: &mut Facts, cluster: &str, role: &str) {
    facts.member = Some(Membership {
        cluster: cluster.to_owned(),
        role: role.to_owned(),
    });
    facts.kubelet_unit.active = true;
    facts.files.remove(kubelet::STANDALONE_CONFIG);
    facts.files.remove(kubelet::STANDALONE_DROP_IN);
}

impl ApiStep {
    /// In words, for progress and logs.
    pub fn title(&self) -> String {
        match self {
            Self::RemoveEtcdMember { node_ip } => format!("remove the etcd member {node_ip}"),
            Self::DeleteNode { node } => format!("remove the old object of node {node}"),
            Self::Mark(mark) => format!("set labels and taints of node {}", mark.node),
            Self::Withdraw { node } => format!("hand the Service addresses of node {node} over"),
        }
    }
}
