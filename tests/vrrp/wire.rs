//! What our routers put on the wire, and what their kernels answer.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab_tests::duel::arena::{Arena, VIP, VIP6};
use lab_tests::duel::router::{Maker, Router, Setup};

use crate::Context;
use crate::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("p03_ipv4_header_of_an_advert", ipv4_header),
    ("p04_ipv6_header_of_an_advert", ipv6_header),
    (
        "n01_and_n02_gratuitous_arp_after_the_advert",
        gratuitous_arp,
    ),
    (
        "n03_and_n04_unsolicited_advertisement",
        unsolicited_advertisement,
    ),
    ("a21_and_b09_only_the_active_answers_arp", arp_answers),
    (
        "a22_only_the_active_answers_neighbour_solicitations",
        ndp_answers,
    ),
    (
        "n10_the_address_is_single_labelled_finite_and_no_source",
        address_flags,
    ),
];

const PATIENCE: Duration = Duration::from_secs(15);

/// What `tcpdump` shows of `count` frames from the moment `act` begins.
pub(crate) fn captured(
    arena: &Arena,
    count: usize,
    filter: &str,
    act: impl FnOnce() -> Result<()>,
) -> Result<String> {
    let mut tcpdump = arena.command("sw", "timeout");
    tcpdump.args([
        "20",
        "tcpdump",
        "-lnnvvei",
        "br0",
        "--immediate-mode",
        "-c",
        &count.to_string(),
    ]);
    let child = tcpdump
        .arg(filter)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    thread::sleep(Duration::from_millis(500));
    act()?;
    let output = child.wait_with_output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn ours(arena: &Arena, context: &Context, index: usize, setup: &Setup) -> Result<Router> {
    Router::start(arena, index, &Maker::Lbnode(context.lbnode.clone()), setup)
}

fn ipv4_header(context: &Context) -> Result<()> {
    for (multicast, destination) in [(true, "224.0.0.18"), (false, "10.98.0.2")] {
        let arena = Arena::build(2)?;
        let setup = Setup {
            multicast,
            routers: 2,
            ..Setup::default()
        };
        let _router = ours(&arena, context, 0, &setup)?;
        arena.wait_for_owner(0, PATIENCE)?;
        let text = captured(&arena, 1, "ip proto 112", || Ok(()))?;
        for part in [
            "tos 0xc0".to_owned(),
            "ttl 255".to_owned(),
            "proto VRRP (112)".to_owned(),
            format!("10.98.0.1 > {destination}"),
            "vrid 77, prio 100".to_owned(),
        ] {
            ensure!(text.contains(&part), "`{part}` is missing in\n{text}");
        }
    }
    Ok(())
}

fn ipv6_header(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    let setup = Setup {
        multicast: true,
        ipv6: true,
        routers: 2,
        ..Setup::default()
    };
    let _router = ours(&arena, context, 0, &setup)?;
    arena.wait_until_owner(true, &[0], PATIENCE)?;
    let text = captured(&arena, 1, "ip6 proto 112", || Ok(()))?;
    for part in [
        "hlim 255",
        "class 0xc0",
        "fe80::ff:fe98:1 > ff02::12",
        "33:33:00:00:00:12",
    ] {
        ensure!(text.contains(part), "`{part}` is missing in\n{text}");
    }
    Ok(())
}

fn gratuitous_arp(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    let setup = Setup {
        routers: 2,
        ..Setup::default()
    };
    let mut router = None;
    let filter = "ip proto 112 or (ether src 02:00:00:98:00:01 and arp[14:4] == 0x0a620064)";
    let text = captured(&arena, 6, filter, || {
        router = Some(ours(&arena, context, 0, &setup)?);
        Ok(())
    })?;
    drop(router);
    let frames: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("ethertype"))
        .collect();
    ensure!(frames.len() == 6, "{text}");
    ensure!(frames[0].contains("IPv4"), "the advert comes first\n{text}");
    ensure!(
        frames[1..]
            .iter()
            .all(|frame| frame.contains("> ff:ff:ff:ff:ff:ff") && frame.contains("ARP")),
        "{text}"
    );
    let forms: Vec<bool> = frames[1..]
        .iter()
        .map(|frame| frame.contains("Reply"))
        .collect();
    ensure!(forms == [false, true, false, true, false], "{text}");
    Ok(())
}

fn unsolicited_advertisement(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    let setup = Setup {
        multicast: true,
        ipv6: true,
        routers: 2,
        ..Setup::default()
    };
    let mut router = None;
    let filter = "icmp6 and ip6[40] == 136 and ether src 02:00:00:98:00:01";
    let text = captured(&arena, 10, filter, || {
        router = Some(ours(&arena, context, 0, &setup)?);
        Ok(())
    })?;
    drop(router);
    for part in [
        "hlim 255".to_owned(),
        format!("{VIP6} > ff02::1"),
        format!("tgt is {VIP6}"),
        "Flags [router, override]".to_owned(),
        "destination link-address option (2), length 8 (1): 02:00:00:98:00:01".to_owned(),
    ] {
        ensure!(text.contains(&part), "`{part}` is missing in\n{text}");
    }
    Ok(())
}

/// What `lbnode probe vip` finds from the client's place.
pub(crate) fn probe(arena: &Arena, context: &Context, address: &str) -> Result<serde_json::Value> {
    let mut command = arena.command("c", &context.lbnode.to_string_lossy());
    command.args([
        "probe",
        "vip",
        "--interface",
        "eth0",
        "--wait-millis",
        "600",
    ]);
    let output = command.args(["--address", address]).output()?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn arp_answers(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    let setup = |priority| Setup {
        priority,
        routers: 2,
        ..Setup::default()
    };
    let mut routers: Vec<Router> = vec![
        ours(&arena, context, 0, &setup(200))?,
        ours(&arena, context, 1, &setup(100))?,
    ];
    arena.wait_for_owner(0, PATIENCE)?;
    for expected in ["02:00:00:98:00:01", "02:00:00:98:00:02"] {
        let text = captured(
            &arena,
            1,
            "arp[6:2] == 2 and not arp[14:4] == arp[24:4]",
            || {
                let found = probe(&arena, context, &VIP.to_string())?;
                ensure!(found["mac"] == expected, "{found}");
                Ok(())
            },
        )?;
        ensure!(text.contains(expected), "{text}");
        routers[0].stop()?;
        arena.wait_for_owner(1, PATIENCE)?;
    }
    drop(routers);
    thread::sleep(Duration::from_millis(2500));
    let found = probe(&arena, context, &VIP.to_string())?;
    ensure!(found["answered"] == false, "{found}");
    Ok(())
}

fn ndp_answers(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    let setup = |priority| Setup {
        priority,
        multicast: true,
        ipv6: true,
        routers: 2,
        ..Setup::default()
    };
    let _routers = [
        ours(&arena, context, 0, &setup(200))?,
        ours(&arena, context, 1, &setup(100))?,
    ];
    arena.wait_until_owner(true, &[0], PATIENCE)?;
    let found = probe(&arena, context, VIP6)?;
    ensure!(found["mac"] == "02:00:00:98:00:01", "{found}");
    Ok(())
}

fn address_flags(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    let _router = ours(
        &arena,
        context,
        0,
        &Setup {
            routers: 2,
            ..Setup::default()
        },
    )?;
    arena.wait_for_owner(0, PATIENCE)?;
    let output = arena
        .command("r0", "ip")
        .args(["addr", "show", "dev", "eth0"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    for part in [
        &format!("inet {VIP}/32 scope global deprecated"),
        "noprefixroute eth0:vip",
        "valid_lft 2sec preferred_lft 0sec",
    ] {
        ensure!(text.contains(part), "`{part}` is missing in\n{text}");
    }
    let output = arena
        .command("r0", "ip")
        .args(["route", "get", "10.98.0.50"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(text.contains("src 10.98.0.1"), "{text}");
    Ok(())
}
