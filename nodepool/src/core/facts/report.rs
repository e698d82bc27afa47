//! Reads the report that a machine makes of itself.

use super::{ApiServer, ConfigOwner, Facts, FileFact, Listener, Membership, OtherBalancer};

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
            "api_server" => self.api_server = Some(ApiServer::parse(value)?),
            "api_name" => drop(self.api_names.insert(value.to_owned())),
            "other" => self.others.push(OtherBalancer::parse(value)?),
            "pki" => match value {
                "authority" => self.authority = true,
                _ => self.pki = true,
            },
            // A line in the file is a line here.
            "ca" => {
                self.ca = Some(format!(
                    "{}\n",
                    value.trim_end_matches('|').replace('|', "\n")
                ))
            }
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
            _ => {
                self.host.take(key, value)?;
                self.supply.take(key, value)?;
                self.wiring.take(key, value)?;
            }
        }
        Some(())
    }
}
