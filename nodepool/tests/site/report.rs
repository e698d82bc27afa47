//! What a scripted machine says of itself.

use super::Machine;
use super::machine::CONTAINERD;

impl Machine {
    /// What is true on it.
    pub(super) fn facts(&self) -> String {
        let mut lines = vec![
            format!("hostname={}", self.hostname),
            format!("arch={}", self.arch.unwrap_or("x86_64")),
            "now=1700000000".to_owned(),
            "init=systemd".to_owned(),
            "cgroup=2".to_owned(),
            "os_id=debian".to_owned(),
            "kernel=6.1.0-18-amd64".to_owned(),
            "umask=0022".to_owned(),
            "gateway=eth0 10.10.0.1".to_owned(),
            "capabilities=000001ffffffffff".to_owned(),
            "kernel_config=readable".to_owned(),
            "conntrack=writable".to_owned(),
            "disk_free_kib=99999999".to_owned(),
            "nameserver=10.0.0.1".to_owned(),
            format!(
                "address=eth0 {}/24",
                self.address.expect("a machine has an address")
            ),
            format!("ip_forward={}", u8::from(self.ip_forward)),
            format!(
                "kubelet_enabled={}",
                if self.kubelet_enabled { "enabled" } else { "" }
            ),
        ];
        let owner = if self.files.contains_key(CONTAINERD) {
            "ours"
        } else {
            "distribution"
        };
        let mut programs = vec!["flock", "sha256sum", "mktemp", "ip", "ss", "systemctl"];
        if self.manager.is_none() || self.packages.contains("containerd") {
            lines.push("containerd=1.7.0".to_owned());
            lines.push("containerd_active=active".to_owned());
            lines.push(format!("containerd_config={owner}"));
            programs.push("ctr");
        }
        lines.extend(self.packaged());
        for program in programs {
            lines.push(format!("program={program} /usr/bin/{program}"));
        }
        for plugin in ["loopback", "ptp", "host-local", "portmap"] {
            lines.push(format!("cni_plugin=/opt/cni/bin {plugin}"));
        }
        lines.extend(
            self.images
                .iter()
                .map(|(name, digest)| format!("image={name} {digest}")),
        );
        lines.extend(
            self.listeners
                .iter()
                .map(|listener| format!("listen={listener}")),
        );
        if self.swap {
            lines.push("swap=/dev/sda2".to_owned());
        }
        lines.extend(self.further.iter().cloned());
        if self.ledger {
            lines.push("ledger=present".to_owned());
        }
        if self.pki {
            lines.push("pki=present".to_owned());
        } else if self.authority.is_some() {
            lines.push("pki=authority".to_owned());
        }
        if let Some(ca) = &self.authority {
            lines.push(format!("ca={}", ca.replace('\n', "|")));
        }
        if self.stands_alone {
            lines.push("kubelet_active=active".to_owned());
        }
        if let Some((cluster, role)) = &self.member {
            lines.push(format!("member={cluster} {role}"));
        }
        for (path, (mode, sum)) in &self.files {
            // Hard links share what their content shares.
            let inode = sum
                .bytes()
                .take(8)
                .fold(0u64, |n, byte| n * 256 + u64::from(byte))
                >> 8;
            lines.push(format!("file=sha256:{sum} {mode} {inode} {path}"));
        }
        lines.extend(
            self.loaded
                .iter()
                .map(|(path, sum)| format!("loaded=sha256:{sum} {path}")),
        );
        lines.push("end=1\n".to_owned());
        lines.join("\n")
    }

    /// What its package manager is and has brought.
    fn packaged(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.manager.map(|name| format!("package_manager={name}")));
        for (package, line) in [
            ("kubeadm", "kubeadm=v1.36.3"),
            ("kubelet", "kubelet=v1.36.3"),
            ("kubectl", "program=kubectl /usr/bin/kubectl"),
            ("cri-tools", "program=crictl /usr/bin/crictl"),
        ] {
            if self.packages.contains(package) {
                lines.push(line.to_owned());
            }
        }
        if self.installing {
            lines.push("packages=begun".to_owned());
        }
        lines
    }
}
