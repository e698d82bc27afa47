//! What `lbctl` has nodes find out together before it changes anything: `lbnode probe segment`, `claim` and `reach`.
#![expect(clippy::disallowed_methods, reason = "looks take real time")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab_tests::duel::arena::{Arena, VIP};
use lab_tests::duel::router::{Maker, Router, Setup};
use serde_json::{Value, json};

use crate::Context;
use crate::runner::Scenario;
use crate::wire::probe;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("probe_segment_everybody_hears_everybody", everybody),
    ("probe_segment_names_the_blocked_direction", blocked),
    (
        "probe_segment_hears_routers_and_leaves_them_in_peace",
        beside_routers,
    ),
    (
        "probe_segment_sees_two_machines_with_one_address",
        one_address_twice,
    ),
    ("probe_claim_moves_and_the_gateway_follows", claims_move),
    (
        "probe_claim_that_the_network_drops_is_not_reached",
        dropped_claims,
    ),
    ("probe_claim_ends_with_its_caller", claim_ends),
];

const GATEWAY: &str = "10.98.0.50";
const PATIENCE: Duration = Duration::from_secs(15);

fn plan(arena: &Arena, me: usize, multicast: bool) -> Value {
    let stations: Vec<Value> = (0..3)
        .map(|index| json!({"address": arena.address(index), "vrrp": true, "heartbeat": true}))
        .collect();
    json!({
        "run": 4711, "me": me, "stations": stations, "gateway": GATEWAY, "multicast": multicast, "ipv6": multicast,
        "heartbeatPort": 7946, "leastMillis": 1000, "mostMillis": 4000,
    })
}

/// The three routers' places look at the same time; what each has found.
fn look(arena: &Arena, context: &Context, multicast: bool) -> Result<Vec<Value>> {
    let start = |index: usize| -> Result<Child> {
        let program = context.lbnode.to_string_lossy().into_owned();
        let mut command = arena.command(&format!("r{index}"), &program);
        let mut child = command
            .args(["probe", "segment"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("a pipe")?;
        stdin.write_all(plan(arena, index, multicast).to_string().as_bytes())?;
        Ok(child)
    };
    let children: Vec<Child> = (0..3).map(start).collect::<Result<_>>()?;
    let reports = children.into_iter().map(|child| {
        let output = child.wait_with_output()?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
    });
    reports.collect()
}

fn heard(report: &Value, channel: &str) -> String {
    report[channel]["heard"].to_string()
}

fn everybody(context: &Context) -> Result<()> {
    for multicast in [false, true] {
        let arena = Arena::build(3)?;
        let begin = Instant::now();
        let reports = look(&arena, context, multicast)?;
        let took = begin.elapsed();
        for (index, others) in ["[1,2]", "[0,2]", "[0,1]"].into_iter().enumerate() {
            let report = &reports[index];
            ensure!(heard(report, "vrrp") == others, "{report}");
            ensure!(heard(report, "heartbeat") == others, "{report}");
            let six = if multicast { others } else { "null" };
            ensure!(heard(report, "vrrp6") == six, "{report}");
            let mac = |host: usize| format!("02:00:00:98:00:{host:02x}");
            ensure!(report["mac"] == mac(index + 1), "{report}");
            let neighbours = report["neighbours"].as_array().context("a list")?;
            ensure!(neighbours.len() == 3, "{report}");
            for neighbour in neighbours {
                let address = neighbour["address"].as_str().context("an address")?;
                let host: usize = address.rsplit('.').next().unwrap_or_default().parse()?;
                ensure!(neighbour["macs"] == json!([mac(host)]), "{report}");
            }
            ensure!(report["routers"] == json!([]), "{report}");
        }
        println!("  multicast {multicast}: {took:?}");
        ensure!(
            took < Duration::from_millis(3500),
            "it waited for nothing: {took:?}"
        );
    }
    Ok(())
}

/// Loads a packet filter in a place.
fn filter(arena: &Arena, place: &str, rules: &str) -> Result<()> {
    let mut nft = arena.command(place, "nft");
    let status = nft.arg(rules).status()?;
    ensure!(status.success(), "nft refuses `{rules}`");
    Ok(())
}

fn blocked(context: &Context) -> Result<()> {
    let arena = Arena::build(3)?;
    filter(
        &arena,
        "r1",
        "table ip t { chain in { type filter hook input priority 0; ip saddr 10.98.0.1 ip protocol 112 drop; }; }",
    )?;
    filter(
        &arena,
        "r2",
        "table ip t { chain out { type filter hook output priority 0; ip daddr 10.98.0.1 udp dport 7946 drop; }; }",
    )?;
    let reports = look(&arena, context, false)?;
    ensure!(heard(&reports[0], "vrrp") == "[1,2]", "{}", reports[0]);
    ensure!(heard(&reports[1], "vrrp") == "[2]", "{}", reports[1]);
    ensure!(heard(&reports[2], "vrrp") == "[0,1]", "{}", reports[2]);
    ensure!(heard(&reports[0], "heartbeat") == "[1]", "{}", reports[0]);
    ensure!(heard(&reports[1], "heartbeat") == "[0,2]", "{}", reports[1]);
    // Its own filter: the kernel says so at once.
    let trouble = &reports[2]["heartbeat"]["trouble"];
    let words = trouble.as_str().unwrap_or_default();
    ensure!(words.contains("own packet filter"), "{}", reports[2]);
    Ok(())
}

fn beside_routers(context: &Context) -> Result<()> {
    let makers = [Maker::Lbnode(context.lbnode.clone()), Maker::Keepalived];
    for maker in makers {
        let arena = Arena::build(3)?;
        let setup = Setup {
            priority: 200,
            multicast: true,
            routers: 1,
            ..Setup::default()
        };
        let router = Router::start(&arena, 0, &maker, &setup)?;
        arena.wait_for_owner(0, PATIENCE)?;
        let reports = look(&arena, context, false)?;
        for report in &reports[1..] {
            let router = &report["routers"][0];
            ensure!(router["source"] == "10.98.0.1", "{maker:?}: {report}");
            ensure!(router["priority"] == 200, "{maker:?}: {report}");
            ensure!(router["addresses"] == json!([VIP]), "{maker:?}: {report}");
        }
        ensure!(
            heard(&reports[0], "vrrp") == "[1,2]",
            "{maker:?}: {}",
            reports[0]
        );
        ensure!(arena.owners()? == [0], "{maker:?}: {:?}", arena.owners()?);
        let log = router.log().to_lowercase();
        ensure!(
            !log.contains("alarm") && !log.contains("invalid"),
            "{maker:?}: {log}"
        );
    }
    Ok(())
}

fn one_address_twice(context: &Context) -> Result<()> {
    let arena = Arena::build(3)?;
    // The second machine with the address is not asked: it is a stranger.
    arena.ip("c", "addr add 10.98.0.2/32 dev eth0")?;
    let reports = look(&arena, context, false)?;
    let macs = reports[0]["neighbours"].as_array().context("a list")?;
    let second = macs.iter().find(|one| one["address"] == "10.98.0.2");
    let second = second.context("it was asked for")?;
    ensure!(
        second["macs"] == json!(["02:00:00:98:00:02", "02:00:00:98:00:32"]),
        "{second}"
    );
    Ok(())
}

/// A claim that lasts as long as this.
struct Claim(Child);

impl Claim {
    fn begin(arena: &Arena, context: &Context, index: usize) -> Result<Self> {
        let program = context.lbnode.to_string_lossy().into_owned();
        let mut command = arena.command(&format!("r{index}"), &program);
        let source = arena.address(index).to_string();
        let mut child = command
            .args([
                "probe",
                "claim",
                "--address",
                &VIP.to_string(),
                "--source",
                &source,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("a pipe")?;
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "ready\n", "it said `{line}`");
        Ok(Self(child))
    }

    fn end(mut self) -> Result<()> {
        drop(self.0.stdin.take());
        ensure!(self.0.wait()?.success(), "the claim ended badly");
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn reach(arena: &Arena, context: &Context, index: usize, more: &[&str]) -> Result<Value> {
    let program = context.lbnode.to_string_lossy().into_owned();
    let source = arena.address(index).to_string();
    let output = arena
        .command(&format!("r{index}"), &program)
        .args([
            "probe",
            "reach",
            "--address",
            &VIP.to_string(),
            "--source",
            &source,
        ])
        .args(["--gateway", GATEWAY])
        .args(more)
        .output()?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The client's place forwards, as a gateway does.
fn with_gateway() -> Result<Arena> {
    let arena = Arena::build(3)?;
    let mut forward = arena.command("c", "sysctl");
    let status = forward.args(["-qw", "net.ipv4.ip_forward=1"]).status()?;
    ensure!(status.success(), "sysctl failed");
    Ok(arena)
}

fn claims_move(context: &Context) -> Result<()> {
    let arena = with_gateway()?;
    for claimant in 0..3 {
        let claim = Claim::begin(&arena, context, claimant)?;
        let mac = format!("02:00:00:98:00:{:02x}", claimant + 1);
        for other in (0..3).filter(|other| *other != claimant) {
            let report = reach(&arena, context, other, &[])?;
            let expected = json!({
                "macs": [mac], "reached": true, "gateway": "02:00:00:98:00:32", "throughGateway": true,
            });
            ensure!(
                report == expected,
                "claimed by {claimant}, asked from {other}: {report}"
            );
        }
        let own = reach(&arena, context, claimant, &["--only-gateway"])?;
        ensure!(
            own["throughGateway"] == true && own["reached"] == false,
            "{own}"
        );
        ensure!(arena.owners()?.is_empty(), "an address was added");
        claim.end()?;
    }
    // A gateway that does not learn.
    arena.ip(
        "c",
        &format!("neigh replace {VIP} lladdr 02:00:00:98:00:01 dev eth0 nud permanent"),
    )?;
    let claim = Claim::begin(&arena, context, 1)?;
    let report = reach(&arena, context, 0, &["--wait-millis", "700"])?;
    ensure!(
        report["reached"] == true && report["throughGateway"] == false,
        "{report}"
    );
    claim.end()?;
    Ok(())
}

fn dropped_claims(context: &Context) -> Result<()> {
    let arena = with_gateway()?;
    filter(
        &arena,
        "sw",
        "table bridge t { chain f { type filter hook forward priority 0; arp saddr ip 10.98.0.100 drop; }; }",
    )?;
    let claim = Claim::begin(&arena, context, 0)?;
    let report = reach(&arena, context, 1, &["--wait-millis", "700"])?;
    ensure!(
        report["macs"] == json!([]) && report["reached"] == false,
        "{report}"
    );
    ensure!(report["throughGateway"] == false, "{report}");
    claim.end()
}

fn claim_ends(context: &Context) -> Result<()> {
    let arena = Arena::build(3)?;
    let claim = Claim::begin(&arena, context, 0)?;
    let found = probe(&arena, context, &VIP.to_string())?;
    ensure!(found["mac"] == "02:00:00:98:00:01", "{found}");
    let begin = Instant::now();
    claim.end()?;
    let took = begin.elapsed();
    ensure!(took < Duration::from_secs(1), "it went on for {took:?}");
    let found = probe(&arena, context, &VIP.to_string())?;
    ensure!(found["answered"] == false, "{found}");
    Ok(())
}
