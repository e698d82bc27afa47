//! What `lbctl check preflight` finds on machines and between them: each fault made once, named with node, cause and a
//! way out, and nothing changed.

mod faults;

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lab_tests::roster::API_VIP;
use lab_tests::{Lab, Machine, Place};
use serde_json::Value;

use crate::refusals::{cluster, contents};
use crate::runner::{Context, Scenario};
use crate::shared::{example, said};
use faults::{Fault, MACHINE, NETWORK};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "preflight_passes_bare_machines_and_leaves_nothing",
        run: bare_machines_pass,
    },
    Scenario {
        name: "preflight_names_each_fault_of_a_machine",
        run: |context| {
            let all: Vec<_> = MACHINE.iter().collect();
            each(context, &all, if context.full { 1 } else { all.len() })
        },
    },
    Scenario {
        name: "preflight_names_each_fault_of_the_network",
        run: |context| {
            // One that hides another cannot be made beside it; a third of them shows whether the way is whole.
            let some: Vec<_> = NETWORK
                .iter()
                .step_by(if context.full { 1 } else { 3 })
                .collect();
            each(context, &some, 1)
        },
    },
    Scenario {
        name: "preflight_leaves_nothing_when_it_is_interrupted",
        run: interrupted,
    },
    Scenario {
        name: "preflight_names_another_load_balancer_in_the_cluster",
        run: a_rival_in_the_cluster,
    },
];

fn preflight(lab: &'static Lab, text: &str) -> Result<Command> {
    let cluster = cluster(lab, text)?;
    let mut command = cluster.preflight_command();
    command.args(["-o", "json"]);
    Ok(command)
}

struct Looked {
    listing: Value,
    code: Option<i32>,
    said: String,
}

fn look(lab: &'static Lab) -> Result<Looked> {
    let before = contents(lab)?;
    let output = preflight(lab, &example()?)?
        .output()
        .context("cannot run lbctl")?;
    ensure!(
        before == contents(lab)?,
        "files on the machines have changed"
    );
    for machine in Machine::CONTROL_PLANE {
        let left = lab.ssh_ok(
            machine,
            "ls -d /run/lbctl/* /var/tmp/lbctl* /root/lbctl* 2>/dev/null || true",
        )?;
        ensure!(left.trim().is_empty(), "left on {machine}: {left}");
        let held = lab.ssh_ok(
            machine,
            &format!("ip -o addr show to {API_VIP} && ip neigh show {API_VIP}"),
        )?;
        ensure!(held.trim().is_empty(), "left on {machine}: {held}");
    }
    Ok(Looked {
        listing: serde_json::from_slice(&output.stdout)
            .with_context(|| format!("no JSON: {}", said(&output)))?,
        code: output.status.code(),
        said: said(&output),
    })
}

fn bare_machines_pass(context: &Context) -> Result<()> {
    let looked = look(context.bare()?)?;
    ensure!(looked.code == Some(0), "{}", looked.said);
    let nodes = looked.listing["nodes"].as_array().context("nodes")?;
    ensure!(nodes.len() == 3, "{}", looked.said);
    for node in nodes {
        for check in [
            "protocol-112",
            "heartbeat-port",
            "layer-2",
            "gateway",
            "vip-free",
            "vip-claim",
            "vip-gateway",
        ] {
            ensure!(node["checks"][check] == "PASS", "{check}: {node}");
        }
    }
    Ok(())
}

/// Makes so many of the faults at a time, and looks.
fn each(context: &Context, faults: &[&Fault], at_once: usize) -> Result<()> {
    let lab = context.bare()?;
    for faults in faults.chunks(at_once) {
        let made = faults
            .iter()
            .try_for_each(|fault| run(lab, fault, fault.make));
        let looked = made.and_then(|()| look(lab));
        for fault in faults.iter().rev() {
            run(lab, fault, fault.undo)?;
        }
        let looked = looked.with_context(|| format!("with `{}`", faults[0].make))?;
        for fault in faults {
            is_named(fault, &looked)?;
        }
        let fails = faults.iter().any(|fault| fault.severity == "FAIL");
        ensure!(
            looked.code == Some(i32::from(fails)),
            "{:?}: {}",
            looked.code,
            looked.said
        );
    }
    Ok(())
}

fn is_named(fault: &Fault, looked: &Looked) -> Result<()> {
    let findings = looked.listing["findings"].as_array().context("findings")?;
    let fits = |finding: &&Value| {
        let cause = finding["cause"].as_str().unwrap_or_default();
        finding["node"] == fault.node
            && finding["check"] == fault.check
            && finding["severity"] == fault.severity
            && cause.contains(fault.cause)
    };
    let found = findings.iter().find(fits);
    let found = found.with_context(|| format!("with `{}`: {}", fault.make, looked.said))?;
    let fix = found["fix"].as_str().unwrap_or_default();
    ensure!(!fix.is_empty(), "no way out: {found}");
    Ok(())
}

/// On a machine over SSH, elsewhere in the place's network namespace. Packet filters are made with the host's program,
/// which machines need not have.
fn run(lab: &Lab, fault: &Fault, words: &str) -> Result<()> {
    let place = (fault.place)();
    let output = match place {
        Place::Machine(machine) if !words.starts_with("nft") => lab.ssh(machine, words)?,
        place => lab.command_in(place, "sh").args(["-c", words]).output()?,
    };
    ensure!(
        output.status.success(),
        "`{words}` failed: {}",
        said(&output)
    );
    Ok(())
}

fn interrupted(context: &Context) -> Result<()> {
    let lab = context.bare()?;
    let before = contents(lab)?;
    for signal in ["INT", "KILL"] {
        let mut child = preflight(lab, &example()?)?
            .spawn()
            .context("cannot run lbctl")?;
        std::thread::sleep(std::time::Duration::from_secs(3));
        let pid = child.id().to_string();
        let status = Command::new("kill")
            .args([&format!("-{signal}"), &pid])
            .status()?;
        ensure!(status.success(), "kill failed");
        child.wait()?;
        let limit = std::time::Duration::from_secs(20);
        let pause = std::time::Duration::from_millis(300);
        lab_tests::patience::until("nothing is left", limit, pause, || {
            for machine in Machine::CONTROL_PLANE {
                let left = lab.ssh_ok(
                    machine,
                    // Brackets, so that this very command is not found.
                    "ls -d /run/lbctl/[l]bctl-probe* 2>/dev/null; pgrep -f '[l]bctl-probe' || true",
                )?;
                if !left.trim().is_empty() {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })?;
    }
    ensure!(
        before == contents(lab)?,
        "files on the machines have changed"
    );
    Ok(())
}

fn a_rival_in_the_cluster(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    let name = "preflight-rival";
    let rival = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: default}}\nspec:\n  replicas: 1\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      \
         nodeSelector: {{nowhere: \"true\"}}\n      containers: [{{name: x, image: quay.invalid/metallb/controller:v0}}]\n"
    );
    cluster.apply(&rival)?;
    let output = cluster.preflight_command().output();
    cluster.kubectl(&["delete", "deployment", name, "--wait=false"])?;
    let output = output?;
    let said = said(&output);
    ensure!(output.status.code() == Some(0), "{said}");
    ensure!(
        said.contains("MetalLB") && said.contains("[other-load-balancer]"),
        "{said}"
    );
    // Nothing was tried on a network that is in use.
    ensure!(!said.contains("vip-claim"), "{said}");
    Ok(())
}
