//! Three hundred Services at once: when each of them has an address, and when a client behind the router gets through to it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::control::{SERVICES, ingress, now};
use super::{Contestant, LIMIT, LOOK, Web};
use crate::api::Api;
use crate::cluster::Cluster;
use crate::figures::milliseconds;
use crate::roster::Place;
use crate::{patience, tool};

/// So many, as the published name of the case says.
const CROWD: usize = 300;
/// Where their addresses are: the machines' own network has too few, and the router finds these beside it.
const NETWORK: &str = "10.10.4.0/23";
/// What they are found by.
const LABEL: &str = "crowd=yes";

/// Between the tries of one client, and how long each may take.
const RETRY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_millis(100);
/// Until everybody has heard of a pool, or of a crowd that is gone.
const REST: Duration = Duration::from_secs(5);

/// Times in milliseconds, each from the request to create a Service; one of each.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd {
    /// Until its address is in the status.
    pub(super) to_status: Vec<f64>,
    /// Until the first connection got through.
    pub(super) to_connect: Vec<f64>,
}

/// Creates and deletes so many crowds.
pub(super) fn create_at_once(
    cluster: &Cluster<'_>,
    contestant: Contestant,
    crowds: usize,
) -> Result<Crowd> {
    let pods = Web::new(cluster, "crowd", "Cluster")?;
    pods.run_on(&cluster.machines)?;
    route(cluster, "replace")?;
    let measured = measure(cluster, contestant, &pods, crowds);
    // Also after a failure: those who come later have the pools that they know.
    let removed = contestant
        .remove_wide_pool(cluster)
        .and_then(|()| route(cluster, "del"))
        .and_then(|()| pods.remove());
    let crowd = measured?;
    removed.map(|()| crowd)
}

fn measure(
    cluster: &Cluster<'_>,
    contestant: Contestant,
    pods: &Web<'_>,
    crowds: usize,
) -> Result<Crowd> {
    let api = Api::of(cluster)?;
    cluster.apply(contestant.wide_pool())?;
    thread::sleep(REST);
    let mut crowd = Crowd::default();
    for _ in 0..crowds {
        let times = one_crowd(cluster, &api, pods);
        let gone = disperse(cluster, &api);
        for (status, connect) in times? {
            crowd.to_status.push(milliseconds(status));
            crowd.to_connect.push(milliseconds(connect));
        }
        gone?;
    }
    Ok(crowd)
}

/// Everybody has a thread: nobody waits for another.
fn one_crowd(
    cluster: &Cluster<'_>,
    api: &Api<'_>,
    pods: &Web<'_>,
) -> Result<Vec<(Duration, Duration)>> {
    let (mut told, mut waiting) = (BTreeMap::new(), Vec::new());
    for number in 0..CROWD {
        let (sender, notice) = channel();
        told.insert(name(number), sender);
        waiting.push((name(number), notice));
    }
    let stream = api.follow(SERVICES)?;
    let end = stream.try_clone()?;
    thread::scope(|scope| {
        scope.spawn(move || tell(stream, told));
        let client = |(name, notice): (String, Receiver<Notice>)| {
            scope.spawn(move || one(cluster, api, &object(&name, pods.name()), &notice))
        };
        let clients: Vec<_> = waiting.into_iter().map(client).collect();
        let times = clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|_| bail!("it panicked")))
            .collect();
        // Who tells has nobody left, and ends with the stream.
        let _ = end.shutdown(Shutdown::Both);
        times
    })
}

/// An address, and when it was seen.
type Notice = (Instant, Ipv4Addr);

/// Tells each Service's client of its address, once.
fn tell(stream: TcpStream, mut clients: BTreeMap<String, Sender<Notice>>) {
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let at = now();
        let Some((name, address)) = addressed(&line) else {
            continue;
        };
        if let Some(client) = clients.remove(&name) {
            // It may have given up.
            let _ = client.send((at, address));
        }
    }
}

/// The Service that an event is about, if it has an address; the lines before the events are of HTTP.
fn addressed(line: &str) -> Option<(String, Ipv4Addr)> {
    let event: Value = serde_json::from_str(line).ok()?;
    let service = &event["object"];
    let name = service["metadata"]["name"].as_str()?;
    match ingress(service)? {
        std::net::IpAddr::V4(address) => Some((name.to_owned(), address)),
        std::net::IpAddr::V6(_) => None,
    }
}

/// Times until the status has an address and until the first connection got through.
fn one(
    cluster: &Cluster<'_>,
    api: &Api<'_>,
    object: &Value,
    notice: &Receiver<Notice>,
) -> Result<(Duration, Duration)> {
    let begin = now();
    api.create(SERVICES, object)?;
    let (at, address) = notice
        .recv_timeout(LIMIT)
        .with_context(|| format!("{} has no address", object["metadata"]["name"]))?;
    let target = SocketAddr::from((address, 80));
    let what = format!("a client gets through to {address}");
    cluster.lab.within(Place::Outside, || {
        patience::until(&what, LIMIT, RETRY, || {
            let connected = TcpStream::connect_timeout(&target, PATIENCE);
            Ok(connected.ok().map(drop))
        })
    })?;
    Ok((at.saturating_duration_since(begin), begin.elapsed()))
}

/// Deletes all, and waits until they are gone.
fn disperse(cluster: &Cluster<'_>, api: &Api<'_>) -> Result<()> {
    cluster.kubectl(&["delete", "services", "-l", LABEL, "--wait=false"])?;
    let path = format!("{SERVICES}?labelSelector={}", LABEL.replace('=', "%3D"));
    patience::until("the Services are gone", LIMIT, LOOK, || {
        let left = api.get(&path)?;
        let left = left["items"].as_array().context("a list")?;
        Ok(left.is_empty().then_some(()))
    })?;
    thread::sleep(REST);
    Ok(())
}

/// Has the router look for the addresses on the machines' segment, or no longer.
fn route(cluster: &Cluster<'_>, verb: &str) -> Result<()> {
    let mut ip = cluster.lab.command_in(Place::Router, "ip");
    ip.args(["route", verb, NETWORK, "dev", "eth0"]);
    tool::run(&mut ip).map(drop)
}

fn name(number: usize) -> String {
    format!("crowd-{number}")
}

/// A Service that wants an address of the wide pool, in the words that every contestant knows.
fn object(name: &str, pods: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "labels": {"crowd": "yes"},
            "annotations": {"metallb.io/address-pool": "crowd"},
        },
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app": pods},
            "ports": [{"port": 80, "targetPort": 8080}],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_events_of_services_with_an_address_are_told() {
        let mut service = object("crowd-7", "pods");
        let event = |service: &Value| json!({"type": "MODIFIED", "object": service}).to_string();
        assert_eq!(addressed("HTTP/1.0 200 OK"), None);
        assert_eq!(addressed(""), None);
        assert_eq!(addressed(&event(&service)), None);
        service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "10.10.4.9"}]}});
        let expected = (name(7), Ipv4Addr::new(10, 10, 4, 9));
        assert_eq!(addressed(&event(&service)), Some(expected));
    }

    #[test]
    fn both_contestants_have_the_same_addresses_for_a_crowd() {
        for contestant in Contestant::ALL {
            assert!(contestant.wide_pool().contains(NETWORK), "{contestant}");
        }
        let (key, value) = LABEL.split_once('=').expect("a label");
        assert_eq!(object("a", "b")["metadata"]["labels"][key], value);
    }
}
