//! How long it takes until what was asked of the API is so: for the API, and for a client behind the router.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Contestant, LIMIT, POOL, Web};
use crate::api::Api;
use crate::cluster::Cluster;
use crate::figures::milliseconds;
use crate::patience;
use crate::prober::Plan;

/// Times in milliseconds, one of each Service or edit.
#[derive(Debug, Clone, Default)]
pub(super) struct Latencies {
    /// From the request to create until the address is in the status.
    pub(super) create_to_status: Vec<f64>,
    /// … until the first connection got through.
    pub(super) create_to_connect: Vec<f64>,
    /// From the request to delete until the last connection got through.
    pub(super) delete_to_silent: Vec<f64>,
}

/// Creates so many Services one after the other, then deletes them one after the other.
pub(super) fn create_and_delete(cluster: &Cluster<'_>, services: usize) -> Result<Latencies> {
    let api = Api::of(cluster)?;
    let pods = Web::new(cluster, "latency", "Cluster")?;
    pods.run_on(&cluster.machines)?;
    let mut latencies = Latencies::default();
    let addresses = u32::from(*POOL.start())..=u32::from(*POOL.end());
    let addresses: Vec<Ipv4Addr> = addresses.map(Ipv4Addr::from).take(services).collect();
    ensure!(
        addresses.len() == services,
        "the pool has {} addresses",
        addresses.len()
    );
    for address in &addresses {
        let (status, connect) = create(&api, cluster, &pods, *address)?;
        latencies.create_to_status.push(milliseconds(status));
        latencies.create_to_connect.push(milliseconds(connect));
    }
    for address in &addresses {
        let silent = delete(&api, cluster, *address)?;
        latencies.delete_to_silent.push(milliseconds(silent));
    }
    pods.remove()?;
    Ok(latencies)
}

/// Grows the pool by an address that a Service waits for, so many times, and takes it back each time; milliseconds until the address
/// is in the status.
///
/// # Errors
/// Also when a pod of the contestant was restarted for it.
pub(super) fn pool_edits(
    cluster: &Cluster<'_>,
    contestant: Contestant,
    edits: usize,
) -> Result<Vec<f64>> {
    let api = Api::of(cluster)?;
    let pool = contestant.pool();
    let before = api.get(pool)?["spec"]["addresses"].clone();
    let lives = contestant.lives(cluster)?;
    let mut times = Vec::new();
    for address in (u32::from(*POOL.end()) + 1..)
        .map(Ipv4Addr::from)
        .take(edits)
    {
        let waiting = object("waits", "nobody", address);
        api.create(SERVICES, &waiting)?;
        thread::sleep(Duration::from_secs(2));
        let path = format!("{SERVICES}/waits");
        ensure!(
            ingress(&api.get(&path)?).is_none(),
            "{address} was given before it was in the pool"
        );
        let mut larger = before.clone();
        let list = larger.as_array_mut().context("the pool has addresses")?;
        list.push(json!(format!("{address}-{address}")));
        let begin = now();
        api.merge(pool, &json!({"spec": {"addresses": larger}}))?;
        has(&api, &path, address)?;
        times.push(milliseconds(begin.elapsed()));
        api.delete(&path)?;
        patience::until("the Service is gone", LIMIT, POLL, || {
            Ok(api.get(&path).is_err().then_some(()))
        })?;
        api.merge(pool, &json!({"spec": {"addresses": before}}))?;
    }
    let lived = contestant.lives(cluster)?;
    ensure!(
        lived == lives,
        "pods were restarted by edits of a pool: {lives:?} became {lived:?}"
    );
    Ok(times)
}

/// Times until the status has the address and until the first connection got through.
fn create(
    api: &Api<'_>,
    cluster: &Cluster<'_>,
    pods: &Web<'_>,
    address: Ipv4Addr,
) -> Result<(Duration, Duration)> {
    let client = cluster.prober(Plan::connect(SocketAddr::from((address, 80))))?;
    thread::sleep(Duration::from_millis(500));
    let name = name(address);
    let object = object(&name, pods.name(), address);
    let begin = now();
    api.create(SERVICES, &object)?;
    has(api, &format!("{SERVICES}/{name}"), address)?;
    let status = begin.elapsed();
    let what = format!("a client gets through to {address}");
    let connect = patience::until(&what, LIMIT, Duration::from_millis(20), || {
        Ok(client.so_far().first_success(begin))
    })?;
    client.finish()?;
    thread::sleep(Duration::from_millis(300));
    Ok((status, connect))
}

/// The time until the last connection got through.
fn delete(api: &Api<'_>, cluster: &Cluster<'_>, address: Ipv4Addr) -> Result<Duration> {
    let client = cluster.prober(Plan::connect(SocketAddr::from((address, 80))))?;
    ensure!(
        client.wait_for_calm(Duration::from_millis(500), LIMIT),
        "connections to {address} fail before it is taken away"
    );
    let begin = now();
    api.delete(&format!("{SERVICES}/{}", name(address)))?;
    let what = format!("{address} is silent");
    patience::until(&what, LIMIT, Duration::from_millis(50), || {
        Ok((client.so_far().failed_at_the_end() >= SILENCE).then_some(()))
    })?;
    Ok(client.finish()?.last_success(begin))
}

/// Waits until the status of the Service at a path has this address.
pub(super) fn has(api: &Api<'_>, path: &str, address: Ipv4Addr) -> Result<()> {
    patience::until("the Service has its address", LIMIT, POLL, || {
        Ok((ingress(&api.get(path)?) == Some(address.into())).then_some(()))
    })
}

/// A Service that asks for an address, in the words that every contestant knows.
pub(super) fn object(name: &str, pods: &str, address: Ipv4Addr) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "annotations": {"metallb.io/loadBalancerIPs": address.to_string()},
        },
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app": pods},
            "ports": [{"port": 80, "targetPort": 8080}],
        },
    })
}

pub(super) fn name(address: Ipv4Addr) -> String {
    format!("on-{}", address.octets()[3])
}

/// The first address in the status of a Service.
pub(super) fn ingress(service: &Value) -> Option<IpAddr> {
    let ingress = &service["status"]["loadBalancer"]["ingress"][0]["ip"];
    ingress.as_str()?.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "measures a real API server")]
pub(super) fn now() -> Instant {
    Instant::now()
}

pub(super) const SERVICES: &str = "/api/v1/namespaces/default/services";

/// Between two looks at a status.
const POLL: Duration = Duration::from_millis(2);

/// So many failed connections in a row are silence: a second of them.
const SILENCE: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_status() {
        let address = Ipv4Addr::new(10, 10, 0, 201);
        let mut service = object("on-201", "pods", address);
        assert_eq!(name(address), "on-201");
        assert_eq!(ingress(&service), None);
        service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "10.10.0.201"}]}});
        assert_eq!(ingress(&service), Some(IpAddr::from(address)));
    }
}
