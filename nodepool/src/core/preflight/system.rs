//! Checks of one machine by itself: distribution, kernel, resources, settings.

use super::{Check, Notes};
use crate::core::desired::Machine;

/// Programs that scripts need, with the package that has them.
const PROGRAMS: [(&str, &str); 6] = [
    ("flock", "util-linux"),
    ("sha256sum", "coreutils"),
    ("mktemp", "coreutils"),
    ("ip", "iproute2"),
    ("ss", "iproute2"),
    ("systemctl", "systemd"),
];
const GIB: u64 = 1024 * 1024;
/// Free space in KiB: images and containers, etcd, everything else.
const SPACE: [(&str, u64); 3] = [
    ("/var/lib/containerd", 3 * GIB),
    ("/var/lib/etcd", GIB),
    ("/var/lib/kubelet", GIB),
];
/// kube-proxy's nftables mode refuses older kernels.
const KERNEL: (u32, u32) = (5, 13);
/// From here on the kernel remembers who added an address (`IFA_PROTO`).
const KERNEL_MARKS: (u32, u32) = (5, 18);
/// What kubeadm wants of a control plane.
const PROCESSORS: u32 = 2;
const MEMORY_MIB: u64 = 1700;
/// Families of distributions whose packages and paths are known.
const FAMILIES: [&str; 7] = [
    "debian", "ubuntu", "rhel", "fedora", "suse", "centos", "opensuse",
];
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

pub(super) fn check(machine: &Machine, notes: &mut Notes<'_>) {
    distribution(notes);
    kernel(notes);
    resources(machine, notes);
    settings(notes);
    names(notes);
}

fn distribution(notes: &mut Notes<'_>) {
    let facts = notes.facts;
    if facts.init != "systemd" {
        notes.fail(
            Check::Systemd,
            format!("process 1 is `{}`, not systemd", facts.init),
            "use a distribution that runs systemd: kubelet and containerd are its services",
        );
    }
    let known = |id: &String| FAMILIES.contains(&id.as_str());
    if !facts.host.os_ids.iter().any(known) {
        let name = if facts.os.is_empty() {
            "without /etc/os-release"
        } else {
            facts.os.as_str()
        };
        notes.warn(
            Check::Os,
            format!("the distribution is not one that is known: {name}"),
            "it may work; Debian, Ubuntu, Red Hat's and SUSE's families are what lbctl knows",
        );
    }
    for (program, package) in PROGRAMS {
        if !facts.programs.contains_key(program) {
            notes.fail(
                Check::Programs,
                format!("the program `{program}` is missing"),
                format!("install the package `{package}`"),
            );
        }
    }
}

fn kernel(notes: &mut Notes<'_>) {
    let facts = notes.facts;
    let version = version(&facts.kernel);
    if version.is_some_and(|version| version < KERNEL) {
        notes.fail(
            Check::Kernel,
            format!("its kernel is {}", facts.kernel),
            format!(
                "install {}.{} or newer: kube-proxy's nftables mode needs it",
                KERNEL.0, KERNEL.1
            ),
        );
    } else if version.is_some_and(|version| version < KERNEL_MARKS) {
        notes.warn(
            Check::Kernel,
            format!("its kernel is {}", facts.kernel),
            format!(
                "with {}.{} or newer, addresses that a crashed router left are found by their mark; before, by the configuration only",
                KERNEL_MARKS.0, KERNEL_MARKS.1
            ),
        );
    }
    if !facts.host.kernel_lacks.is_empty() {
        let lacks: Vec<&str> = facts.host.kernel_lacks.iter().map(String::as_str).collect();
        notes.fail(
            Check::KernelFeatures,
            format!(
                "its kernel {} has no {}, neither built in nor as a module",
                facts.kernel,
                lacks.join(", ")
            ),
            "install the distribution's full kernel (`linux-modules-extra-…`, `kernel-modules`), and take the modules out of any list of forbidden ones in /etc/modprobe.d",
        );
    }
    let controllers = &facts.host.controllers;
    let missing: Vec<&str> = CONTROLLERS
        .into_iter()
        .filter(|controller| !controllers.contains(*controller))
        .collect();
    if !controllers.is_empty() && !missing.is_empty() {
        notes.fail(
            Check::Cgroup,
            format!("the cgroup controllers {} are off", missing.join(", ")),
            "turn them on: `cgroup_enable=memory cgroup_memory=1` on the kernel's command line is what small boards need",
        );
    } else if facts.cgroup == 1 {
        notes.warn(
            Check::Cgroup,
            "the machine has cgroup v1",
            "boot with `systemd.unified_cgroup_hierarchy=1`: Kubernetes 1.35 and later run on v1 only because lbctl allows it",
        );
    }
}

fn resources(machine: &Machine, notes: &mut Notes<'_>) {
    let facts = notes.facts;
    let (processors, memory) = (facts.host.processors, facts.host.memory_kib / 1024);
    if machine.is_control_plane() && processors > 0 && processors < PROCESSORS {
        notes.fail(
            Check::Resources,
            format!("{processors} processor, a control plane needs {PROCESSORS}"),
            "give the machine more, or make it a worker",
        );
    }
    if machine.is_control_plane() && memory > 0 && memory < MEMORY_MIB {
        notes.fail(
            Check::Resources,
            format!("{memory} MiB of memory, a control plane needs {MEMORY_MIB}"),
            "give the machine more, or make it a worker",
        );
    }
    if !facts.swap.is_empty() {
        notes.fail(
            Check::Swap,
            format!("swap is on: {}", facts.swap.join(", ")),
            "run `swapoff -a` and take the swap lines out of /etc/fstab: the kubelet refuses to run with swap",
        );
    }
    if facts.ledger {
        return;
    }
    let mut said = Vec::new();
    for (path, needed) in SPACE {
        let (mount, free) = facts.free_kib(path);
        if free < needed && !said.contains(&mount) {
            said.push(mount);
            notes.fail(
                Check::Disk,
                format!(
                    "{} MiB are free on {mount}, {} MiB are needed",
                    free / 1024,
                    needed / 1024
                ),
                "free some space or give the machine a larger disk",
            );
        }
    }
}

fn settings(notes: &mut Notes<'_>) {
    let host = &notes.facts.host;
    // lbctl itself sets every mode.
    if let Some(umask) = host.umask.filter(|umask| umask & 0o055 != 0) {
        notes.warn(
            Check::Umask,
            format!("the login's umask is {umask:04o}: files that are made by hand are not readable for services"),
            "set it to 0022 in /etc/login.defs or the shell's profile; lbctl's own files do not depend on it",
        );
    }
    let refuses = |path: &str| host.noexec.contains(path);
    if ["/run", "/var/tmp", "/root"].into_iter().all(refuses) {
        notes.fail(
            Check::Noexec,
            "/run, /var/tmp and /root are mounted noexec: there is no place to run a probe from",
            "mount one of them without `noexec`; nothing is ever run from /tmp",
        );
    }
    for path in ["/usr/local/bin", "/opt", "/var/lib/containerd"] {
        if refuses(path) {
            notes.fail(
                Check::Noexec,
                format!("{path} is mounted noexec: what is installed there cannot run"),
                format!("mount the file system of {path} without `noexec`"),
            );
        }
    }
    if host.selinux_enforcing {
        notes.warn(
            Check::Selinux,
            "SELinux is enforcing",
            "install `container-selinux`; when a static pod may not read /etc/lbnode, `ausearch -m avc -ts recent` says so",
        );
    }
}

fn names(notes: &mut Notes<'_>) {
    let facts = notes.facts;
    if facts.hostname.is_empty() || facts.hostname == "localhost" {
        notes.fail(
            Check::Hostname,
            format!("the host name is `{}`", facts.hostname),
            "set a name of its own with `hostnamectl set-hostname NAME`: it becomes the node's name",
        );
    }
    if facts.nameservers.is_empty() {
        notes.warn(
            Check::Resolver,
            "/etc/resolv.conf has no name server",
            "give it one, or CoreDNS has nobody to forward to",
        );
    }
}

/// Major and minor number of a kernel release such as `6.1.0-18-amd64`; nothing when it has none.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_all_makers_have_a_version() {
        assert_eq!(version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(version("5.14.0-427.el9.x86_64"), Some((5, 14)));
        assert_eq!(version("6.10-rc3+"), Some((6, 10)));
        assert_eq!(version("unknown"), None);
    }
}
