//! Addresses for Services: from the cluster file's pool to a client behind the router, and through the owner's death.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::figures::milliseconds;
use lab_tests::roster::OUTSIDE;
use lab_tests::service::{
    Audience, Contestant, Fault, POOL, Setting, Trial, Web, get, second_cable_cut, trial,
};
use lab_tests::{Machine, Place, patience};

use crate::runner::{Context, Scenario};

/// On the shared cluster.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_service_gets_an_address_of_the_file_and_answers_behind_the_router",
        run: a_service_answers,
    },
    Scenario {
        name: "every_endpoint_of_a_service_answers_at_its_address",
        run: every_endpoint_answers,
    },
    Scenario {
        name: "a_power_cut_of_a_services_node_costs_clients_a_second_at_most",
        run: |context| fault_costs(context, Fault::PowerCut, SECOND),
    },
    Scenario {
        name: "a_cut_cable_of_a_services_node_costs_clients_a_second_at_most",
        run: |context| fault_costs(context, Fault::CableCut, SECOND),
    },
    Scenario {
        name: "a_killed_speaker_costs_clients_a_second_at_most",
        run: |context| fault_costs(context, Fault::SpeakerKilled, SECOND),
    },
    Scenario {
        name: "a_speaker_that_ends_in_order_costs_clients_nothing",
        run: |context| fault_costs(context, Fault::SpeakerEnded, Duration::ZERO),
    },
    Scenario {
        name: "a_connection_goes_on_where_it_lives_when_its_address_is_handed_over",
        run: a_connection_goes_on,
    },
    Scenario {
        name: "a_speaker_that_stands_still_costs_clients_a_second_at_most",
        run: |context| patiently(context, Fault::SpeakerStopped, SECOND),
    },
    Scenario {
        name: "a_drained_node_costs_clients_nothing",
        run: |context| patiently(context, Fault::Drained, Duration::ZERO),
    },
    Scenario {
        name: "a_node_that_loses_its_label_costs_clients_a_second_at_most",
        run: |context| patiently(context, Fault::Unlabelled, SECOND),
    },
    Scenario {
        name: "a_second_cut_cable_soon_after_the_first_costs_clients_a_second_at_most",
        run: a_second_cut_costs_no_more,
    },
    Scenario {
        name: "local_traffic_shows_the_clients_address_and_follows_the_pod",
        run: local_traffic_follows_the_pod,
    },
];

pub(crate) const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

fn a_service_answers(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    cluster.settle()?;
    let web = Web::new(cluster, "answers", "Cluster")?;
    web.run_on(&cluster.machines[..2])?;
    let begin = now();
    web.expose()?;
    let address = web.assigned()?;
    let addressed = begin.elapsed();
    web.address()?;
    let body = patience::until("a client behind the router gets in", LIMIT, LOOK, || {
        Ok(get(cluster, address, "/hostname").ok())
    })?;
    println!(
        "     {address} after {:.0} ms, the first answer after {:.0} ms (kubectl and a look at every node included)",
        milliseconds(addressed),
        milliseconds(begin.elapsed())
    );
    ensure!(POOL.contains(&address), "{address} is not of the pool");
    ensure!(body.contains("answers"), "it says {body:?}");
    let owner = cluster.lab.arp_owner(address)?;
    ensure!(owner.is_some(), "nobody answers ARP for {address}");
    let pinged = cluster
        .lab
        .command_in(Place::Outside, "ping")
        .args(["-c", "1", "-W", "2", &address.to_string()])
        .output()?;
    ensure!(pinged.status.success(), "{address} does not answer a ping");
    no_other_port_answers(cluster, address)?;
    web.remove()?;
    patience::until("nobody answers for it any more", LIMIT, LOOK, || {
        Ok(cluster.lab.arp_answers(address)?.is_empty().then_some(()))
    })
}

/// What no Service has ends at the node: no packet goes round until its time is over, nobody is told of a shorter way, and the node
/// does not ask the segment for an address that it answers for itself.
fn no_other_port_answers(cluster: &Cluster<'_>, address: Ipv4Addr) -> Result<()> {
    let owner = cluster.lab.arp_owner(address)?.context("an owner")?;
    let number = address.to_bits();
    // Announcements are requests of the address itself.
    let said = cluster.lab.capture(
        owner,
        &format!(
            "(icmp[icmptype] = icmp-redirect and icmp[24:4] = {number:#x}) or \
             (arp[6:2] = 1 and arp[24:4] = {number:#x} and arp[14:4] != {number:#x})"
        ),
    )?;
    let target = SocketAddr::from((address, 81));
    // Only a neighbour can be told of a shorter way.
    for place in [Place::Client, Place::Outside] {
        let result = cluster.lab.within(place, || {
            Ok(TcpStream::connect_timeout(&target, TIMEOUT).map(drop))
        })?;
        let kind = result.map_err(|error| error.kind());
        ensure!(
            kind == Err(ErrorKind::TimedOut),
            "to {place} a port that no Service has says {kind:?}"
        );
    }
    let said = said.finish()?;
    ensure!(said.is_empty(), "{owner} says of {address}: {said:#?}");
    let table = "nft list table ip lbnode-speaker-guard";
    let guarded = cluster.lab.ssh_ok(owner, table)?;
    ensure!(
        guarded.contains(&address.to_string()) && !guarded.contains("packets 0 "),
        "{owner} guards: {guarded}"
    );
    Ok(())
}

/// Connections that a client makes until every endpoint must have had one: with three of them and a fair choice, one is left out
/// in one of ten thousand million runs.
const CONNECTIONS: usize = 60;

/// Kubernetes' own spec of this name compares answers that hold the time of day, and cannot fail: here the pods tell their names.
///
/// With `Local` the one node that answers is all there is: its pod has every connection.
fn every_endpoint_answers(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    cluster.settle()?;
    for traffic in ["Cluster", "Local"] {
        let web = Web::new(cluster, "endpoints", traffic)?;
        web.run_on(&cluster.machines)?;
        web.expose()?;
        let address = web.address()?;
        patience::until("a client behind the router gets in", LIMIT, LOOK, || {
            Ok(get(cluster, address, "/hostname").ok())
        })?;
        let owner = cluster.lab.arp_owner(address)?;
        let owner = owner.with_context(|| format!("nobody answers ARP for {address}"))?;
        let expected: BTreeSet<String> = match traffic {
            "Local" => [web.pod(owner)].into(),
            _ => cluster
                .machines
                .iter()
                .map(|machine| web.pod(*machine))
                .collect(),
        };
        let mut answered = BTreeSet::new();
        for _ in 0..CONNECTIONS {
            answered.insert(get(cluster, address, "/hostname")?);
        }
        println!(
            "     {traffic}: {}",
            Vec::from_iter(answered.clone()).join(", ")
        );
        ensure!(
            answered == expected,
            "{traffic}: {answered:?} answered at {address} on {owner}, and {expected:?} should have"
        );
        web.remove()?;
    }
    Ok(())
}

pub(crate) fn setting(context: &Context) -> Result<Setting<'_>> {
    Ok(Setting {
        cluster: &context.fixture()?.cluster,
        contestant: Contestant::Lbnode,
        audience: if context.full {
            Audience::Everybody
        } else {
            Audience::Neighbour
        },
    })
}

fn fault_costs(context: &Context, fault: Fault, limit: Duration) -> Result<()> {
    let setting = setting(context)?;
    for _ in 0..if context.full { 3 } else { 1 } {
        judge(&trial(setting, fault)?, limit)?;
    }
    Ok(())
}

/// On a cluster that is not the shared one, once.
pub(crate) fn fault_on(cluster: &Cluster<'_>, fault: Fault, limit: Duration) -> Result<()> {
    let setting = Setting {
        cluster,
        contestant: Contestant::Lbnode,
        audience: Audience::Neighbour,
    };
    judge(&trial(setting, fault)?, limit)
}

/// Once, and only when there is time.
fn patiently(context: &Context, fault: Fault, limit: Duration) -> Result<()> {
    context.only_in_full()?;
    judge(&trial(setting(context)?, fault)?, limit)
}

fn a_second_cut_costs_no_more(context: &Context) -> Result<()> {
    context.only_in_full()?;
    judge(&second_cable_cut(setting(context)?)?, SECOND)
}

/// Every client may have failed for the last time within the limit.
pub(crate) fn judge(trial: &Trial, limit: Duration) -> Result<()> {
    println!("     {trial}");
    ensure!(trial.over, "connections go on failing");
    for impression in trial.impressions() {
        ensure!(
            impression.last_failure <= limit,
            "last failure after {:.0} ms, at most {:.0} allowed: {}",
            milliseconds(impression.last_failure),
            milliseconds(limit),
            impression.reasons
        );
    }
    Ok(())
}

/// Requests over one connection, before the speaker of the address's node ends and for a while after another has the address.
fn a_connection_goes_on(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    cluster.settle()?;
    let web = Web::new(cluster, "goes-on", "Cluster")?;
    web.run_on(&cluster.machines)?;
    web.expose()?;
    let address = web.address()?;
    let target = SocketAddr::from((address, 80));
    let mut stream = patience::until("a client behind the router gets in", LIMIT, LOOK, || {
        cluster.lab.within(Place::Outside, || {
            Ok(TcpStream::connect_timeout(&target, TIMEOUT).ok())
        })
    })?;
    let owner = cluster.lab.arp_owner(address)?;
    let owner = owner.with_context(|| format!("nobody answers ARP for {address}"))?;
    let pod = ask(&mut stream)?;
    let fault = Fault::SpeakerEnded;
    let told = now();
    fault.inflict(cluster, Contestant::Lbnode, owner)?;
    let asked = asked_elsewhere(cluster, &mut stream, address, owner, told);
    fault.undo(cluster, Contestant::Lbnode, owner)?;
    web.remove()?;
    let (asked, answers) = asked?;
    println!("     {asked} requests over a connection of {owner} after {address} had left it");
    ensure!(asked > 10, "the address hardly left {owner}");
    ensure!(answers == [pod].into(), "answers came from {answers:?}");
    Ok(())
}

/// How many requests over a connection were answered after its address had left a machine, and by whom.
fn asked_elsewhere(
    cluster: &Cluster<'_>,
    stream: &mut TcpStream,
    address: Ipv4Addr,
    owner: Machine,
    told: Instant,
) -> Result<(usize, BTreeSet<String>)> {
    let (mut asked, mut answers) = (0, BTreeSet::new());
    while told.elapsed() < GOES_ON {
        let answer = ask(stream).with_context(|| {
            let elapsed = milliseconds(told.elapsed());
            format!(
                "the connection broke {elapsed:.0} ms after the speaker of {owner} was told to end"
            )
        })?;
        answers.insert(answer);
        let next = cluster.lab.next_hop(Place::Router, address)?;
        asked += usize::from(next.is_some_and(|next| next != owner));
    }
    Ok((asked, answers))
}

/// One request over a connection that stays; the name of the pod that answers.
pub(crate) fn ask(stream: &mut TcpStream) -> Result<String> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /hostname HTTP/1.1\r\nHost: web\r\n\r\n")?;
    let mut text = String::new();
    let mut buffer = [0; 1024];
    loop {
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "the connection was closed after {text:?}");
        text.push_str(str::from_utf8(buffer.get(..read).unwrap_or_default())?);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        ensure!(head.starts_with("HTTP/1.1 200"), "it answers {text:?}");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        if body.len() >= length.context("a length")?.parse::<usize>()? {
            return Ok(body.trim().to_owned());
        }
    }
}

/// So long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(1);
/// A connection goes on for at least so long after the speaker was told to end; the grace is 5 s, and begins later.
const GOES_ON: Duration = Duration::from_secs(4);

fn local_traffic_follows_the_pod(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    cluster.settle()?;
    let web = Web::new(cluster, "local", "Local")?;
    web.expose()?;
    let address = web.address()?;
    ensure!(
        cluster.lab.arp_answers(address)?.is_empty(),
        "{address} is answered for without an endpoint"
    );
    for machine in &cluster.machines {
        web.run_on(&[*machine])?;
        let what = format!("{address} is on {machine}, where its pod is");
        patience::until(&what, LIMIT, LOOK, || {
            Ok((cluster.lab.arp_owner(address)? == Some(*machine)).then_some(()))
        })?;
        let body = patience::until("a client behind the router gets in", LIMIT, LOOK, || {
            Ok(get(cluster, address, "/clientip").ok())
        })?;
        ensure!(
            body.ends_with(|end: char| end.is_ascii_digit())
                && body.contains(&format!("{OUTSIDE}:")),
            "the pod saw {body:?} instead of {OUTSIDE}"
        );
    }
    web.remove()
}

#[expect(clippy::disallowed_methods, reason = "measures real time")]
fn now() -> Instant {
    Instant::now()
}
