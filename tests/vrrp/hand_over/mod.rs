//! Planned moves: connections that live at the old owner go on there (`l2::linux::handover`).
#![expect(clippy::disallowed_methods, reason = "waits for real sockets")]

mod proxies;
mod trial;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use lab_tests::duel::arena::{VIP, VIP6};
use lab_tests::duel::router::Setup;
use lab_tests::prober::Report;

use crate::Context;
use crate::runner::Scenario;
use proxies::Proxies;
use trial::Trial;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("planned_moves_lose_no_connection", |context| {
        moves(context, false, if context.full { 30 } else { 10 })
    }),
    ("planned_moves_over_ipv6_lose_no_connection", |context| {
        moves(context, true, if context.full { 10 } else { 3 })
    }),
    (
        "a_long_connection_lives_until_the_grace_is_over",
        long_connection,
    ),
    (
        "whoever_only_listens_learns_that_the_grace_is_over",
        watching,
    ),
    ("a_lingering_address_is_silent", silent),
    ("a_lingering_ipv6_address_is_silent", silent_over_ipv6),
    ("a_draining_node_loses_no_connection", draining),
    (
        "a_failure_and_a_move_without_grace_reset_at_once",
        reset_at_once,
    ),
];

fn none_failed(trial: &Trial, report: &Report) -> Result<()> {
    println!(
        "  {} of {} connections failed, {:?}; the client itself was late by {:?} at worst",
        report.failed(),
        report.attempts().len(),
        report.reasons(),
        report.lateness()
    );
    ensure!(
        report.failed() == 0,
        "{:?}\n{}",
        report.reasons(),
        trial.logs()
    );
    Ok(())
}

fn moves(context: &Context, ipv6: bool, times: usize) -> Result<()> {
    let setup = Setup {
        ipv6,
        ..Setup::default()
    };
    let mut trial = Trial::start(context, setup)?;
    let clients = trial.clients()?;
    thread::sleep(Duration::from_millis(500));
    let mut passed_on = 0;
    for _ in 0..times {
        trial.move_on()?;
        passed_on += detours(&trial.nft(trial.owner)?);
    }
    let report = clients.finish()?;
    println!("  {times} moves, {passed_on} segments passed on");
    none_failed(&trial, &report)?;
    // Without a connection under way at any of the moves nothing would have been shown.
    ensure!(passed_on > 0, "nothing was passed on");
    Ok(())
}

/// Segments that went to the predecessor.
fn detours(ruleset: &str) -> u64 {
    let counts = ruleset.lines().filter_map(|line| {
        let (_, rest) = line.split_once("counter packets ")?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    });
    counts.sum()
}

fn long_connection(context: &Context) -> Result<()> {
    let mut trial = Trial::start(context, Setup::default())?;
    let client = trial.long_client()?;
    thread::sleep(Duration::from_millis(300));
    let moved = Instant::now();
    trial.stop_owner()?;
    let rules = trial.nft(trial.owner)?;
    ensure!(rules.contains("dup to 10.98.0.1"), "{rules}");
    let lived = client
        .join()
        .map_err(|_| anyhow!("the client panicked"))??;
    let (ended, why) = lived.0.context("it outlived the grace by far")?;
    let after = ended.duration_since(moved);
    println!("  it lived for {after:?} after the move: {why:?}");
    ensure!(
        after > Duration::from_millis(4900),
        "it ended after {after:?}"
    );
    ensure!(
        after < Duration::from_millis(7500),
        "it ended after {after:?}"
    );
    thread::sleep(Duration::from_millis(500));
    let rules = trial.nft(trial.owner)?;
    ensure!(!rules.contains("lbnode-vrrp"), "after the grace: {rules}");
    thread::sleep(Duration::from_secs(2));
    let left = trial.output("r0", "ip -o -4 addr")?;
    ensure!(!left.contains(&VIP.to_string()), "after the grace: {left}");
    Ok(())
}

/// A watch at the old owner itself, whose segments would reach nobody, and one elsewhere, which would hear nothing.
fn watching(context: &Context) -> Result<()> {
    let mut trial = Trial::start(context, Setup::default())?;
    let places = ["r0", "c"];
    let clients = places.map(|place| trial.watching_client(place));
    thread::sleep(Duration::from_millis(300));
    let moved = Instant::now();
    trial.move_on()?;
    for (place, client) in places.into_iter().zip(clients) {
        let lived = client?
            .join()
            .map_err(|_| anyhow!("the client in {place} panicked"))??;
        let (ended, why) = lived
            .0
            .with_context(|| format!("the client in {place} waits still"))?;
        let after = ended.duration_since(moved);
        println!("  {place}: told {after:?} after the move: {why:?}");
        ensure!(
            matches!(
                why,
                ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
            ),
            "{place}: it met {why:?}"
        );
        ensure!(
            after > Duration::from_secs(3) && after < Duration::from_millis(7500),
            "{place}: it was told after {after:?}"
        );
    }
    Ok(())
}

fn silent(context: &Context) -> Result<()> {
    let mut trial = Trial::start(context, Setup::default())?;
    let old = trial.owner;
    trial.stop_owner()?;
    let place = format!("r{old}");
    let held = trial.output(&place, "ip -o -4 addr show dev lo")?;
    ensure!(
        held.contains(&format!("{VIP}/32")),
        "it does not linger: {held}"
    );
    let answers = trial.output("c", &format!("arping -b -I eth0 -w 1 {VIP}"))?;
    let answers: BTreeSet<_> = answers
        .lines()
        .filter_map(|line| {
            Some(
                line.split_once('[')?
                    .1
                    .split_once(']')?
                    .0
                    .to_ascii_lowercase(),
            )
        })
        .collect();
    let successor = format!("02:00:00:98:00:{:02x}", trial.owner + 1);
    ensure!(
        answers == BTreeSet::from([successor]),
        "{answers:?} answered ARP"
    );
    asks_with_its_own_address(&trial, old, VIP, "10.98.0.50")
}

fn silent_over_ipv6(context: &Context) -> Result<()> {
    let setup = Setup {
        ipv6: true,
        ..Setup::default()
    };
    let mut trial = Trial::start(context, setup)?;
    let old = trial.owner;
    trial.stop_owner()?;
    let held = trial.output(&format!("r{old}"), "ip -o -6 addr show dev lo")?;
    ensure!(
        held.contains(&format!("{VIP6}/128")),
        "it does not linger: {held}"
    );
    for _ in 0..5 {
        trial.arena.ip("c", "-6 neigh flush all")?;
        trial.output("c", &format!("ping -c 1 -W 1 {VIP6}"))?;
        trial.points_to_owner(VIP6.parse()?)?;
    }
    asks_with_its_own_address(&trial, old, VIP6.parse()?, "fd98::50")
}

/// A question that the old owner asks on behalf of a packet from the VIP does not make the client point to it.
fn asks_with_its_own_address(trial: &Trial, old: usize, vip: IpAddr, client: &str) -> Result<()> {
    let place = format!("r{old}");
    // The client knows where the VIP is.
    trial.output("c", &format!("ping -c 1 -W 1 {vip}"))?;
    trial.arena.ip(&place, "neigh flush all")?;
    trial.output(&place, &format!("ping -c 2 -i 0.2 -W 1 -I {vip} {client}"))?;
    let neighbours = trial.output(&place, &format!("ip neigh show to {client}"))?;
    ensure!(
        neighbours.contains("lladdr"),
        "the old owner finds nobody: {neighbours}"
    );
    trial.points_to_owner(vip)
}

fn draining(context: &Context) -> Result<()> {
    let proxies = Proxies::new()?;
    let mut trial = Trial::start_with(context, Setup::default(), Some(&proxies))?;
    let clients = trial.clients()?;
    for _ in 0..4 {
        let old = trial.owner;
        trial.health[old].store(503, Ordering::Relaxed);
        trial.owner = usize::from(old == 0);
        trial.wait_for(trial.owner)?;
        thread::sleep(Duration::from_millis(500));
        each_has_one_side(&trial, old)?;
        trial.health[old].store(200, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(800));
    }
    none_failed(&trial, &clients.finish()?)
}

/// The old owner passes nothing on, and the owner is not silent: neither has kept what it did in an earlier move.
fn each_has_one_side(trial: &Trial, old: usize) -> Result<()> {
    let rules = trial.nft(old)?;
    ensure!(rules.contains("table arp lbnode-vrrp"), "old: {rules}");
    ensure!(!rules.contains("table ip "), "old: {rules}");
    let rules = trial.nft(trial.owner)?;
    ensure!(rules.contains("table ip lbnode-vrrp"), "owner: {rules}");
    ensure!(!rules.contains("table arp "), "owner: {rules}");
    for (index, lingers) in [(old, true), (trial.owner, false)] {
        let held = trial.output(&format!("r{index}"), "ip -o -4 addr show dev lo")?;
        ensure!(
            held.contains(&format!("{VIP}/32")) == lingers,
            "r{index}: {held}"
        );
    }
    Ok(())
}

fn reset_at_once(context: &Context) -> Result<()> {
    for grace in [None, Some(0)] {
        let setup = Setup {
            grace,
            ..Setup::default()
        };
        let mut trial = Trial::start(context, setup)?;
        let client = trial.long_client()?;
        thread::sleep(Duration::from_millis(300));
        let begin = Instant::now();
        if grace.is_some() {
            trial.stop_owner()?;
        } else {
            let router = trial.routers[0].as_ref().context("it runs not")?;
            router.kill_speaker()?;
            trial.owner = 1;
            trial.wait_for(1)?;
        }
        let rules = trial.nft(trial.owner)?;
        ensure!(!rules.contains("lbnode-vrrp"), "{rules}");
        let lived = client
            .join()
            .map_err(|_| anyhow!("the client panicked"))??;
        let (ended, why) = lived.0.context("it was not reset")?;
        let after = ended.duration_since(begin);
        println!("  grace {grace:?}: {why:?} after {after:?}");
        ensure!(why == ErrorKind::ConnectionReset, "{why:?}");
        ensure!(after < Duration::from_millis(1500), "after {after:?}");
    }
    Ok(())
}
