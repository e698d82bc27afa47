//! Checks of one machine by itself.

use super::{Notes, Preflight};
use crate::core::desired::{Desired, Machine};
use crate::core::facts::ConfigOwner;
use crate::core::plan::containerd_suits;
use crate::manifest::{cni, containerd};

/// Programs that scripts need, with the package that has them.
const PROGRAMS: [(&str, &str); 6] = [
    ("flock", "util-linux"),
    ("sha256sum", "coreutils"),
    ("mktemp", "coreutils"),
    ("ip", "iproute2"),
    ("ss", "iproute2"),
    ("systemctl", "systemd"),
];
/// Free space that the software and images of a node need.
const DISK_KIB: u64 = 3 * 1024 * 1024;

pub(super) fn check(preflight: &Preflight<'_>, machine: &Machine, notes: &mut Notes<'_>) {
    system(notes);
    software(preflight, notes);
    containerd_config(preflight, notes);
    address(machine, notes);
    membership(preflight.desired, machine, notes);
}

fn system(notes: &mut Notes<'_>) {
    let facts = notes.facts;
    if facts.init != "systemd" {
        notes.fail(
            "systemd",
            format!("process 1 is `{}`, not systemd", facts.init),
            "use a distribution that runs systemd: kubelet and containerd are its services",
        );
    }
    for (program, package) in PROGRAMS {
        if !facts.programs.contains_key(program) {
            notes.fail(
                "programs",
                format!("the program `{program}` is missing"),
                format!("install the package `{package}`"),
            );
        }
    }
    if !facts.swap.is_empty() {
        notes.fail(
            "swap",
            format!("swap is on: {}", facts.swap.join(", ")),
            "run `swapoff -a` and take the swap lines out of /etc/fstab: the kubelet refuses to run with swap",
        );
    }
    if !facts.ledger && facts.disk_free_kib < DISK_KIB {
        notes.fail(
            "disk",
            format!(
                "{} MiB are free on /, {} MiB are needed",
                facts.disk_free_kib / 1024,
                DISK_KIB / 1024
            ),
            "free some space or give the machine a larger disk",
        );
    }
    if facts.hostname.is_empty() || facts.hostname == "localhost" {
        notes.fail(
            "hostname",
            format!("the host name is `{}`", facts.hostname),
            "set a name of its own with `hostnamectl set-hostname NAME`: it becomes the node's name",
        );
    }
    if facts.nameservers.is_empty() {
        notes.warn(
            "resolver",
            "/etc/resolv.conf has no name server",
            "give it one, or CoreDNS has nobody to forward to",
        );
    }
}

fn software(preflight: &Preflight<'_>, notes: &mut Notes<'_>) {
    let facts = notes.facts;
    let architecture = facts.architecture.as_str();
    if let Some(bundle) = preflight.bundle {
        if bundle.architecture != architecture {
            notes.fail(
                "bundle-architecture",
                format!(
                    "the machine is {architecture}, the bundle `{}` is for {}",
                    bundle.directory.display(),
                    bundle.architecture
                ),
                format!("pass a bundle for {architecture} with `--bundle`"),
            );
        }
    } else if facts.kubeadm.is_none() || facts.kubelet.is_none() {
        notes.fail(
            "kubeadm",
            "neither a bundle is given nor are kubeadm and kubelet installed",
            "pass the software with `--bundle DIR`, or install kubeadm and kubelet on the machine",
        );
    }
    let lbnode = preflight.lbnode;
    if lbnode.architecture != architecture {
        notes.fail(
            "lbnode-architecture",
            format!(
                "the machine is {architecture}, `{}` is for {}",
                lbnode.path.display(),
                lbnode.architecture
            ),
            format!("pass the node binary for {architecture} with `--lbnode`"),
        );
    }
    let bundle_has = |plugin: &&str| {
        preflight
            .bundle
            .is_some_and(|bundle| bundle.installs(&format!("/opt/cni/bin/{plugin}")))
    };
    if preflight.routed_network
        && facts.cni_directory(&cni::PLUGINS).is_none()
        && !cni::PLUGINS.iter().all(bundle_has)
    {
        notes.fail(
            "cni-plugins",
            format!(
                "the CNI plugins {} are not in /opt/cni/bin",
                cni::PLUGINS.join(", ")
            ),
            "install the distribution's package of CNI plugins, or use a bundle that has them",
        );
    }
}

fn containerd_config(preflight: &Preflight<'_>, notes: &mut Notes<'_>) {
    let facts = notes.facts;
    if facts.containerd.version.is_none() || !facts.programs.contains_key("ctr") {
        notes.fail(
            "containerd",
            "containerd is not installed",
            "install the distribution's package `containerd` (or `containerd.io`)",
        );
        return;
    }
    if facts.containerd.config == ConfigOwner::Edited
        && !containerd_suits(facts, preflight.bundle)
        && !preflight.replace_edited
    {
        let path = containerd::PATH;
        let sandbox = preflight.bundle.map_or_else(String::new, |bundle| {
            format!(", `sandbox_image = \"{}\"`", bundle.pause_image)
        });
        notes.fail(
            "containerd-config",
            format!("`{path}` was edited by somebody and does not suit Kubernetes"),
            format!(
                "set `SystemdCgroup = true`{sandbox} and keep the `cri` plugin on in it, or let `--yes` replace it (reset brings the original back)"
            ),
        );
    }
}

fn address(machine: &Machine, notes: &mut Notes<'_>) {
    if !notes.facts.holds(machine.node_ip) {
        let have: Vec<_> = notes
            .facts
            .addresses
            .iter()
            .map(|(_, net)| net.addr().to_string())
            .collect();
        notes.fail(
            "node-address",
            format!(
                "the machine does not have the address {}, only {}",
                machine.node_ip,
                have.join(", ")
            ),
            "correct `address` or `k8sIP` in the cluster file",
        );
    }
}

fn membership(desired: &Desired, machine: &Machine, notes: &mut Notes<'_>) {
    let facts = notes.facts;
    let reset = "run `lbctl reset cluster` with the file of that cluster, or `kubeadm reset` on the machine";
    if let Some(member) = &facts.member {
        if member.cluster != desired.name {
            notes.fail(
                "membership",
                format!("the machine belongs to the cluster `{}`", member.cluster),
                reset,
            );
        } else if member.role != machine.role.membership() {
            notes.fail(
                "membership",
                format!(
                    "the machine is a {} of this cluster, the file makes it a {}",
                    member.role,
                    machine.role.name()
                ),
                "put it back to its place in the file, or reset the machine first",
            );
        }
        return;
    }
    let own = std::net::SocketAddr::new(machine.node_ip, crate::core::desired::API_SERVER_PORT);
    let expected = [desired.server_url(), format!("https://{own}")];
    let foreign = facts
        .kubeconfigs
        .values()
        .find(|server| !expected.contains(server));
    if let Some(server) = foreign {
        notes.fail(
            "membership",
            format!("the machine belongs to a cluster at {server}"),
            reset,
        );
    } else if !facts.ledger && facts.half_done() {
        notes.fail(
            "membership",
            "Kubernetes is installed on the machine, and not by lbctl",
            reset,
        );
    }
}
