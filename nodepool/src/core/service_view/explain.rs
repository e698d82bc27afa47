//! What is not as it should be, and why somebody has an address and the others have not; in words.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{ServiceState, ServiceView, SpeakerState};

/// What it may mean that a speaker is not heard.
const LOST: &str = "its node or its speaker is down, or UDP 7946 does not pass";

impl ServiceView {
    /// What is not as it should be, in words.
    pub fn problems(&self) -> Vec<String> {
        let pools = self.pools.iter().filter(|pool| !pool.ready);
        let mut problems: Vec<String> = pools
            .map(|pool| format!("pool {}: {}", pool.pool, pool.why))
            .collect();
        problems.extend(
            self.rivals
                .iter()
                .map(|rival| format!("{rival}: {}", rival.hint())),
        );
        let is_lost = |node: &str| {
            let mut speakers = self.speakers.iter();
            speakers.any(|one| one.lost && one.node == node)
        };
        for speaker in &self.speakers {
            let node = &speaker.node;
            if speaker.lost {
                problems.push(format!(
                    "the other speakers do not hear the one of {node}: {LOST}; `kubectl delete speaker {node}` forgets a node that is gone for good"
                ));
                continue;
            }
            if speaker.ready == Some(false) {
                let why = speaker.why.as_deref().unwrap_or("no reason given");
                let since = speaker.since.as_deref().unwrap_or("unknown");
                problems.push(format!(
                    "the speaker of {node} is not ready since {since}: {why}"
                ));
            }
            let silent = speaker.silent.iter().filter(|other| !is_lost(other));
            let silent: Vec<&str> = silent.map(String::as_str).collect();
            if !silent.is_empty() {
                problems.push(format!(
                    "the speaker of {node} does not hear {}: do theirs run (`kubectl -n lb-system get pods -o wide`), and does UDP 7946 pass between the nodes?",
                    silent.join(", ")
                ));
            }
        }
        for service in &self.services {
            if let Some(problem) = &service.problem {
                problems.push(format!("Service {}: {problem}", service.service));
            }
            if let Some(owner) = &service.owner
                && let (Some(address), Some(mac)) = (service.address, &owner.conflict)
            {
                problems.push(format!(
                    "{mac} answers for {address} as well as {}",
                    owner.node
                ));
            }
        }
        problems.dedup();
        problems
    }

    /// Who has `address` and why, and why the others have not; a line each.
    pub fn explain(&self, address: IpAddr) -> Vec<String> {
        let services = self.services.iter();
        let here: Vec<&ServiceState> = services
            .filter(|service| service.address == Some(address))
            .collect();
        let mut lines = Vec::new();
        if here.is_empty() {
            lines.push(format!(
                "no Service has {address}: `lbctl status` lists those that are given"
            ));
        }
        for service in &here {
            let problem = service.problem.as_ref();
            let problem = problem.map_or_else(String::new, |why| format!("; {why}"));
            lines.push(format!(
                "{address} belongs to Service {}{problem}",
                service.service
            ));
        }
        let owner = here.iter().find_map(|service| service.owner.as_ref());
        match owner {
            Some(owner) => lines.push(format!(
                "{} answers for it on {} as {} since {}: {}",
                owner.node, owner.interface, owner.mac, owner.since, owner.why
            )),
            None => lines.push("no speaker that is heard answers for it".to_owned()),
        }
        for speaker in &self.speakers {
            if owner.is_none_or(|owner| owner.node != speaker.node) {
                lines.push(format!(
                    "{} does not: {}",
                    speaker.node,
                    speaker.why_not(address)
                ));
            }
        }
        if self.speakers.is_empty() {
            lines.push(
                "no speaker has reported: `kubectl label node NODE baremetal.cluster.gke.io/lbnode=true` lets one run on a node"
                    .to_owned(),
            );
        }
        lines
    }
}

impl SpeakerState {
    fn why_not(&self, address: IpAddr) -> String {
        if self.lost {
            return format!("the other speakers do not hear it: {LOST}");
        }
        let on_link = self
            .networks
            .iter()
            .filter_map(|network| network.parse::<IpNet>().ok())
            .any(|network| network.contains(&address));
        match self.phase.as_str() {
            "Serving" if on_link => "it could, and stands by".to_owned(),
            "Serving" => format!(
                "none of its interfaces that are up is on the address's network (it has {})",
                if self.networks.is_empty() {
                    "none".to_owned()
                } else {
                    self.networks.join(", ")
                }
            ),
            "Leaving" => "its node is cordoned or not labelled any more, or it ends".to_owned(),
            "Listening" | "Acquainted" => {
                "it has just started, or does not hear the others yet".to_owned()
            }
            "" => "it has not reported yet".to_owned(),
            other => format!("it reports the phase `{other}`"),
        }
    }
}
