//! The example with three control planes, edited as an operator would.

use anyhow::{Context as _, Result, ensure};

use crate::roster::Machine;

/// Other settings of routers and proxies.
pub const SETTINGS: &str = "    vrrp:\n      advertisementIntervalMillis: 200\n    proxy:\n      connectTimeoutMillis: 3000\n";

/// The text with [`SETTINGS`].
pub fn with_settings(text: &str) -> Result<String> {
    edited(text, BALANCER, &format!("{BALANCER}{SETTINGS}"))
}

/// The text with other control planes.
pub fn with_control_planes(text: &str, machines: &[Machine]) -> Result<String> {
    let usual = lines("      ", &Machine::CONTROL_PLANE);
    edited(text, &usual, &lines("      ", machines))
}

/// The text with a worker.
pub fn with_worker(text: &str, worker: Machine) -> String {
    format!(
        "{text}\n---\napiVersion: baremetal.cluster.gke.io/v1\nkind: NodePool\nmetadata:\n  name: workers\n  namespace: cluster-lab\n\
         spec:\n  clusterName: lab\n  nodes:\n{}",
        lines("  ", &[worker])
    )
}

/// The text with a pool of load balancers: for the API and for Services.
pub fn with_pool(text: &str, pool: &[Machine]) -> Result<String> {
    let key = "    addressPools:\n";
    let nodes = lines("      ", pool);
    let pool = format!("    nodePoolSpec:\n      nodes:\n{nodes}{key}");
    edited(text, key, &pool)
}

/// The text with the API's load balancer on the control planes, whatever pool there is.
pub fn on_control_planes(text: &str) -> Result<String> {
    let key = "  controlPlane:\n";
    let mode = format!("{key}    loadBalancer:\n      mode: bundled\n");
    edited(text, key, &mode)
}

/// The text with the API's load balancer somebody else's, and none for Services.
pub fn without_balancers(text: &str) -> Result<String> {
    let pools = text.find("    addressPools:\n");
    let pools = pools.context("the cluster file has no pools")?;
    edited(&text[..pools], "    mode: bundled\n", "    mode: manual\n")
}

/// The text with one machine in maintenance.
pub fn in_maintenance(text: &str, machine: Machine) -> Result<String> {
    let block = "  maintenanceBlocks:\n    cidrBlocks:\n";
    let address = machine.address();
    let block = format!("{block}    - {address}/32\n{BALANCER}");
    edited(text, BALANCER, &block)
}

/// The text with something in the first place of something else.
///
/// # Errors
/// When it does not have that.
pub fn edited(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(text.contains(from), "the cluster file has no {from:?}");
    Ok(text.replacen(from, to, 1))
}

fn lines(indent: &str, machines: &[Machine]) -> String {
    let line = |machine: &Machine| format!("{indent}- address: {}\n", machine.address());
    machines.iter().map(line).collect()
}

const BALANCER: &str = "  loadBalancer:\n";

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;

    use super::*;

    const EXAMPLE: &str = include_str!("../../../examples/three-control-planes.yaml");

    #[test]
    fn the_example_has_a_place_for_every_edit() {
        let pool = [Machine::lb(1), Machine::w(2)];
        let edits = [
            with_settings(EXAMPLE),
            with_control_planes(EXAMPLE, &[Machine::cp(1), Machine::cp(4)]),
            Ok(with_worker(EXAMPLE, Machine::w(1))),
            with_pool(EXAMPLE, &pool),
            on_control_planes(EXAMPLE),
            without_balancers(EXAMPLE),
            in_maintenance(EXAMPLE, Machine::cp(2)),
        ];
        for edit in edits {
            let text = edit.expect("a place");
            assert_ne!(text, EXAMPLE);
            every_document_is_yaml(&text);
        }
        assert_eq!(
            with_control_planes(EXAMPLE, &Machine::CONTROL_PLANE).expect("a place"),
            EXAMPLE
        );
        with_settings("kind: Cluster\n").expect_err("no place");
    }

    /// What is no YAML any more is no edit.
    fn every_document_is_yaml(text: &str) {
        for document in serde_yaml::Deserializer::from_str(text) {
            serde_yaml::Value::deserialize(document).expect("YAML");
        }
    }
}
