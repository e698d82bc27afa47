//! Changes of a cluster that lives, made by `lbctl update cluster` from an edited file.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::files;
use super::watch::{Seen, watch};
use crate::cluster::Cluster;
use crate::prober::Plan;
use crate::roster::Machine;
use crate::service::Web;

/// A Service with a pod on each of these machines, and where it answers.
///
/// # Errors
/// When nobody answers for it.
pub fn service<'a>(
    cluster: &'a Cluster<'a>,
    machines: &[Machine],
) -> Result<(Web<'a>, SocketAddr)> {
    let web = Web::new(cluster, "upkeep", "Cluster")?;
    web.run_on(machines)?;
    web.expose()?;
    let address = SocketAddr::from((web.address()?, 80));
    let client = cluster.prober(Plan::connect(address))?;
    ensure!(
        client.wait_for_calm(Duration::from_secs(2), Duration::from_secs(60)),
        "nobody answers for the Service"
    );
    client.finish()?;
    Ok((web, address))
}

/// Brings a cluster to another file under clients, and waits until it is settled. `machines`: its control planes then.
///
/// # Errors
/// When the update fails or the cluster does not settle. A failed connection is none.
pub fn update(
    shared: &Cluster<'_>,
    service: Option<SocketAddr>,
    what: &str,
    machines: &[Machine],
    text: &str,
) -> Result<Seen> {
    let cluster = shared.edited(machines, text)?;
    let seen = watch(&cluster, service, what, || cluster.update().map(drop))?;
    cluster.settle()?;
    Ok(seen)
}

/// How long `lbctl update cluster` takes to say that there is nothing to do: the middle one of three, because the machines of
/// the lab share the host's processors with whatever they do just then.
///
/// # Errors
/// When it says something else.
pub fn nothing_to_do(cluster: &Cluster<'_>) -> Result<Duration> {
    cluster.settle()?;
    let mut times = Vec::new();
    for _ in 0..3 {
        let begin = now();
        let output = cluster.update()?;
        times.push(begin.elapsed());
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(text.contains("nothing to do"), "it says: {text}");
    }
    times.sort_unstable();
    Ok(times[1])
}

/// A worker joins a cluster of three control planes, and leaves it: what was seen of each. The machine is up.
///
/// # Errors
/// When it does not join or leave.
pub fn worker(
    shared: &Cluster<'_>,
    service: Option<SocketAddr>,
    example: &str,
    worker: Machine,
) -> Result<[Seen; 2]> {
    let planes = Machine::CONTROL_PLANE;
    let file = files::with_worker(example, worker);
    let node = format!("node/{worker}");
    let mut seen = Vec::new();
    for (what, text, there) in [
        ("a worker joins", file.as_str(), true),
        ("the worker leaves", example, false),
    ] {
        seen.push(update(shared, service, what, &planes, text)?);
        let nodes = shared.kubectl(&["get", "nodes", "-o", "name"])?;
        ensure!(nodes.contains(&node) == there, "{what}: {nodes}");
    }
    seen.try_into()
        .map_err(|seen: Vec<Seen>| anyhow::anyhow!("{} changes were seen", seen.len()))
}

/// Each control plane of the example is replaced in turn, and then the spare machine: the cluster is as it was. Each time the new
/// one joins, then the old one leaves, under clients of the API and of a Service with pods on those that stay.
///
/// # Errors
/// When an update fails, or `each` does, which is given what was seen of one replacement.
pub fn replaced_in_turn(
    shared: &Cluster<'_>,
    example: &str,
    spare: Machine,
    mut each: impl FnMut(Machine, Seen) -> Result<()>,
) -> Result<()> {
    let mut planes = Machine::CONTROL_PLANE.to_vec();
    let mut new = spare;
    for _ in 0..=Machine::CONTROL_PLANE.len() {
        let before = shared.edited(&planes, &files::with_control_planes(example, &planes)?)?;
        let old = planes.remove(0);
        let (web, address) = service(&before, &planes)?;
        let mut both = planes.clone();
        both.extend([new, old]);
        planes.push(new);
        let mut seen = Seen::default();
        for (what, machines) in [
            (format!("{new} joins"), &both),
            (format!("{old} leaves"), &planes),
        ] {
            let text = files::with_control_planes(example, machines)?;
            seen = seen.and(&update(shared, Some(address), &what, machines, &text)?);
            let nodes = shared.kubectl(&["get", "nodes", "-o", "name"])?;
            let expected = machines.len();
            ensure!(
                nodes.lines().count() == expected,
                "{what}: {expected} nodes expected: {nodes}"
            );
        }
        web.remove()?;
        each(old, seen)?;
        new = old;
    }
    Ok(())
}

/// The owner of the API's VIP goes into maintenance and comes back.
///
/// # Errors
/// When it does not.
pub fn maintenance(shared: &Cluster<'_>, example: &str) -> Result<Seen> {
    let planes = Machine::CONTROL_PLANE;
    let owner = shared.settle()?;
    let others: Vec<Machine> = planes.into_iter().filter(|one| *one != owner).collect();
    let (web, address) = service(shared, &others)?;
    let away = files::in_maintenance(example, owner)?;
    let what = "the owner goes into maintenance";
    let seen = update(shared, Some(address), what, &others, &away)?;
    let back = update(shared, Some(address), "and back", &planes, example)?;
    web.remove()?;
    Ok(seen.and(&back))
}

/// Another `lbnode`, and back to the one before: what was seen of each.
///
/// # Errors
/// When an update fails.
pub fn releases(shared: &Cluster<'_>, example: &str) -> Result<[Seen; 2]> {
    let planes = Machine::CONTROL_PLANE;
    shared.settle()?;
    let (web, address) = service(shared, &planes)?;
    let other = shared.edited(&planes, example)?;
    let other = other.with_lbnode(other_program(shared)?);
    let there = watch(&other, Some(address), "another lbnode", || {
        other.update().map(drop)
    })?;
    other.settle()?;
    let back = update(shared, Some(address), "and back", &planes, example)?;
    web.remove()?;
    Ok([there, back])
}

/// The same program with other bytes: another image, as another version would be.
///
/// # Errors
/// When it cannot be read or written.
pub fn other_program(cluster: &Cluster<'_>) -> Result<PathBuf> {
    let mut program = fs::read(cluster.lbnode())?;
    program.extend_from_slice(b"the same program, another image");
    let file = cluster.workspace().join("lbnode-other");
    fs::create_dir_all(cluster.workspace())?;
    fs::write(&file, program).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// The addresses of Services move from the control planes to a pool, whose machines are up, by both keys in one update.
///
/// # Errors
/// When the update fails, or the address of a Service is on no machine of the pool afterwards.
pub fn split_migration<'lab>(
    shared: &Cluster<'lab>,
    example: &str,
    pool: &[Machine],
) -> Result<(Cluster<'lab>, Seen)> {
    let planes = Machine::CONTROL_PLANE;
    shared.settle()?;
    let (web, address) = service(shared, &planes)?;
    let text = files::on_control_planes(&files::with_pool(example, pool)?)?;
    let moved = shared.edited(&planes, &text)?;
    let what = "Service addresses move to a pool";
    let seen = watch(&moved, Some(address), what, || moved.update().map(drop))?;
    moved.settle()?;
    let owner = moved.lab.arp_owner(web.address()?)?;
    ensure!(
        owner.is_some_and(|owner| pool.contains(&owner)),
        "{owner:?} answers for the Service"
    );
    web.remove()?;
    Ok((moved, seen))
}

#[expect(clippy::disallowed_methods, reason = "measures a real command")]
fn now() -> Instant {
    Instant::now()
}
