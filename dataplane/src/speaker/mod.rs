//! `lbnode speaker`: answers for the addresses of Services on this node.
//!
//! ```text
//!  main (tokio)                              segment (a thread of its own)
//!  ┌───────────────────────────┐  brief,    ┌───────────────────────────────────────┐
//!  │ followers → Atlas         │  keys,     │ heartbeats, ARP, NDP, echo, netlink   │
//!  │ admin HTTP, report        │ ─────────► │   → Speaker (core: decides) → frames  │
//!  │                           │ ◄───────── │                                       │
//!  └───────────────────────────┘  bulletin  └───────────────────────────────────────┘
//! ```
//!
//! The segment never waits for the API: what it was told last stands until it is told something else.

pub mod cli;
pub mod ears;

mod admission;
mod briefing;
mod bulletin;
mod inbox;
mod report;
mod segment;
mod slot;

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use daemon::{admin::Admin, ready::Readiness, recorder::Recorder, shutdown::Shutdown};
use l2::linux::capability::{Capability, require};
use tokio_util::sync::CancellationToken;

use self::{
    briefing::{Briefing, Latches},
    bulletin::Bulletin,
    segment::Segment,
    slot::slot,
};
use crate::{
    core::speaker::Timing,
    k8s::{client, convert::Classes},
};

/// What a speaker is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The cluster; `None`: the one this process runs in.
    pub kubeconfig: Option<PathBuf>,
    /// This node's name.
    pub node: String,
    /// Which Services are ours.
    pub classes: Classes,
    /// Where MetalLB's objects are.
    pub metallb_namespace: String,
    /// Namespace of the Secret with the keys of the heartbeats.
    pub key_namespace: String,
    /// Where the admin pages are.
    pub admin: SocketAddr,
    /// UDP port of the heartbeats.
    pub port: u16,
    /// How fast everything goes.
    pub timing: Timing,
    /// How long connections go on at the node that hands an address over; zero: they are reset.
    pub hand_over_grace: Duration,
}

/// Name of the Secret with the keys of the heartbeats.
pub const KEYS: &str = "lb-speaker-keys";
/// How long a speaker that is asked to end hands over.
const DRAIN: Duration = Duration::from_secs(3);
/// Bytes of the flight recorder.
const RECORD: usize = 1 << 20;

/// Runs until it is asked to stop.
///
/// # Errors
/// The kubeconfig makes no sense, or sockets cannot be had.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let shutdown = Shutdown::install()?;
    serve(settings, shutdown.token()).await
}

/// Runs until `stop`, then hands over what it has.
///
/// # Errors
/// The kubeconfig makes no sense, or sockets or the right to raw ones cannot be had.
pub async fn serve(settings: Settings, stop: CancellationToken) -> anyhow::Result<()> {
    require(&[Capability::NetRaw])?;
    let client = client::connect(settings.kubeconfig.as_deref()).await?;
    let readiness = Readiness::new();
    let liveness = Readiness::new();
    let latches = Latches {
        objects: readiness.latch("addresses"),
        keys: readiness.latch("keys"),
    };
    let registry = daemon::metrics::new_registry("speaker");
    let recorder = Recorder::new(RECORD);
    let bulletin = Bulletin::new(&registry);
    let pages = bulletin.clone();
    let admin = Admin {
        addr: settings.admin,
        readiness,
        registry,
        status: std::sync::Arc::new(move || pages.status()),
    };
    let admin = admin.liveness(liveness.clone()).recorder(recorder.clone());
    let token = CancellationToken::new();
    let admin = tokio::spawn(admin.serve(token.clone()));
    let (orders, standing) = slot().context("cannot make a queue")?;
    let segment = Segment::open(
        &settings,
        incarnation(),
        standing,
        bulletin.clone(),
        recorder,
    )
    .context("cannot open the sockets of the segment")?;
    let alive = liveness.latch("segment");
    alive.ready();
    let (ended, segment_ended) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("segment".to_owned())
        .spawn(move || {
            let result = segment.run();
            // Nobody listens when the process ends anyway.
            let _ = ended.send(());
            result
        })?;
    let inbox = inbox::open(&client, &settings, &token);
    let briefing = Briefing::new(settings.node.clone(), orders.clone(), latches);
    let briefing = tokio::spawn(briefing.work(inbox));
    let report = tokio::spawn(report::write(
        client,
        settings.node.clone(),
        bulletin,
        token.clone(),
    ));
    tokio::select! {
        () = stop.cancelled() => {
            orders.drain(DRAIN);
            // Twice the time: a thread that hangs does not keep the process.
            let _ = tokio::time::timeout(DRAIN * 2, segment_ended).await;
        }
        () = segment_gone(&thread) => {}
    }
    token.cancel();
    briefing.abort();
    report.await?;
    admin.await??;
    if thread.is_finished() {
        let ended = thread.join();
        ended.map_err(|_| anyhow::anyhow!("the segment thread panicked"))??;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Returns when the thread has ended by itself, which it should not.
async fn segment_gone<T>(thread: &std::thread::JoinHandle<T>) {
    while !thread.is_finished() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Grows with every start.
#[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
fn incarnation() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(1, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
