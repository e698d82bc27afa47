//! Checks of one machine by itself: containerd, address, membership.

use super::software::are_coming;
use super::{Check, Notes, Preflight};
use crate::core::desired::{Desired, Machine};
use crate::core::facts::ConfigOwner;
use crate::core::plan::containerd_suits;
use crate::manifest::containerd;

pub(super) fn check(preflight: &Preflight<'_>, machine: &Machine, notes: &mut Notes<'_>) {
    containerd_config(preflight, notes);
    address(machine, notes);
    membership(preflight.desired, machine, notes);
}

fn containerd_config(preflight: &Preflight<'_>, notes: &mut Notes<'_>) {
    let facts = notes.facts;
    if facts.containerd.version.is_none() || !facts.programs.contains_key("ctr") {
        if !are_coming(preflight, facts) {
            notes.fail(
                Check::Containerd,
                "containerd is not installed",
                "install the distribution's package `containerd` (or `containerd.io`), or have packages installed with `--kubernetes-version VERSION`",
            );
        }
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
            Check::ContainerdConfig,
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
            Check::NodeAddress,
            format!(
                "the machine does not have the address {}, only {}",
                machine.node_ip,
                have.join(", ")
            ),
            "correct `address` or `k8sIP` in the cluster file",
        );
    }
    let routers = machine
        .load_balancer
        .iter()
        .flat_map(|files| &files.vrrp.routers);
    let named = routers
        .filter_map(|router| router.interface.as_deref())
        .next();
    let addresses = &notes.facts.addresses;
    if let Some(named) = named
        && !addresses.iter().any(|(interface, _)| interface == named)
    {
        let mut have: Vec<&str> = addresses.iter().map(|(name, _)| name.as_str()).collect();
        have.dedup();
        notes.fail(
            Check::NodeAddress,
            format!(
                "the machine has no interface `{named}` with an address, only {}",
                have.join(", ")
            ),
            "correct `loadBalancer.vrrp.interface` in the cluster file, or leave it out: the interface that holds the node's address is taken then",
        );
    }
}

fn membership(desired: &Desired, machine: &Machine, notes: &mut Notes<'_>) {
    let facts = notes.facts;
    let reset = "run `lbctl reset cluster` with the file of that cluster, or `kubeadm reset` on the machine";
    if let Some(member) = &facts.member {
        if member.cluster != desired.name {
            notes.fail(
                Check::Membership,
                format!("the machine belongs to the cluster `{}`", member.cluster),
                reset,
            );
        } else if member.role != machine.role.membership() {
            notes.fail(
                Check::Membership,
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
    let own = desired.api_server(machine);
    let expected = [desired.server_url(), format!("https://{own}")];
    let foreign = facts
        .kubeconfigs
        .values()
        .find(|server| !expected.contains(server));
    if let Some(server) = foreign {
        notes.fail(
            Check::Membership,
            format!("the machine belongs to a cluster at {server}"),
            reset,
        );
    } else if !facts.ledger && (facts.half_done() || facts.authority) {
        notes.fail(
            Check::Membership,
            "Kubernetes is installed on the machine, and not by lbctl",
            reset,
        );
    }
}
