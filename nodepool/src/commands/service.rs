//! `lbctl check service` and `lbctl explain owner`: an address of a Service, seen from here, from a node, and through
//! what the speakers report.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpStream;

use super::target::Target;
use crate::api::{ApiConnector as _, KubeConnector};
use crate::cli;
use crate::core::service_view::{self, ServiceState, ServiceView};
use crate::error::{Exit, Failure};
use crate::run::{Fleet, Interrupt, MachineSession};
use crate::script;
use crate::ui::{Table, Ui};

/// Longest wait for the API.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for a connection to the Service.
const CONNECT: Duration = Duration::from_secs(2);

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    address: Option<IpAddr>,
    check: String,
    from: String,
    ok: bool,
    detail: String,
}

pub(super) async fn explain(args: &cli::ExplainOwner, ui: Ui) -> Result<(), Failure> {
    let target = Target::open(&args.target, "explain owner", ui)?;
    let view = view(&target).await?;
    let lines = view.explain(args.address);
    ui.result(&format!("{}\n", lines.join("\n")))
}

pub(super) async fn check(args: &cli::CheckService, ui: Ui) -> Result<(), Failure> {
    let target = Target::open(&args.target, "check service", ui)?;
    let view = view(&target).await?;
    let wanted = args.service.to_string();
    let states: Vec<&ServiceState> = view
        .services
        .iter()
        .filter(|one| one.service == wanted)
        .collect();
    if states.is_empty() {
        let known: Vec<&str> = view.services.iter().map(|one| &*one.service).collect();
        let hint = if known.is_empty() {
            "there is no Service of `type: LoadBalancer`".to_owned()
        } else {
            format!("there are {}", known.join(", "))
        };
        let message = format!("there is no Service `{wanted}` of `type: LoadBalancer`");
        return Err(Failure::failed(message).hint(hint));
    }
    let interrupt = Interrupt::default();
    let world = target.world(ui, &interrupt);
    let fleet = Fleet::connect(&world, &target.desired).await?;
    let mut findings = Vec::new();
    for state in states {
        findings.push(described(state));
        if let Some(address) = state.address {
            findings.push(owned(address, state));
            findings.extend(from_here(address, state).await);
            findings.extend(from_node(&fleet, address, state).await);
        }
    }
    match args.output {
        cli::Output::Table => ui.result(&table(&findings))?,
        form => ui.listing(form, &findings)?,
    }
    if findings.iter().all(|finding| finding.ok) {
        Ok(())
    } else {
        Err(Failure::silent(Exit::Failed))
    }
}

async fn view(target: &Target) -> Result<ServiceView, Failure> {
    let path = target.workspace.kubeconfig();
    let kubeconfig = std::fs::read_to_string(&path).map_err(|error| {
        Failure::failed(format!("no kubeconfig `{}`: {error}", path.display()))
            .hint("`lbctl create cluster` fetches it")
    })?;
    let api = KubeConnector.connect(&kubeconfig, None, PATIENCE).await?;
    Ok(service_view::view(&api.service_objects().await?))
}

fn described(state: &ServiceState) -> Finding {
    Finding {
        address: state.address,
        check: "conditions".to_owned(),
        from: "API".to_owned(),
        ok: state.problem.is_none(),
        detail: state
            .problem
            .clone()
            .unwrap_or_else(|| "allocated, announced and reachable".to_owned()),
    }
}

fn owned(address: IpAddr, state: &ServiceState) -> Finding {
    let owner = state.owner.as_ref();
    let detail = owner.map_or_else(
        || format!("no speaker that is heard answers for it: `lbctl explain owner {address}` has each one's reason"),
        |owner| {
            let Some(mac) = &owner.conflict else {
                return format!("{} on {} as {}", owner.node, owner.interface, owner.mac);
            };
            format!("{} and {mac} both answer", owner.node)
        },
    );
    Finding {
        address: Some(address),
        check: "owner".to_owned(),
        from: "speakers".to_owned(),
        ok: owner.is_some_and(|owner| owner.conflict.is_none()),
        detail,
    }
}

/// Port numbers of `TCP/…`; other protocols have no handshake that tells anything.
fn tcp_ports(state: &ServiceState) -> Vec<u16> {
    let ports = state.ports.iter();
    let tcp = ports.filter_map(|port| port.strip_prefix("TCP/")?.parse().ok());
    tcp.collect()
}

async fn from_here(address: IpAddr, state: &ServiceState) -> Vec<Finding> {
    let mut findings = Vec::new();
    for port in tcp_ports(state) {
        let connection = TcpStream::connect(SocketAddr::new(address, port));
        let (ok, detail) = match tokio::time::timeout(CONNECT, connection).await {
            Ok(Ok(_)) => (true, "connected".to_owned()),
            Ok(Err(error)) => (false, error.to_string()),
            Err(_) => (false, format!("no answer within {} s", CONNECT.as_secs())),
        };
        findings.push(Finding {
            address: Some(address),
            check: format!("TCP {port}"),
            from: "here".to_owned(),
            ok,
            detail,
        });
    }
    findings
}

/// From a machine that is not the owner, if there is one: its questions cross the segment.
async fn from_node(fleet: &Fleet<'_>, address: IpAddr, state: &ServiceState) -> Vec<Finding> {
    let mut machines: Vec<&MachineSession<'_>> = fleet.machines.values().collect();
    machines.retain(|machine| machine.remote().is_ok());
    let owner = state.owner.as_ref();
    for machine in machines {
        let asked = script::check_service(address, &tcp_ports(state));
        let Ok(output) = machine.run(&asked, "check service").await else {
            continue;
        };
        let hostname = output
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix("hostname "));
        if owner.is_some_and(|owner| Some(&*owner.node) == hostname) {
            continue;
        }
        let from = hostname.unwrap_or("a node").to_owned();
        let lines = output.stdout.lines();
        return lines
            .filter_map(|line| {
                let (ok, check, detail) = seen(line, owner.map(|owner| &*owner.mac))?;
                Some(Finding {
                    address: Some(address),
                    check,
                    from: from.clone(),
                    ok,
                    detail,
                })
            })
            .collect();
    }
    Vec::new()
}

/// Reads a line of `script::check_service`.
fn seen(line: &str, mac: Option<&str>) -> Option<(bool, String, String)> {
    let (what, rest) = line.split_once(' ')?;
    match what {
        "segment" => {
            let answer: serde_json::Value = serde_json::from_str(rest).ok()?;
            let Some(found) = answer["mac"].as_str() else {
                let detail = "nobody on this node's segment answers for the address";
                return Some((false, "ARP/NDP".to_owned(), detail.to_owned()));
            };
            let same = mac.is_some_and(|mac| mac.eq_ignore_ascii_case(found));
            let detail = match mac {
                _ if same => format!("{found} answers, as its speaker says"),
                Some(mac) => format!(
                    "{found} answers, but its speaker has {mac}: find the machine with {found}"
                ),
                None => format!(
                    "{found} answers, but no speaker has the address: find the machine with {found}"
                ),
            };
            Some((same, "ARP/NDP".to_owned(), detail))
        }
        "ping" => Some((rest == "ok", "ping".to_owned(), rest.to_owned())),
        "tcp" => {
            let (port, state) = rest.split_once(' ')?;
            Some((state == "ok", format!("TCP {port}"), state.to_owned()))
        }
        _ => None,
    }
}

fn table(findings: &[Finding]) -> String {
    let mut table = Table::new(["ADDRESS", "CHECK", "FROM", "RESULT", "DETAIL"]);
    for finding in findings {
        let address = finding.address;
        table.row([
            address.map_or_else(|| "-".to_owned(), |address| address.to_string()),
            finding.check.clone(),
            finding.from.clone(),
            if finding.ok { "ok" } else { "FAILED" }.to_owned(),
            finding.detail.clone(),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_a_node_are_read_and_other_lines_are_not() {
        let mac = Some("02:00:00:00:00:01");
        let segment = r#"segment {"answered":true,"mac":"02:00:00:00:00:01","interface":"eth0"}"#;
        assert!(seen(segment, mac).is_some_and(|(ok, ..)| ok));
        assert!(seen(segment, Some("02:00:00:00:00:02")).is_some_and(|(ok, ..)| !ok));
        let nobody = r#"segment {"answered":false,"mac":null}"#;
        assert!(
            seen(nobody, mac).is_some_and(|(ok, _, detail)| !ok && detail.starts_with("nobody"))
        );
        assert_eq!(
            seen("tcp 80 ok", mac),
            Some((true, "TCP 80".to_owned(), "ok".to_owned()))
        );
        assert!(seen("ping failed", mac).is_some_and(|(ok, ..)| !ok));
        for line in ["hostname cp1", "", "segment", "segment x", "tcp", "tcp 80"] {
            assert_eq!(seen(line, mac), None, "{line}");
        }
    }
}
