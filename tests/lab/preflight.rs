//! What `lbctl check preflight` finds on machines and between them: each fault made once, named with node, cause and a
//! way out, and nothing changed.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lab_tests::roster::API_VIP;
use lab_tests::{Lab, Machine, Place};
use serde_json::Value;

use crate::refusals::{cluster, contents};
use crate::runner::{Context, Scenario};
use crate::shared::{apply, example, said};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "preflight_passes_bare_machines_and_leaves_nothing",
        run: bare_machines_pass,
    },
    Scenario {
        name: "preflight_names_each_fault_of_a_machine",
        run: |context| each(context, MACHINE),
    },
    Scenario {
        name: "preflight_names_each_fault_of_the_network",
        run: |context| each(context, NETWORK),
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

/// A fault: shell words in a place that make it and take it back, and what must be found.
struct Fault {
    place: fn() -> Place,
    make: &'static str,
    undo: &'static str,
    /// Host name of the machine that has the finding.
    node: &'static str,
    check: &'static str,
    severity: &'static str,
    /// Part of the cause.
    cause: &'static str,
}

fn second() -> Place {
    Machine::cp(2).into()
}

/// Made by SSH on the machine itself.
const MACHINE: &[Fault] = &[
    Fault {
        place: second,
        make: "mkdir -p /etc/ufw && echo ENABLED=yes >/etc/ufw/ufw.conf && ln -s /bin/true /usr/local/sbin/ufw",
        undo: "rm -r /etc/ufw /usr/local/sbin/ufw",
        node: "cp2",
        check: "firewall",
        severity: "FAIL",
        cause: "ufw",
    },
    Fault {
        place: second,
        make: "ip link add kube-ipvs0 type bridge",
        undo: "ip link del kube-ipvs0",
        node: "cp2",
        check: "strict-arp",
        severity: "FAIL",
        cause: "strictARP",
    },
    Fault {
        place: second,
        make: "ip link add eth0.7 type bridge && ip addr add 192.168.7.2/24 dev eth0.7 && sysctl -qw net/ipv4/conf/eth0/rp_filter=1",
        undo: "ip link del eth0.7; sysctl -qw net/ipv4/conf/eth0/rp_filter=0",
        node: "cp2",
        check: "rp-filter",
        severity: "WARN",
        cause: "eth0.7",
    },
    Fault {
        place: second,
        make: "ip link add docker0 type bridge && ip addr add 10.244.3.1/24 dev docker0",
        undo: "ip link del docker0",
        node: "cp2",
        check: "cidr-overlap",
        severity: "FAIL",
        cause: "10.244.3.1/24 on docker0",
    },
    Fault {
        place: second,
        make: "ip route del default",
        undo: "ip route add default via 10.10.0.1",
        node: "cp2",
        check: "default-route",
        severity: "WARN",
        cause: "no default route",
    },
    Fault {
        place: second,
        make: "mount --bind /opt /opt && mount -o remount,bind,noexec /opt",
        undo: "umount /opt",
        node: "cp2",
        check: "noexec",
        severity: "FAIL",
        cause: "/opt is mounted noexec",
    },
    Fault {
        place: second,
        make: "mount -t tmpfs -o size=1m tmpfs /var/lib/etcd",
        undo: "umount /var/lib/etcd",
        node: "cp2",
        check: "disk",
        severity: "FAIL",
        cause: "free on /var/lib/etcd",
    },
    Fault {
        place: second,
        make: "systemd-run --quiet --collect --unit=keepalived sleep infinity",
        undo: "systemctl stop keepalived",
        node: "cp2",
        check: "other-load-balancer",
        severity: "WARN",
        cause: "keepalived",
    },
    Fault {
        place: second,
        make: "systemd-run --quiet --collect --unit=squatter socat UDP-LISTEN:7946,fork EXEC:cat; sleep 1",
        undo: "systemctl stop squatter",
        node: "cp2",
        check: "ports",
        severity: "FAIL",
        cause: "7946/udp is taken by `socat",
    },
];

/// Made in the place's network namespace, with the host's programs.
const NETWORK: &[Fault] = &[
    Fault {
        place: second,
        make: "nft 'table ip pf { chain in { type filter hook input priority 0; ip saddr 10.10.0.11 ip protocol 112 drop; }; }'",
        undo: "nft 'delete table ip pf'",
        node: "cp2",
        check: "protocol-112",
        severity: "FAIL",
        cause: "do not arrive from cp1 (10.10.0.11); in the other direction they pass",
    },
    Fault {
        place: second,
        make: "nft 'table ip pf { chain in { type filter hook input priority 0; udp dport 7946 drop; }; }'",
        undo: "nft 'delete table ip pf'",
        node: "cp2",
        check: "heartbeat-port",
        severity: "FAIL",
        cause: "do not arrive from cp1 (10.10.0.11), cp3 (10.10.0.13)",
    },
    Fault {
        place: || Place::Switch,
        make: "nft 'table bridge pf { chain f { type filter hook forward priority 0; arp saddr ip 10.10.0.12 arp daddr ip 10.10.0.13 drop; arp saddr ip 10.10.0.13 arp daddr ip 10.10.0.12 drop; }; }'",
        undo: "nft 'delete table bridge pf'",
        node: "cp2",
        check: "layer-2",
        severity: "FAIL",
        cause: "no answer to ARP on eth0 from cp3 (10.10.0.13)",
    },
    Fault {
        place: || Place::Client,
        make: "ip addr add 10.10.0.13/32 dev eth0",
        undo: "ip addr del 10.10.0.13/32 dev eth0",
        node: "cp2",
        check: "layer-2",
        severity: "FAIL",
        cause: "02:00:0a:0a:00:32",
    },
    Fault {
        place: || Place::Client,
        make: "ip addr add 10.10.0.100/32 dev eth0",
        undo: "ip addr del 10.10.0.100/32 dev eth0",
        node: "cp2",
        check: "vip-free",
        severity: "FAIL",
        cause: "02:00:0a:0a:00:32 answers for it",
    },
    Fault {
        place: || Place::Switch,
        make: "nft 'table bridge pf { chain f { type filter hook forward priority 0; arp saddr ip 10.10.0.100 drop; }; }'",
        undo: "nft 'delete table bridge pf'",
        node: "cp2",
        check: "vip-claim",
        severity: "FAIL",
        cause: "it claims 10.10.0.100, but",
    },
    Fault {
        place: || Place::Router,
        make: "ip neigh replace 10.10.0.100 lladdr 02:00:0a:0a:00:0b dev eth0 nud permanent",
        undo: "ip neigh del 10.10.0.100 dev eth0",
        node: "cp2",
        check: "vip-gateway",
        severity: "FAIL",
        cause: "does not bring packets for 10.10.0.100 to cp2",
    },
    Fault {
        place: || Place::Router,
        make: "ip link set eth0 arp off",
        undo: "ip link set eth0 arp on",
        node: "cp2",
        check: "gateway",
        severity: "WARN",
        cause: "the gateway 10.10.0.1 does not answer ARP",
    },
    // Another cluster's router with the VIP, for half a minute: keepalived in its own place.
    Fault {
        place: || Place::Client,
        make: "printf 'vrrp_instance x {\\n state BACKUP\\n interface eth0\\n virtual_router_id 77\\n priority 90\\n advert_int 1\\n version 3\\n virtual_ipaddress {\\n 10.10.0.100/32\\n }\\n}\\n' >/tmp/preflight-keepalived.conf && timeout 60 keepalived --dont-fork --vrrp --use-file=/tmp/preflight-keepalived.conf --pid=/tmp/preflight-keepalived.pid --vrrp_pid=/tmp/preflight-vrrp.pid >/dev/null 2>&1 & sleep 5",
        undo: "kill $(cat /tmp/preflight-keepalived.pid); rm -f /tmp/preflight-keepalived.conf; sleep 1",
        node: "cp2",
        check: "virtual-routers",
        severity: "FAIL",
        cause: "10.10.0.50 announces 10.10.0.100",
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

fn each(context: &Context, faults: &[Fault]) -> Result<()> {
    let lab = context.bare()?;
    for fault in faults {
        run(lab, fault, fault.make)?;
        let looked = look(lab);
        run(lab, fault, fault.undo)?;
        let looked = looked.with_context(|| format!("with `{}`", fault.make))?;
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
        let code = if fault.severity == "FAIL" { 1 } else { 0 };
        ensure!(
            looked.code == Some(code),
            "{:?}: {}",
            looked.code,
            looked.said
        );
    }
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
    apply(cluster, &rival)?;
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
