//! The pod network of nodes that are still joining.
//!
//! A control plane's kubelet registers its node long before its `kubeadm join` ends (etcd takes its time). Written
//! then, the network's configuration makes the node Ready by the end of the join instead of a quarter of a minute
//! after it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use super::fleet::Fleet;
use crate::api::ClusterApi;
use crate::core::desired::Desired;
use crate::core::facts::Facts;
use crate::core::step::Step;
use crate::manifest::cni;
use crate::remote::Script;
use crate::script;

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Writes the network's configuration of every node as soon as its pod range is known; never ends by itself.
/// What was written is added to `done`. A failure is no error: the network has a stage of its own.
pub async fn follow_joins(
    api: &dyn ClusterApi,
    fleet: &Fleet<'_>,
    desired: &Desired,
    facts: &BTreeMap<IpAddr, Facts>,
    done: &Mutex<BTreeMap<IpAddr, Step>>,
) {
    loop {
        if let Ok(view) = api.view().await {
            for machine in &desired.machines {
                let Some(known) = facts.get(&machine.address) else {
                    continue;
                };
                let node = view
                    .nodes
                    .get(&known.hostname)
                    .filter(|node| !node.pod_cidrs.is_empty());
                let written = done
                    .lock()
                    .is_ok_and(|done| done.contains_key(&machine.address));
                let Some(node) = node.filter(|_| !written) else {
                    continue;
                };
                let file = cni::conflist(&node.pod_cidrs);
                let step = Step::PutFile(file.clone());
                // Beside the step that is running there, not after it.
                let script = Script {
                    exclusive: false,
                    ..script::put_file(&file)
                };
                let outcome = fleet
                    .machine(machine.address)
                    .run(&script, &step.title())
                    .await;
                if outcome.is_ok_and(|output| output.status == 0)
                    && let Ok(mut done) = done.lock()
                {
                    done.insert(machine.address, step);
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
