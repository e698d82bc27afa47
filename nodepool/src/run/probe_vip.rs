//! Asks the machines' own segment whether somebody has the virtual IPs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures::StreamExt as _;
use futures::stream;
use serde::Deserialize;

use super::CONCURRENCY;
use super::fleet::Fleet;
use crate::core::desired::{Desired, Machine};
use crate::core::preflight::{Finding, Reach, Severity, VipAnswer, vip_answers};
use crate::lbnode::Lbnode;
use crate::manifest::static_pod;
use crate::script;

#[derive(Deserialize)]
struct Report {
    answered: bool,
    #[serde(default)]
    mac: Option<String>,
    #[serde(default)]
    interface: Option<String>,
}

/// Findings about virtual IPs that are in use. Those that our own routers hold are not asked for.
pub async fn probe_vips(
    fleet: &Fleet<'_>,
    desired: &Desired,
    lbnode: &Lbnode,
    machines: &BTreeMap<IpAddr, Reach>,
) -> Vec<Finding> {
    let ours = |vip: IpAddr| {
        machines.values().any(|reach| match reach {
            Reach::Up(facts) => {
                facts.holds(vip) && facts.files.contains_key(&static_pod::VRRP.path())
            }
            Reach::Down { .. } => false,
        })
    };
    // ARP; an IPv6 address of somebody else is found by duplicate address detection when it is assigned.
    let vips: Vec<IpAddr> = desired
        .vips()
        .filter(|vip| vip.is_ipv4() && !ours(*vip))
        .collect();
    let asked = desired
        .machines
        .iter()
        .filter(|machine| machine.load_balancer.is_some());
    let asking = asked.flat_map(|machine| vips.iter().map(move |vip| (machine, *vip)));
    let asking = asking.map(|(machine, vip)| async move {
        (machine.address, ask(fleet, machine, vip, lbnode).await)
    });
    let outcomes: Vec<_> = stream::iter(asking)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;

    let mut answers: BTreeMap<IpAddr, Vec<VipAnswer>> = BTreeMap::new();
    let mut findings = Vec::new();
    let name = |address: IpAddr| match machines.get(&address) {
        Some(Reach::Up(facts)) => Some(facts.hostname.clone()),
        _ => None,
    };
    for (address, outcome) in outcomes {
        match outcome {
            Ok(answer) => answers.entry(address).or_default().extend(answer),
            Err(reason) => findings.push(Finding {
                severity: Severity::Fail,
                address: Some(address),
                node: name(address),
                check: "vip-free",
                cause: format!("it could not be asked whether the virtual IP is free: {reason}"),
                fix: format!("see {}", fleet.machine(address).log().path().display()),
            }),
        }
    }
    findings.extend(vip_answers(&answers, name));
    findings.sort_by_key(|finding| finding.address);
    findings
}

async fn ask(
    fleet: &Fleet<'_>,
    machine: &Machine,
    vip: IpAddr,
    lbnode: &Lbnode,
) -> Result<Option<VipAnswer>, String> {
    let script = script::probe_vip(vip, machine.node_ip, lbnode.path.clone(), &lbnode.sha256);
    let title = format!("ask who has {vip}");
    let outcome = fleet.machine(machine.address).run(&script, &title).await;
    let output = outcome.map_err(|failure| failure.to_string())?;
    let line = output.stdout.lines().rfind(|line| line.starts_with('{'));
    let report = line.and_then(|line| serde_json::from_str::<Report>(line).ok());
    match report {
        Some(report) if report.answered => Ok(Some(VipAnswer {
            vip,
            mac: report.mac.unwrap_or_else(|| "an unknown MAC".to_owned()),
            interface: report
                .interface
                .unwrap_or_else(|| "its interface".to_owned()),
        })),
        Some(_) => Ok(None),
        None => {
            let words = format!("{}{}", output.stdout, output.stderr);
            let last = words.lines().rfind(|line| !line.trim().is_empty());
            Err(last
                .unwrap_or("no answer from `lbnode probe vip`")
                .to_owned())
        }
    }
}
