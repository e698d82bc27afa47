//! What a router says when something is in its way, and what it shows of itself.
#![expect(clippy::disallowed_methods, reason = "waits for real kernels")]

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab_tests::duel::arena::Arena;
use lab_tests::duel::router::{Maker, Router, Setup};

use crate::runner::Scenario;
use crate::{Context, Skip};

pub(crate) const SCENARIOS: &[Scenario] = &[
    (
        "x07_and_a10_adverts_that_a_firewall_stops_are_told",
        firewall,
    ),
    ("x11_its_memory_is_locked", locked),
    ("x21_the_status_names_everything", status),
];

const PATIENCE: Duration = Duration::from_secs(15);

fn start(arena: &Arena, context: &Context, index: usize, priority: u8) -> Result<Router> {
    let setup = Setup {
        priority,
        routers: 2,
        ..Setup::default()
    };
    Router::start(arena, index, &Maker::Lbnode(context.lbnode.clone()), &setup)
}

fn output(arena: &Arena, place: &str, program: &str, words: &[&str]) -> Result<String> {
    let output = arena.command(place, program).args(words).output()?;
    ensure!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The kernel refuses every advert: it is told and counted, tried on, and no reason to stay at the end.
fn firewall(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    let mut router = start(&arena, context, 0, 200)?;
    arena.wait_for_owner(0, PATIENCE)?;
    let rules = "table ip stop {\n chain sent {\n type filter hook output priority 0;\n ip protocol 112 drop\n }\n}";
    output(&arena, "r0", "nft", &[rules])?;
    thread::sleep(Duration::from_secs(1));
    ensure!(
        router.log().contains("could not be sent"),
        "{}",
        router.log()
    );
    let status = status_of(&arena)?;
    let errors = status["sendErrors"].as_u64().unwrap_or(0);
    ensure!(errors > 5, "{errors} errors are counted");
    let told = router.log().matches("could not be sent").count();
    ensure!(told <= 6, "{told} lines about {errors} errors");

    output(&arena, "r0", "nft", &["delete table ip stop"])?;
    let watch = arena.watch_adverts()?;
    watch.next_of(arena.address(0), Duration::from_secs(1))?;
    output(&arena, "r0", "nft", &[rules])?;
    let begin = Instant::now();
    router.stop()?;
    while !arena.owners()?.is_empty() {
        ensure!(begin.elapsed() < PATIENCE, "it never lets go");
        thread::sleep(Duration::from_millis(10));
    }
    // One interval and 300 ms without a successor.
    ensure!(
        begin.elapsed() < Duration::from_millis(800),
        "it let go after {:?}",
        begin.elapsed()
    );
    Ok(())
}

fn locked(context: &Context) -> Result<()> {
    let arena = Arena::build(1)?;
    let router = start(&arena, context, 0, 200)?;
    arena.wait_for_owner(0, PATIENCE)?;
    if router.log().contains("memory is not locked") {
        return Err(Skip("memory cannot be locked here").into());
    }
    let speaker = *router.processes().last().context("no process")?;
    let status = fs::read_to_string(format!("/proc/{speaker}/status"))?;
    let kilobytes = |field: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(field))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let (locked, resident) = (kilobytes("VmLck:"), kilobytes("VmRSS:"));
    println!("  locked {locked:?} kB, resident {resident:?} kB");
    ensure!(locked >= resident && resident > Some(0), "{status}");
    Ok(())
}

pub(crate) fn status_of(arena: &Arena) -> Result<serde_json::Value> {
    let text = output(
        arena,
        "r0",
        "curl",
        &["-sf", "http://127.0.0.1:11003/status"],
    )?;
    Ok(serde_json::from_str(&text)?)
}

/// keepalived's counters, each peer's form of checksum, and why it is what it is.
fn status(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    let _first = start(&arena, context, 0, 200)?;
    arena.wait_for_owner(0, PATIENCE)?;
    // A partition lets both speak, and heals.
    let _second = start(&arena, context, 1, 100)?;
    arena.isolate(0)?;
    arena.wait_until_owner(false, &[0, 1], PATIENCE)?;
    arena.join(0)?;
    arena.wait_for_owner(0, PATIENCE)?;
    let status = status_of(&arena)?;
    ensure!(status["state"] == "active", "{status:#}");
    for field in ["since", "why"] {
        let text = status[field].as_str().unwrap_or_default();
        ensure!(!text.is_empty(), "no `{field}`: {status:#}");
    }
    let router = &status["routers"][0];
    for (field, value) in [
        ("vrid", serde_json::json!(77)),
        ("priority", serde_json::json!(200)),
        ("state", serde_json::json!("active")),
        ("addresses", serde_json::json!(["10.98.0.100"])),
        ("interface", serde_json::json!("eth0")),
        ("source", serde_json::json!("10.98.0.1")),
        ("intervalMillis", serde_json::json!(100)),
        ("activeIntervalMillis", serde_json::json!(100)),
    ] {
        ensure!(
            router[field] == value,
            "`{field}` is not {value}: {router:#}"
        );
    }
    let peer = &router["peers"][0];
    for (field, value) in [
        ("address", serde_json::json!("10.98.0.2")),
        ("version", serde_json::json!("v3")),
        ("priority", serde_json::json!(100)),
        ("checksum", serde_json::json!("rfc")),
        ("intervalMillis", serde_json::json!(100)),
    ] {
        ensure!(peer[field] == value, "`{field}` is not {value}: {peer:#}");
    }
    ensure!(peer["lastAdvertMillis"].is_u64(), "{peer:#}");
    let counters = router["counters"].as_object().context("no counters")?;
    println!(
        "  counters: {}",
        counters.keys().cloned().collect::<Vec<_>>().join(", ")
    );
    for field in [
        "advertsSent",
        "advertsReceived",
        "becameActive",
        "priorityZeroSent",
        "priorityZeroReceived",
    ] {
        ensure!(
            counters.get(field).is_some_and(serde_json::Value::is_u64),
            "no `{field}`: {counters:#?}"
        );
    }
    ensure!(
        counters["advertsReceived"].as_u64() > Some(0),
        "{counters:#?}"
    );
    let metrics = output(
        &arena,
        "r0",
        "curl",
        &["-sf", "http://127.0.0.1:11003/metrics"],
    )?;
    ensure!(metrics.contains("vrrp_send_errors"), "{metrics}");
    Ok(())
}
