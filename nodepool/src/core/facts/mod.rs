//! What is true on a machine, as its own report says (`script/facts.sh`).

mod host;
mod others;
mod report;
mod socket;
mod supply;
mod wiring;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

pub use host::Host;
pub use others::{ApiServer, OtherBalancer, OtherProgram, RunsAs};
pub use report::ReportFailure;
pub use socket::Listener;
pub use supply::{PackageManager, Supply};
pub use wiring::{InterfaceSettings, Wiring};

/// Facts about one machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Host name, lower case: what kubeadm takes as the node's name.
    pub hostname: String,
    /// `amd64`, `arm64`, or what `uname -m` says.
    pub architecture: String,
    /// Kernel release.
    pub kernel: String,
    /// Seconds since 1970 when the report was made.
    pub now: i64,
    /// Effective user of scripts; 0 is root.
    pub uid: u32,
    /// `PRETTY_NAME` of os-release.
    pub os: String,
    /// Name of process 1, `systemd` when systemd runs.
    pub init: String,
    /// cgroup version, 1 or 2.
    pub cgroup: u8,
    /// Capability bounding set of process 1.
    pub capabilities: u64,
    /// `net.ipv4.ip_forward` is on.
    pub ip_forward: bool,
    /// `nf_conntrack_max` can be written.
    pub conntrack_writable: bool,
    /// The kernel's build configuration can be read (kubeadm's SystemVerification wants it).
    pub kernel_config: bool,
    /// Hardware, kernel and settings.
    pub host: Host,
    /// Swap devices and files in use.
    pub swap: Vec<String>,
    /// Free space of `/` in KiB.
    pub disk_free_kib: u64,
    /// Name servers of `/etc/resolv.conf`.
    pub nameservers: Vec<String>,
    /// Programs found, with their paths.
    pub programs: BTreeMap<String, String>,
    /// Addresses with their interface.
    pub addresses: Vec<(String, IpNet)>,
    /// Listening TCP sockets.
    pub listeners: Vec<Listener>,
    /// Routes, settings of interfaces, and who else takes part in the network.
    pub wiring: Wiring,
    /// containerd.
    pub containerd: Containerd,
    /// Images in containerd's `k8s.io` namespace with their digests.
    pub images: BTreeMap<String, String>,
    /// Directories of CNI plugins with what is in them.
    pub cni_plugins: BTreeMap<String, BTreeSet<String>>,
    /// Version of an installed kubeadm.
    pub kubeadm: Option<String>,
    /// Version of an installed kubelet.
    pub kubelet: Option<String>,
    /// How more software can come to it, and what is begun.
    pub supply: Supply,
    /// kubelet's unit.
    pub kubelet_unit: KubeletUnit,
    /// kubeconfigs under `/etc/kubernetes` with their servers.
    pub kubeconfigs: BTreeMap<String, String>,
    /// kubeadm's static pods that have a manifest.
    pub manifests: BTreeSet<String>,
    /// `/etc/kubernetes/pki/ca.crt` exists, and more than a CA that was made before the cluster.
    pub pki: bool,
    /// There is such a CA and nothing else.
    pub authority: bool,
    /// Certificate of the cluster's CA, where its key is too.
    pub ca: Option<String>,
    /// etcd has data.
    pub etcd_data: bool,
    /// The API server that has a manifest here.
    pub api_server: Option<ApiServer>,
    /// Names and addresses in its certificate; none: it could not be read.
    pub api_names: BTreeSet<String>,
    /// Load balancers of others.
    pub others: Vec<OtherBalancer>,
    /// Cluster and role that a finished kubeadm run recorded.
    pub member: Option<Membership>,
    /// Something of ours was installed.
    pub ledger: bool,
    /// Files that were asked for and exist.
    pub files: BTreeMap<String, FileFact>,
    /// Checksums of files as they were when their service read them last.
    pub loaded: BTreeMap<String, String>,
}

/// State of containerd.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Containerd {
    /// Version, when installed.
    pub version: Option<String>,
    /// The service runs.
    pub active: bool,
    /// Who wrote its configuration.
    pub config: ConfigOwner,
    /// It says `SystemdCgroup = true`.
    pub systemd_cgroup: bool,
    /// It disables the CRI plugin.
    pub cri_disabled: bool,
    /// The sandbox image it names.
    pub sandbox_image: Option<String>,
}

/// Who wrote a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConfigOwner {
    /// There is none.
    #[default]
    Absent,
    /// `lbctl`.
    Ours,
    /// The distribution's package, unchanged.
    Distribution,
    /// Somebody else.
    Edited,
}

/// State of kubelet's unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KubeletUnit {
    /// systemd knows it.
    pub present: bool,
    /// It starts at boot.
    pub enabled: bool,
    /// It runs (or is being restarted).
    pub active: bool,
}

/// What a finished `kubeadm init` or `join` recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Cluster's name.
    pub cluster: String,
    /// `control-plane` or `worker`.
    pub role: String,
}

/// A file as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFact {
    /// SHA-256 in hex.
    pub sha256: String,
    /// Permission bits, octal as `stat` prints them.
    pub mode: String,
    /// Inode, to recognise hard links.
    pub inode: u64,
}

/// Bit of CAP_SYS_RESOURCE.
const CAP_SYS_RESOURCE: u64 = 1 << 24;

impl Facts {
    /// The interface and prefix that hold `address`.
    pub fn interface_of(&self, address: IpAddr) -> Option<&(String, IpNet)> {
        self.addresses.iter().find(|(_, net)| net.addr() == address)
    }

    /// Whether `address` is on this machine.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.interface_of(address).is_some()
    }

    /// Lowering `oom_score_adj` is refused on this machine.
    pub fn oom_score_restricted(&self) -> bool {
        self.capabilities & CAP_SYS_RESOURCE == 0
    }

    /// kubeadm's SystemVerification cannot pass here, though nothing is wrong.
    pub fn system_verification_impossible(&self) -> bool {
        self.cgroup == 1 || !self.kernel_config
    }

    /// A file of ours is there that its service has not read.
    pub fn unread(&self, path: &str) -> bool {
        let present = self.files.get(path).map(|fact| &fact.sha256);
        present.is_some() && present != self.loaded.get(path)
    }

    /// Something of Kubernetes is here that no finished run recorded.
    pub fn half_done(&self) -> bool {
        self.member.is_none()
            && (!self.kubeconfigs.is_empty()
                || !self.manifests.is_empty()
                || self.pki
                || self.etcd_data)
    }

    /// A member of etcd is or was here.
    pub fn runs_etcd(&self) -> bool {
        self.etcd_data || self.manifests.contains("etcd")
    }

    /// The machine is one of the cluster of this name.
    pub fn is_member_of(&self, cluster: &str) -> bool {
        let member = self.member.as_ref();
        member.is_some_and(|member| member.cluster == cluster)
    }

    /// Something of ours is or was begun here.
    pub fn is_ours(&self) -> bool {
        self.ledger || self.member.is_some()
    }

    /// Free space where `path` is, in KiB, and the mount point.
    pub fn free_kib(&self, path: &str) -> (&str, u64) {
        let holds = |mount: &str| {
            let rest = path.strip_prefix(mount);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mounts = self.host.disks.iter().filter(|(mount, _)| holds(mount));
        mounts
            .max_by_key(|(mount, _)| mount.len())
            .map_or(("/", self.disk_free_kib), |(mount, free)| {
                (mount.as_str(), *free)
            })
    }

    /// The first directory that has every CNI plugin of `wanted`.
    pub fn cni_directory(&self, wanted: &[&str]) -> Option<&str> {
        let complete =
            |plugins: &BTreeSet<String>| wanted.iter().all(|plugin| plugins.contains(*plugin));
        // /opt/cni/bin first: it is where everything else looks.
        let preferred = self.cni_plugins.get_key_value("/opt/cni/bin").into_iter();
        preferred
            .chain(self.cni_plugins.iter())
            .find(|(_, plugins)| complete(plugins))
            .map(|(directory, _)| directory.as_str())
    }
}

#[cfg(test)]
mod tests;
