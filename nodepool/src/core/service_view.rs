//! Pools, Services and speakers as the API holds them, made into what people ask: who has which address, and why not.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;
use serde_json::Value;

/// Objects as the API gave them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Objects {
    /// AddressPools; `None`: the API does not know the kind.
    pub pools: Option<Vec<Value>>,
    /// Speakers; `None`: the API does not know the kind.
    pub speakers: Option<Vec<Value>>,
    /// Services of every type.
    pub services: Vec<Value>,
}

/// What the data plane does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    /// Pools by name.
    pub pools: Vec<PoolState>,
    /// Speakers by node.
    pub speakers: Vec<SpeakerState>,
    /// Services of `type: LoadBalancer` by namespace and name, one entry for each address.
    pub services: Vec<ServiceState>,
}

/// How full a pool is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolState {
    /// Its name.
    pub pool: String,
    /// Addresses in use and in all.
    pub ipv4: Usage,
    /// The same of the other family.
    pub ipv6: Usage,
    /// Whether it gives addresses.
    pub ready: bool,
    /// Why not, or what else there is to know.
    pub why: String,
}

/// Decimal numbers: pools of IPv6 are larger than 64 bits can count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Addresses that Services have.
    pub assigned: String,
    /// Addresses in all.
    pub total: String,
}

/// A speaker as it reports itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerState {
    /// Its node.
    pub node: String,
    /// Where it is in its life.
    pub phase: String,
    /// Other speakers it does not hear.
    pub silent: Vec<String>,
    /// Networks of its interfaces that are up.
    pub networks: Vec<String>,
    /// Its version.
    pub version: String,
}

/// A Service and one of its addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceState {
    /// `namespace/name`.
    pub service: String,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// `TCP/80` and so on.
    pub ports: Vec<String>,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Why nobody gets in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A speaker's hold on an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The node.
    pub node: String,
    /// Its interface.
    pub interface: String,
    /// The hardware address it answers with.
    pub mac: String,
    /// Since when.
    pub since: String,
    /// How the address came there.
    pub why: String,
    /// Of two claims the higher one counts: the other is of a node that is gone.
    pub term: u64,
    /// Another machine that answers as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn name(object: &Value) -> String {
    text(&object["metadata"]["name"])
}

/// Makes the view.
pub fn view(objects: &Objects) -> ServiceView {
    let mut pools: Vec<PoolState> = objects.pools.iter().flatten().map(pool).collect();
    pools.sort_by(|a, b| a.pool.cmp(&b.pool));
    let speakers = objects.speakers.as_deref().unwrap_or_default();
    let mut services: Vec<ServiceState> = objects
        .services
        .iter()
        .filter(|service| service["spec"]["type"] == "LoadBalancer")
        .flat_map(|service| states(service, speakers))
        .collect();
    services.sort_by(|a, b| (&a.service, a.address).cmp(&(&b.service, b.address)));
    let mut speakers: Vec<SpeakerState> = speakers.iter().map(speaker).collect();
    speakers.sort_by(|a, b| a.node.cmp(&b.node));
    ServiceView {
        pools,
        speakers,
        services,
    }
}

fn pool(object: &Value) -> PoolState {
    let status = &object["status"];
    let usage = |family: &str| Usage {
        assigned: text(&status[family]["assigned"]),
        total: text(&status[family]["total"]),
    };
    let ready = list(&status["conditions"])
        .iter()
        .find(|one| one["type"] == "Ready");
    PoolState {
        pool: name(object),
        ipv4: usage("ipv4"),
        ipv6: usage("ipv6"),
        ready: ready.is_some_and(|one| one["status"] == "True"),
        why: ready.map_or_else(
            || "no controller has described it yet".to_owned(),
            |one| format!("{}: {}", text(&one["reason"]), text(&one["message"])),
        ),
    }
}

fn speaker(object: &Value) -> SpeakerState {
    let status = &object["status"];
    let interfaces = list(&status["interfaces"]).iter();
    let up = interfaces.filter(|one| one["up"] == true);
    SpeakerState {
        node: name(object),
        phase: text(&status["phase"]),
        silent: list(&status["silent"]).iter().map(text).collect(),
        networks: up
            .flat_map(|one| list(&one["networks"]))
            .map(text)
            .collect(),
        version: text(&status["version"]),
    }
}

fn states(service: &Value, speakers: &[Value]) -> Vec<ServiceState> {
    let state = ServiceState {
        service: format!(
            "{}/{}",
            text(&service["metadata"]["namespace"]),
            name(service)
        ),
        ports: list(&service["spec"]["ports"])
            .iter()
            .map(|port| {
                let protocol = port["protocol"].as_str().unwrap_or("TCP");
                format!("{protocol}/{}", port["port"])
            })
            .collect(),
        problem: problem(service),
        ..ServiceState::default()
    };
    let ingress = list(&service["status"]["loadBalancer"]["ingress"]);
    let addresses: Vec<IpAddr> = ingress
        .iter()
        .filter_map(|entry| entry["ip"].as_str()?.parse().ok())
        .collect();
    if addresses.is_empty() {
        let waits = || "nobody has given it an address: does a controller run?".to_owned();
        let problem = state.problem.clone().or_else(|| Some(waits()));
        return vec![ServiceState { problem, ..state }];
    }
    let with = |address: IpAddr| ServiceState {
        address: Some(address),
        owner: claims(address, speakers).into_iter().next(),
        ..state.clone()
    };
    addresses.into_iter().map(with).collect()
}

/// The first condition of ours that does not hold.
fn problem(service: &Value) -> Option<String> {
    let conditions = list(&service["status"]["conditions"]).iter();
    let ours = conditions.filter(|one| text(&one["type"]).starts_with("bundledlb.io/"));
    let mut unmet = ours.filter(|one| one["status"] == "False");
    let one = unmet.next()?;
    Some(format!(
        "{}: {}",
        text(&one["reason"]),
        text(&one["message"])
    ))
}

/// Who claims `address`, the claim that counts first.
fn claims(address: IpAddr, speakers: &[Value]) -> Vec<Owner> {
    let mut owners = Vec::new();
    for speaker in speakers {
        for held in list(&speaker["status"]["addresses"]) {
            if text(&held["address"]).parse() == Ok(address) {
                owners.push(Owner {
                    node: name(speaker),
                    interface: text(&held["interface"]),
                    mac: text(&held["mac"]),
                    since: text(&held["since"]),
                    why: text(&held["why"]),
                    term: held["term"].as_u64().unwrap_or_default(),
                    conflict: held["conflict"].as_str().map(str::to_owned),
                });
            }
        }
    }
    owners.sort_by_key(|owner| std::cmp::Reverse(owner.term));
    owners
}

impl ServiceView {
    /// What is not as it should be, in words.
    pub fn problems(&self) -> Vec<String> {
        let pools = self.pools.iter().filter(|pool| !pool.ready);
        let mut problems: Vec<String> = pools
            .map(|pool| format!("pool {}: {}", pool.pool, pool.why))
            .collect();
        for speaker in &self.speakers {
            if !speaker.silent.is_empty() {
                let silent = speaker.silent.join(", ");
                problems.push(format!(
                    "the speaker of {} does not hear {silent}",
                    speaker.node
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
            lines.push(format!("no Service has {address}"));
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
            None => lines.push("no speaker says that it answers for it".to_owned()),
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
                "no speaker has reported: is a node labelled baremetal.cluster.gke.io/lbnode=true?"
                    .to_owned(),
            );
        }
        lines
    }
}

impl SpeakerState {
    fn why_not(&self, address: IpAddr) -> String {
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
            other => format!("it reports the phase `{other}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn speaker(node: &str, phase: &str, network: &str, claims: &[(&str, u64)]) -> Value {
        let addresses: Vec<Value> = claims
            .iter()
            .map(|(address, term)| {
                json!({"address": address, "term": term, "interface": "eth0", "mac": "02:00:00:00:00:01",
                       "since": "2026-01-01T00:00:00Z", "why": "nobody had it"})
            })
            .collect();
        json!({
            "metadata": {"name": node},
            "status": {"phase": phase, "addresses": addresses, "silent": [], "version": "0.1.0",
                       "interfaces": [{"name": "eth0", "up": true, "networks": [network]}]},
        })
    }

    fn objects() -> Objects {
        let services = json!([
            {"metadata": {"namespace": "shop", "name": "web"},
             "spec": {"type": "LoadBalancer", "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]},
             "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.5"}]},
                        "conditions": [{"type": "bundledlb.io/Allocated", "status": "True"}]}},
            {"metadata": {"namespace": "shop", "name": "waits"}, "spec": {"type": "LoadBalancer"},
             "status": {"conditions": [{"type": "bundledlb.io/Allocated", "status": "False",
                                         "reason": "PoolExhausted", "message": "front is full"}]}},
            {"metadata": {"namespace": "shop", "name": "inside"}, "spec": {"type": "ClusterIP"}},
        ]);
        let pools = json!([{
            "metadata": {"name": "front"},
            "status": {"ipv4": {"assigned": "1", "total": "9"}, "ipv6": {"assigned": "0", "total": "0"},
                       "conditions": [{"type": "Ready", "status": "True", "reason": "InForce", "message": "it gives addresses"}]},
        }]);
        let array = |value: Value| value.as_array().cloned().expect("an array");
        Objects {
            pools: Some(array(pools)),
            speakers: Some(vec![
                speaker("gone", "Serving", "10.0.0.0/24", &[("10.0.0.5", 3)]),
                speaker("owner", "Serving", "10.0.0.0/24", &[("10.0.0.5", 4)]),
                speaker("far", "Serving", "10.9.0.0/24", &[]),
                speaker("tired", "Leaving", "10.0.0.0/24", &[]),
            ]),
            services: array(services),
        }
    }

    #[test]
    fn the_highest_claim_is_the_owner_and_plain_services_are_left_out() {
        let view = view(&objects());
        let names: Vec<_> = view.services.iter().map(|one| &*one.service).collect();
        assert_eq!(names, ["shop/waits", "shop/web"]);
        let web = &view.services[1];
        assert_eq!(web.owner.as_ref().map(|owner| &*owner.node), Some("owner"));
        assert_eq!(web.ports, ["TCP/80", "UDP/53"]);
        assert_eq!(view.pools[0].ipv4.total, "9");
    }

    #[test]
    fn problems_are_the_conditions_in_words() {
        let mut objects = objects();
        assert_eq!(
            view(&objects).problems(),
            ["Service shop/waits: PoolExhausted: front is full"]
        );
        objects.pools.as_mut().expect("pools")[0]["status"] = Value::Null;
        objects.speakers.as_mut().expect("speakers")[1]["status"]["addresses"][0]["conflict"] =
            json!("02:00:00:00:00:99");
        let problems = view(&objects).problems();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains("no controller"), "{problems:?}");
        assert!(
            problems[2].contains("02:00:00:00:00:99 answers for 10.0.0.5"),
            "{problems:?}"
        );
    }

    #[test]
    fn everybody_s_reason_is_told() {
        let lines = view(&objects()).explain("10.0.0.5".parse().expect("an address"));
        assert_eq!(lines[0], "10.0.0.5 belongs to Service shop/web");
        assert!(lines[1].starts_with("owner answers for it on eth0 as 02:00:00:00:00:01"));
        let of = |node: &str| {
            let mut lines = lines.iter();
            lines.find(|line| line.starts_with(node)).expect(node)
        };
        assert!(of("far").contains("10.9.0.0/24"));
        assert!(of("tired").contains("cordoned"));
        assert!(of("gone").contains("stands by"));
        let nobody = view(&Objects::default()).explain("10.0.0.9".parse().expect("an address"));
        assert_eq!(nobody[0], "no Service has 10.0.0.9");
        assert!(nobody[2].contains("labelled"), "{nobody:?}");
    }
}
