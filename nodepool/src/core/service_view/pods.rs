//! The data plane's own pods: whether they are ready, since when, and why not.

use serde::Serialize;
use serde_json::Value;

use super::{list, text};

/// A pod of the data plane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodState {
    /// Its node; empty while it has none.
    pub node: String,
    /// Condition `Ready`.
    pub ready: bool,
    /// Since when it is, or is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The pods of `app`, one for each node: a ready one before one that ends.
pub(super) fn pods(all: &[Value], app: &str) -> Vec<PodState> {
    let own = all
        .iter()
        .filter(|pod| pod["metadata"]["labels"]["app"] == app);
    let mut pods: Vec<PodState> = own.map(pod).collect();
    pods.sort_by(|a, b| (&a.node, b.ready).cmp(&(&b.node, a.ready)));
    pods.dedup_by(|later, kept| !kept.node.is_empty() && later.node == kept.node);
    pods
}

fn pod(object: &Value) -> PodState {
    let status = &object["status"];
    let mut conditions = list(&status["conditions"]).iter();
    let condition = conditions.find(|one| one["type"] == "Ready");
    let ready = condition.is_some_and(|one| one["status"] == "True");
    let since = condition.and_then(|one| one["lastTransitionTime"].as_str());
    PodState {
        node: text(&object["spec"]["nodeName"]),
        ready,
        since: since.map(str::to_owned),
        why: (!ready).then(|| why(status, condition)),
    }
}

/// A container that does not run says more than the pod.
fn why(status: &Value, condition: Option<&Value>) -> String {
    let words = |value: &Value| {
        let parts = [text(&value["reason"]), text(&value["message"])];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(": ")
    };
    let containers = list(&status["containerStatuses"]).iter();
    let mut states = containers.map(|container| &container["state"]);
    let stopped = states.find(|state| state["running"].is_null() && !state.is_null());
    let stopped = stopped.map(|state| {
        let waiting = words(&state["waiting"]);
        let terminated = words(&state["terminated"]);
        if waiting.is_empty() {
            terminated
        } else {
            waiting
        }
    });
    let said = stopped.filter(|words| !words.is_empty());
    let said = said.or_else(|| condition.map(words));
    said.filter(|words| !words.is_empty())
        .unwrap_or_else(|| "no reason given".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(node: &str, ready: bool, state: &Value) -> Value {
        let status = if ready { "True" } else { "False" };
        json!({
            "metadata": {"labels": {"app": "lb-speaker"}},
            "spec": {"nodeName": node},
            "status": {
                "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z",
                                "reason": "ContainersNotReady", "message": "speaker"}],
                "containerStatuses": [{"state": state}],
            },
        })
    }

    #[test]
    fn the_ready_pod_of_a_node_counts_and_a_stopped_container_says_why() {
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
        let all = [
            object("b", false, &waiting),
            object("a", false, &running),
            object("a", true, &running),
            object("c", false, &running),
            json!({"metadata": {"labels": {"app": "lb-controller"}}}),
        ];
        let found = pods(&all, "lb-speaker");
        let state = |node: &str, why: Option<&str>| PodState {
            node: node.to_owned(),
            ready: why.is_none(),
            since: Some("2026-01-01T00:00:00Z".to_owned()),
            why: why.map(str::to_owned),
        };
        assert_eq!(
            found,
            [
                state("a", None),
                state("b", Some("CrashLoopBackOff: back-off 10s")),
                state("c", Some("ContainersNotReady: speaker")),
            ]
        );
        assert_eq!(
            pods(&all, "lb-controller")[0].why.as_deref(),
            Some("no reason given")
        );
    }
}
