//! Somebody on the segment means harm: heartbeats that are forged or played again, floods of ARP and NDP, and a machine that
//! answers for our addresses.

use std::{
    collections::BTreeSet,
    fs,
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use l2::wire::{ArpPacket, MacAddr, NeighborAdvert};

use crate::{
    forged::{again, forge, payload},
    garbage,
    intruder::{INTRUDER, Recorder, Sender},
    nodes::{SERVICES, answering, claims, cluster, in_full, list, wait_for, wait_for_halves},
    pinger::{Outage, Pinger},
    role::{Role, metric},
    segment::{Segment, mac, seconds},
    server::{Place, Server},
};

/// Frames of garbage a second.
const FLOOD: u32 = 50_000;
/// What of that a host has to manage for the result to mean something.
const ENOUGH: f64 = 0.8;
/// Heartbeats a second.
const HEARTBEATS: u32 = 2_000;

/// Processor time over time for a speaker under a flood about addresses of nobody: the kernel drops it.
const DROPPED: f64 = 0.2;
/// The same about its own addresses: one thread reads it, and the node's other processors are free.
const READ: f64 = 1.05;

/// Two nodes that have half of the addresses each, and an intruder.
struct Scene {
    speakers: [Option<Role>; 2],
    _controller: Role,
    server: Server,
    segment: Segment,
}

impl Scene {
    fn new() -> Self {
        let mut segment = Segment::new();
        segment.attach("x", "c", INTRUDER);
        let (server, conf) = cluster(&segment);
        list(&server);
        let [controller_conf, speaker_conf] = &conf[..] else {
            unreachable!()
        };
        let _controller = Role::start(&segment.place("c"), "controller", "", controller_conf);
        let speakers = ["1", "2"].map(|node| {
            let name = format!("n{node}");
            Some(Role::start(
                &segment.place(node),
                "speaker",
                &name,
                speaker_conf,
            ))
        });
        Self {
            speakers,
            _controller,
            server,
            segment,
        }
    }

    fn place(&self, what: &str) -> Place {
        self.segment.place(what)
    }

    /// The intruder sends these, so many a second, for so many seconds.
    fn send(&self, frames: &[Vec<u8>], rate: u32, lasts: u32) -> Sender {
        let folder = self.server.folder.path();
        Sender::start(&self.place("x"), folder, frames, rate, lasts)
    }

    /// Processor time that each speaker has had, in seconds.
    fn processor(&self) -> Vec<f64> {
        let speakers = self.speakers.iter().flatten();
        speakers
            .map(|speaker| processor_seconds(speaker.id()))
            .collect()
    }
}

/// In user mode and in the kernel, from `/proc`.
fn processor_seconds(process: u32) -> f64 {
    /// The kernel counts for programs in hundredths of a second, whatever its own clock is.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name is in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = fields[11..13].iter();
    ticks
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum::<f64>()
        / TICKS
}

type Claims = BTreeSet<(IpAddr, String, u64)>;

/// One of a node's addresses of IPv4, and one of IPv6.
fn of_node(claims: &Claims, node: &str) -> (IpAddr, IpAddr) {
    let one = |v4: bool| {
        let mut own = claims.iter().filter(|(_, owner, _)| owner == node);
        own.find(|(address, ..)| address.is_ipv4() == v4).unwrap().0
    };
    (one(true), one(false))
}

#[test]
fn forged_and_recorded_heartbeats_move_nothing_and_keep_nobody_alive() {
    let mut scene = Scene::new();
    let before = wait_for_halves(&scene.server);
    let addresses: Vec<IpAddr> = before.iter().map(|(address, ..)| *address).collect();
    let file = scene.server.folder.path().join("recorded");
    let recorder = Recorder::start(&scene.place("1"), file);
    thread::sleep(Duration::from_secs(2));
    let mut recorded = recorder.frames();
    drop(recorder);
    let (source, own) = ([10_u8, 98, 0, 12], [10_u8, 98, 0, 11]);
    recorded.retain(|frame| frame[26..30] == source);
    let mut to_node = recorded.iter().filter(|frame| frame[30..34] == own);
    let last = to_node.next_back().expect("node 2 sends heartbeats");
    let forged = forge(payload(last), &addresses);
    let played: Vec<Vec<u8>> = recorded.iter().map(|frame| again(frame)).collect();
    assert!(
        played.len() > 5,
        "{} heartbeats in two seconds",
        played.len()
    );

    // While both are well: nothing moves, and it is counted why.
    let all = [played.clone(), forged].concat();
    let mut sender = scene.send(&all, HEARTBEATS, 5);
    while sender.is_running() {
        assert_eq!(claims(&scene.server), before);
        thread::sleep(Duration::from_millis(500));
    }
    let rate = sender.finish();
    let node = scene.place("1");
    let rejected = |why| metric(&node, "lbnode_speaker_rejected_heartbeats_total", why);
    let (replayed, unauthentic) = (rejected("replayed"), rejected("unauthentic"));
    println!(
        "{rate:.0} heartbeats a second: {replayed} played again, {unauthentic} forged were refused"
    );
    assert!(replayed > 100.0 && unauthentic > 100.0);
    assert_eq!(claims(&scene.server), before);

    // Played on and on, they do not keep alive who is dead.
    let (address, _) = of_node(&before, "n2");
    let sender = scene.send(&played, HEARTBEATS, 30);
    let pinger = Pinger::start(&scene.place("c"), &address.to_string());
    thread::sleep(Duration::from_secs(2));
    let killed = seconds();
    scene.speakers[1].take().unwrap().kill();
    thread::sleep(Duration::from_secs(4));
    let (answers, _) = pinger.stop();
    let outage = Outage::after(&answers, killed);
    println!("speaker killed: {outage}");
    let back = answers.last().is_some_and(|last| *last > killed + 3.0);
    assert!(back && outage.over < 1.5, "{outage}");
    wait_for("the other has all", || {
        let all = claims(&scene.server);
        all.iter().filter(|(_, node, _)| node == "n1").count() == 2 * SERVICES
    });
    drop(sender);
}

#[test]
fn fifty_thousand_frames_of_garbage_a_second_move_nothing_and_cost_a_bounded_share() {
    let scene = Scene::new();
    let before = wait_for_halves(&scene.server);
    let addresses: Vec<IpAddr> = before.iter().map(|(address, ..)| *address).collect();
    let lasts = if in_full() { 30 } else { 5 };
    for (what, frames, most) in [
        ("addresses of nobody", garbage::of_nobody(), DROPPED),
        ("our addresses", garbage::of(&addresses), READ),
    ] {
        let (begun, used) = (Instant::now(), scene.processor());
        let mut sender = scene.send(&frames, FLOOD, lasts);
        while sender.is_running() {
            assert_eq!(claims(&scene.server), before, "{what}");
            thread::sleep(Duration::from_secs(1));
        }
        let time = begun.elapsed().as_secs_f64();
        let now_used = scene.processor();
        let shares: Vec<f64> = now_used
            .iter()
            .zip(&used)
            .map(|(after, before)| (after - before) / time)
            .collect();
        let rate = sender.finish();
        println!("{what}: {rate:.0} frames a second, shares of a processor {shares:.2?}");
        assert!(
            rate >= f64::from(FLOOD) * ENOUGH,
            "this host sends {rate:.0} frames a second only: nothing is shown"
        );
        assert!(
            shares.iter().all(|share| *share <= most),
            "{what}: {shares:.2?} of a processor, at most {most} allowed"
        );
    }
    thread::sleep(Duration::from_secs(1));
    assert_eq!(claims(&scene.server), before);

    // Those who claim our addresses are told of, but not one by one.
    let bound = f64::from(lasts / 10 + 2) * f64::from(u32::try_from(addresses.len()).unwrap());
    for node in ["1", "2"] {
        let alarms = metric(
            &scene.place(node),
            "lbnode_speaker_address_conflicts_total",
            "",
        );
        println!("node {node}: {alarms} alarms");
        assert!((1.0..=bound).contains(&alarms), "node {node}: {alarms}");
    }
    for (address, node, _) in before.iter().filter(|(address, ..)| address.is_ipv4()) {
        let own = if node == "n1" { mac(11) } else { mac(12) };
        let found = answering(&scene.place("c"), &address.to_string());
        assert_eq!(found, BTreeSet::from([own.to_string()]), "{address}");
    }
}

/// Says all the time that it has these.
fn claim(addresses: &[IpAddr]) -> Vec<Vec<u8>> {
    let own = mac(INTRUDER);
    let frames = addresses.iter().flat_map(|address| match address {
        IpAddr::V4(v4) => vec![
            ArpPacket::gratuitous_reply(*v4, own)
                .frame(MacAddr::BROADCAST)
                .to_vec(),
            ArpPacket::gratuitous_request(*v4, own)
                .frame(MacAddr::BROADCAST)
                .to_vec(),
        ],
        IpAddr::V6(v6) => {
            let advert = NeighborAdvert::unsolicited(*v6, own, false);
            vec![advert.frame(own, None).as_ref().to_vec()]
        }
    });
    frames.collect()
}

/// The Service that has an address.
fn service_of(server: &Server, address: IpAddr) -> String {
    let path = r#"jsonpath={range .items[*]}{.metadata.name} {.status.loadBalancer.ingress[*].ip}{"\n"}{end}"#;
    let text = server.must(&["get", "services", "-o", path]);
    let address = address.to_string();
    let line = text
        .lines()
        .find(|line| line.split(' ').any(|word| word == address));
    let name = line.and_then(|line| line.split(' ').next());
    name.expect("a Service has it").to_owned()
}

#[test]
fn a_machine_that_answers_for_our_addresses_is_told_of_and_takes_none() {
    let scene = Scene::new();
    let server = &scene.server;
    let before = wait_for_halves(server);
    let (v4, v6) = of_node(&before, "n1");
    let (name, intruder) = (service_of(server, v4), mac(INTRUDER).to_string());
    let lent = format!("{v4}/32");
    scene.segment.lend("x", &lent, true);
    let sender = scene.send(&claim(&[v4, v6]), 10, 6);

    // Its speaker, the API and the event say so, with the hardware address of that machine.
    for address in [v4, v6] {
        let path = format!("jsonpath={{.status.addresses[?(@.address==\"{address}\")].conflict}}");
        wait_for("the speaker reports the conflict", || {
            server.must(&["get", "speaker", "n1", "-o", &path]) == intruder
        });
    }
    let alarms = metric(
        &scene.place("1"),
        "lbnode_speaker_address_conflicts_total",
        "",
    );
    assert_eq!(
        alarms, 2.0,
        "one for each address, however often it says so"
    );
    let path = r#"jsonpath={.status.conditions[?(@.type=="bundledlb.io/Reachable")].reason} {.status.conditions[?(@.type=="bundledlb.io/Reachable")].message}"#;
    wait_for("the Service's condition says so", || {
        let said = server.must(&["get", "service", &name, "-o", path]);
        said.starts_with("AddressConflict ") && said.contains(&intruder)
    });
    let path = r#"jsonpath={range .items[*]}{.reason} {.involvedObject.name}{"\n"}{end}"#;
    wait_for("an event says so", || {
        let said = server.must(&["get", "events", "-o", path]);
        said.lines()
            .any(|line| line == format!("AddressConflict {name}"))
    });

    // It answers, ours answers as before, and nothing has moved.
    let client = scene.place("c");
    let own = mac(11).to_string();
    let both = BTreeSet::from([own.clone(), intruder]);
    assert_eq!(answering(&client, &v4.to_string()), both);
    sender.finish();
    assert_eq!(claims(server), before);
    scene.segment.lend("x", &lent, false);
    assert_eq!(answering(&client, &v4.to_string()), BTreeSet::from([own]));
}
