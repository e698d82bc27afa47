//! `loadBalancerSourceRanges` and its older annotation, at the node that has the address.

use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::figures::milliseconds;
use lab_tests::roster::OUTSIDE;
use lab_tests::service::{Web, get};
use lab_tests::{Place, patience};

use crate::runner::{Context, Scenario};
use crate::services::ask;

/// On the shared cluster.
pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "who_is_not_of_the_source_ranges_ends_at_the_node_that_has_the_address",
    run: strangers_end_at_the_node,
}];

const ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
/// Nobody's.
const ELSEWHERE: &str = "192.0.2.0/24";
const LIMIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// So long an answer may take.
const TIMEOUT: Duration = Duration::from_millis(400);

/// A list edited while a client connects, over TCP and UDP; a connection that is there goes on.
fn strangers_end_at_the_node(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    cluster.settle()?;
    let web = Web::new(cluster, "ranges", "Cluster")?;
    web.run_on(&cluster.machines[..2])?;
    web.expose()?;
    let address = web.address()?;
    await_access(cluster, address, true)?;
    let mut stays = cluster.lab.within(Place::Outside, || {
        Ok(TcpStream::connect_timeout(&target(address), TIMEOUT)?)
    })?;
    ask(&mut stays)?;
    let service = format!("service/{}", web.name());
    let patch = |what: &str| {
        cluster
            .kubectl(&["patch", &service, "--type=merge", "-p", what])
            .map(drop)
    };
    let ranges = |list: &str| format!("{{\"spec\":{{\"loadBalancerSourceRanges\":{list}}}}}");
    let annotated =
        |text: &str| format!("{{\"metadata\":{{\"annotations\":{{\"{ANNOTATION}\":{text}}}}}}}");
    for (what, change, admits) in [
        (
            "a list without it",
            ranges(&format!("[\"{ELSEWHERE}\"]")),
            false,
        ),
        (
            "a list with it",
            ranges(&format!("[\"{ELSEWHERE}\",\"{OUTSIDE}/32\"]")),
            true,
        ),
        ("no list", ranges("null"), true),
        (
            "an annotation without it",
            annotated(&format!("\"{ELSEWHERE}\"")),
            false,
        ),
        (
            "an annotation with it",
            annotated(&format!("\"{OUTSIDE}/32\"")),
            true,
        ),
        (
            "an annotation without it again",
            annotated(&format!("\"{ELSEWHERE}\"")),
            false,
        ),
        ("no annotation", annotated("null"), true),
    ] {
        patch(&change)?;
        let begin = now();
        await_access(cluster, address, admits).context(what)?;
        println!(
            "     {what}: {} after {:.0} ms",
            if admits { "in" } else { "out" },
            milliseconds(begin.elapsed())
        );
        // kube-proxy's own list comes later, and it knows nothing of the annotation.
        let refused = refused(cluster, address)?;
        ensure!(
            admits || refused > 0,
            "somebody else than the node's speaker refused: {what}"
        );
        ask(&mut stays).with_context(|| format!("a connection that was there, with {what}"))?;
    }
    web.remove()
}

/// Until a client behind the router gets in, or does not, over TCP and UDP alike.
fn await_access(cluster: &Cluster<'_>, address: Ipv4Addr, admits: bool) -> Result<()> {
    let what = if admits { "gets in" } else { "does not get in" };
    patience::until(&format!("a client {what}"), LIMIT, LOOK, || {
        let both = [
            get(cluster, address, "/hostname").is_ok(),
            echoes(cluster, address)?,
        ];
        Ok((both == [admits; 2]).then_some(()))
    })
}

/// Whether a datagram is answered, from a port of its own.
fn echoes(cluster: &Cluster<'_>, address: Ipv4Addr) -> Result<bool> {
    cluster.lab.within(Place::Outside, || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.connect(target(address))?;
        socket.send(b"echo here")?;
        let mut buffer = [0; 64];
        Ok(socket.recv(&mut buffer).is_ok())
    })
}

/// How many packets of strangers the node that has the address has refused.
fn refused(cluster: &Cluster<'_>, address: Ipv4Addr) -> Result<u64> {
    let owner = cluster.lab.arp_owner(address)?.context("an owner")?;
    let table = "nft list chain ip lbnode-speaker-source-ranges strangers";
    // Without a list there is no table.
    let Ok(text) = cluster.lab.ssh_ok(owner, table) else {
        return Ok(0);
    };
    let (_, after) = text.split_once("counter packets ").context("a counter")?;
    let count = after.split(' ').next().context("a number")?;
    Ok(count.parse()?)
}

fn target(address: Ipv4Addr) -> SocketAddr {
    (address, 80).into()
}

#[expect(clippy::disallowed_methods, reason = "measures real time")]
fn now() -> Instant {
    Instant::now()
}
