//! The load balancers for machines that have everything else.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::interrupt::interrupt;
use crate::cluster::Cluster;
use crate::lab::Lab;
use crate::patience;
use crate::roster::Machine;

/// From the start of `lbctl create cluster` until router and proxy answer on every machine of a pool that runs before its cluster. The
/// machines are prepared first: software, configuration and images of Kubernetes are on them, nothing of `lbnode` is. The
/// cluster is finished afterwards.
///
/// # Errors
/// When the cluster cannot be made.
pub fn load_balancers(cluster: &Cluster<'_>) -> Result<Duration> {
    prepare(cluster)?;
    let said = cluster.lab.state_directory().join("prepared.log");
    let output = File::create(&said)?;
    let mut create = cluster.create_command();
    create.arg("--no-progress");
    create.stdout(output.try_clone()?).stderr(output);
    let begin = now();
    let mut child = create.spawn()?;
    let mut missing: Vec<(Machine, u16)> = Vec::new();
    for machine in cluster.balancers() {
        missing.extend(PAGES.map(|port| (*machine, port)));
    }
    let answered = patience::until("the load balancers run", LIMIT, LOOK, || {
        missing.retain(|(machine, port)| !answers(cluster.lab, *machine, *port));
        if missing.is_empty() {
            return Ok(Some(begin.elapsed()));
        }
        ensure!(
            child.try_wait()?.is_none(),
            "lbctl ended before: {}",
            fs::read_to_string(&said).unwrap_or_default()
        );
        Ok(None)
    });
    if answered.is_err() {
        // It may have ended by itself.
        let _ = child.kill();
    }
    let status = child.wait()?;
    let took = answered?;
    ensure!(
        status.success(),
        "`lbctl create cluster` failed ({status}): {}",
        fs::read_to_string(&said).unwrap_or_default()
    );
    cluster.settle()?;
    Ok(took)
}

/// Begins to make the cluster, stops when its machines are prepared, and takes `lbnode` away from them.
fn prepare(cluster: &Cluster<'_>) -> Result<()> {
    // The last step may go on by itself: it is waited for.
    const UNDO: &str = "flock -w 60 /run/lock/lbctl-step.lock true && \
        rm -rf /etc/lbnode /usr/local/bin/lbnode && \
        ctr -n k8s.io images ls -q | grep /lbnode: | xargs -r ctr -n k8s.io images rm >/dev/null";
    let mut create = cluster.create_command();
    create.arg("--no-progress");
    interrupt(cluster, create, PREPARED, Signal::SIGKILL)?;
    for machine in cluster.machines.iter().chain(cluster.balancers()) {
        cluster.lab.ssh_ok(*machine, UNDO)?;
    }
    Ok(())
}

/// Whether a page of a role on the machine says that it lives.
fn answers(lab: &Lab, machine: Machine, port: u16) -> bool {
    let asked = lab.within(machine, || {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    });
    asked.is_ok_and(|text| text.starts_with("HTTP/1.1 200"))
}

/// The step after the machines of the pool were prepared, as the logs name it.
const PREPARED: &str = "make the certificate authority";
/// Admin pages of the proxy and of the router.
const PAGES: [u16; 2] = [11000, 11003];
/// So long a page may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// So long the load balancers may take at most.
const LIMIT: Duration = Duration::from_secs(300);

#[expect(clippy::disallowed_methods, reason = "measures a real command")]
fn now() -> Instant {
    Instant::now()
}
