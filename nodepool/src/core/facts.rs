//! What is true on a machine, as its own report says (`script/facts.sh`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

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
    /// kubelet's unit.
    pub kubelet_unit: KubeletUnit,
    /// kubeconfigs under `/etc/kubernetes` with their servers.
    pub kubeconfigs: BTreeMap<String, String>,
    /// kubeadm's static pods that have a manifest.
    pub manifests: BTreeSet<String>,
    /// `/etc/kubernetes/pki/ca.crt` exists.
    pub pki: bool,
    /// etcd has data.
    pub etcd_data: bool,
    /// Cluster and role that a finished kubeadm run recorded.
    pub member: Option<Membership>,
    /// Something of ours was installed.
    pub ledger: bool,
    /// Files that were asked for and exist.
    pub files: BTreeMap<String, FileFact>,
    /// Checksums of files as they were when their service read them last.
    pub loaded: BTreeMap<String, String>,
}

/// A listening TCP socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Local address; absent: every address.
    pub address: Option<IpAddr>,
    /// Local port.
    pub port: u16,
    /// Program and process id, when they can be seen.
    pub process: Option<(String, u32)>,
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

/// A report that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportFailure {
    /// It ends too early.
    #[error("the machine's report is not complete")]
    Truncated,
    /// A line is not understood.
    #[error("the machine's report has a line that cannot be read: `{0}`")]
    Line(String),
}

impl Facts {
    /// Reads a report.
    ///
    /// # Errors
    /// When it is cut off or a number in it is none.
    pub fn parse(report: &str) -> Result<Self, ReportFailure> {
        let mut facts = Self::default();
        let mut ended = false;
        for line in report.lines() {
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            facts
                .take(key, value.trim())
                .ok_or_else(|| ReportFailure::Line(line.to_owned()))?;
            ended |= key == "end";
        }
        if ended {
            Ok(facts)
        } else {
            Err(ReportFailure::Truncated)
        }
    }

    fn take(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "hostname" => self.hostname = value.to_owned(),
            "arch" => {
                self.architecture = match value {
                    "x86_64" => "amd64",
                    "aarch64" => "arm64",
                    other => other,
                }
                .to_owned();
            }
            "kernel" => self.kernel = value.to_owned(),
            "now" => self.now = value.parse().ok()?,
            "uid" => self.uid = value.parse().ok()?,
            "os_name" => self.os = value.to_owned(),
            "init" => self.init = value.to_owned(),
            "cgroup" => self.cgroup = value.parse().ok()?,
            "capabilities" => self.capabilities = u64::from_str_radix(value, 16).ok()?,
            "ip_forward" => self.ip_forward = value == "1",
            "conntrack" => self.conntrack_writable = value == "writable",
            "kernel_config" => self.kernel_config = value == "readable",
            "swap" => self.swap.push(value.to_owned()),
            "disk_free_kib" => self.disk_free_kib = value.parse().ok()?,
            "nameserver" => self.nameservers.push(value.to_owned()),
            "program" => {
                let (name, path) = value.split_once(' ')?;
                self.programs.insert(name.to_owned(), path.to_owned());
            }
            "address" => {
                let (interface, address) = value.split_once(' ')?;
                // A peer address is printed without a prefix; it is no address of this machine.
                if let Ok(address) = address.parse() {
                    self.addresses.push((interface.to_owned(), address));
                }
            }
            "listen" => self.listeners.push(Listener::parse(value)?),
            "containerd" => self.containerd.version = Some(value.to_owned()),
            "containerd_active" => self.containerd.active = value == "active",
            "containerd_config" => {
                self.containerd.config = match value {
                    "ours" => ConfigOwner::Ours,
                    "distribution" => ConfigOwner::Distribution,
                    _ => ConfigOwner::Edited,
                };
            }
            "containerd_has" => match value {
                "systemd-cgroup" => self.containerd.systemd_cgroup = true,
                _ => self.containerd.cri_disabled = true,
            },
            "containerd_sandbox" => self.containerd.sandbox_image = Some(value.to_owned()),
            "image" => {
                let (name, digest) = value.split_once(' ')?;
                self.images.insert(name.to_owned(), digest.to_owned());
            }
            "cni_plugin" => {
                let (directory, plugin) = value.split_once(' ')?;
                let plugins = self.cni_plugins.entry(directory.to_owned()).or_default();
                plugins.insert(plugin.to_owned());
            }
            "kubeadm" => self.kubeadm = Some(value.to_owned()),
            "kubelet" => self.kubelet = Some(value.to_owned()),
            "kubelet_enabled" => self.kubelet_unit.enabled = value == "enabled",
            "kubelet_active" => {
                self.kubelet_unit.active = matches!(value, "active" | "activating" | "reloading");
            }
            "kubelet_unit" => self.kubelet_unit.present = true,
            "kubeconfig" => {
                let (name, server) = value.split_once(' ').unwrap_or((value, ""));
                self.kubeconfigs.insert(name.to_owned(), server.to_owned());
            }
            "manifest" => {
                self.manifests.insert(value.to_owned());
            }
            "pki" => self.pki = true,
            "etcd_data" => self.etcd_data = true,
            "member" => {
                let (cluster, role) = value.split_once(' ')?;
                self.member = Some(Membership {
                    cluster: cluster.to_owned(),
                    role: role.to_owned(),
                });
            }
            "ledger" => self.ledger = true,
            "loaded" => {
                let (sha256, path) = value.strip_prefix("sha256:")?.split_once(' ')?;
                self.loaded.insert(path.to_owned(), sha256.to_owned());
            }
            "file" => {
                let mut words = value.splitn(4, ' ');
                let (sha256, mode) = (
                    words.next()?.strip_prefix("sha256:")?.to_owned(),
                    words.next()?.to_owned(),
                );
                let inode = words.next()?.parse().ok()?;
                self.files.insert(
                    words.next()?.to_owned(),
                    FileFact {
                        sha256,
                        mode,
                        inode,
                    },
                );
            }
            // A newer report may say more.
            _ => {}
        }
        Some(())
    }

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

impl Listener {
    /// Reads `ADDRESS:PORT PROGRAM PID` as `ss` prints it (`*:443`, `[::]:443`, `127.0.0.1%lo:53`).
    fn parse(value: &str) -> Option<Self> {
        let (local, process) = value.split_once(' ').unwrap_or((value, "-"));
        let (address, port) = local.rsplit_once(':')?;
        let address = address
            .split('%')
            .next()?
            .trim_matches(|c| c == '[' || c == ']');
        let address = address
            .parse::<IpAddr>()
            .ok()
            .filter(|address| !address.is_unspecified());
        let process = process
            .rsplit_once(' ')
            .and_then(|(program, pid)| Some((program.to_owned(), pid.parse().ok()?)))
            .filter(|(_, pid)| *pid != 0);
        Some(Self {
            address,
            port: port.parse().ok()?,
            process,
        })
    }

    /// Whether a socket bound to `wanted` (absent: every address) and `port` would clash with this one.
    pub fn clashes(&self, wanted: Option<IpAddr>, port: u16) -> bool {
        self.port == port
            && match (self.address, wanted) {
                (Some(mine), Some(wanted)) => mine == wanted,
                _ => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const REPORT: &str = "\
format=1
hostname=cp1
arch=x86_64
kernel=6.1.0
now=1700000000
uid=0
os_name=Debian GNU/Linux 12 (bookworm)
init=systemd
cgroup=1
capabilities=000001fffeffffff
ip_forward=0
conntrack=read-only
kernel_config=absent
swap=/dev/sda2
disk_free_kib=1000000
nameserver=10.10.0.1
program=ip /usr/sbin/ip
address=lo 127.0.0.1/8
address=eth0 10.10.0.11/24
address=eth0 fe80::1/64
listen=0.0.0.0:22 sshd 412
listen=*:443 nginx 900
listen=[::1]:6444 - 0
listen=127.0.0.53%lo:53 systemd-resolve 1
containerd=1.6.20~ds1
containerd_active=active
containerd_config=distribution
image=docker.io/library/lbnode:0.1.0 sha256:abc
cni_plugin=/usr/lib/cni ptp
cni_plugin=/usr/lib/cni loopback
kubeconfig=kubelet https://10.10.0.100:443
manifest=etcd
file=sha256:aa 755 42 /usr/local/bin/kube
end=1
";

    #[test]
    fn a_report_is_read_whole() {
        let facts = Facts::parse(REPORT).expect("the report is complete");
        assert_eq!(
            (facts.hostname.as_str(), facts.architecture.as_str()),
            ("cp1", "amd64")
        );
        let node: IpAddr = "10.10.0.11".parse().expect("an address");
        assert_eq!(
            facts.interface_of(node).map(|(name, _)| name.as_str()),
            Some("eth0")
        );
        assert!(facts.oom_score_restricted() && facts.system_verification_impossible());
        assert!(facts.half_done());
        assert_eq!(
            facts.cni_directory(&["ptp", "loopback"]),
            Some("/usr/lib/cni")
        );
        assert_eq!(facts.cni_directory(&["host-local"]), None);
        assert_eq!(facts.files["/usr/local/bin/kube"].inode, 42);
        assert_eq!(facts.listeners[1].process, Some(("nginx".to_owned(), 900)));
    }

    #[test]
    fn a_cut_report_is_refused() {
        let cut = REPORT.replace("end=1\n", "");
        assert_eq!(Facts::parse(&cut), Err(ReportFailure::Truncated));
        assert_eq!(
            Facts::parse("cgroup=two\nend=1"),
            Err(ReportFailure::Line("cgroup=two".to_owned()))
        );
    }

    #[test]
    fn a_port_is_taken_on_every_address_or_on_one() {
        let facts = Facts::parse(REPORT).expect("the report is complete");
        let vip: IpAddr = "10.10.0.100".parse().expect("an address");
        assert!(facts.listeners[1].clashes(Some(vip), 443));
        assert!(facts.listeners[2].clashes(None, 6444));
        assert!(!facts.listeners[2].clashes(Some(vip), 6444));
        assert!(!facts.listeners[0].clashes(None, 443));
    }
}
