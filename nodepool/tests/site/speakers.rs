//! The scripted cluster's speakers, and what the API shows of the addresses for Services.

use std::collections::BTreeSet;

use nodepool::core::desired::LBNODE_LABEL;
use nodepool::core::service_view::Objects;
use serde_json::{Value, json};

use super::Inner;

impl Inner {
    /// Looking lets time pass.
    pub(super) fn service_objects(&mut self) -> Objects {
        let workloads = self.workloads.clone();
        let (speakers, pods) = (self.speakers.clone(), self.pods.clone());
        let told = !speakers.is_empty();
        let begun = if self.slow_speakers == 0 {
            "Serving"
        } else {
            "Listening"
        };
        self.slow_speakers = self.slow_speakers.saturating_sub(1);
        let mut objects = Objects {
            workloads,
            pods,
            speakers: told.then_some(speakers),
            ..Objects::default()
        };
        let able: BTreeSet<String> = self
            .nodes
            .keys()
            .filter(|node| self.has_speakers_image(node))
            .cloned()
            .collect();
        for (name, node) in &mut self.nodes {
            if node.retired {
                node.held = node.held.saturating_sub(1);
            }
            let holds = node.retired && node.held > 0;
            if holds {
                objects.services.push(service());
            }
            if holds || !told && node.labels.contains_key(LBNODE_LABEL) {
                let held = json!([{"address": "10.10.0.210", "term": 1}]);
                let phase = match able.contains(name) {
                    _ if node.retired => "Leaving",
                    true => begun,
                    false => "Listening",
                };
                objects.speakers.get_or_insert_default().push(json!({
                    "metadata": {"name": name},
                    "status": {
                        "phase": phase,
                        "addresses": if holds { held } else { json!([]) },
                    },
                }));
            }
        }
        objects
    }

    /// The image that the applied speakers ask for is on the machine of this node.
    pub(super) fn has_speakers_image(&self, node: &str) -> bool {
        let Some(speakers) = self.applied.get("DaemonSet/lb-speaker") else {
            return true;
        };
        let pods = &speakers["spec"]["template"]["metadata"];
        let wanted = &pods["annotations"]["bundledlb.io/image-digest"];
        let mut machines = self.machines.values();
        let machine = machines.find(|machine| machine.hostname == node);
        let mut images = machine.into_iter().flat_map(|one| one.images.values());
        images.any(|digest| wanted == digest)
    }
}

/// A Service with an address.
fn service() -> Value {
    json!({
        "metadata": {"namespace": "default", "name": "web"},
        "spec": {"type": "LoadBalancer"},
        "status": {"loadBalancer": {"ingress": [{"ip": "10.10.0.210"}]}},
    })
}
