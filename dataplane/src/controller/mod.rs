//! `lbnode controller`: gives Services their addresses.
//!
//! ```text
//!  followers (one per kind) ──► inbox ──► Desk: Registrar, LeaseClaim ──► writes, each with a limited time
//!                                           ▲                                   │
//!                                           └────────── how they ended ◄────────┘
//! ```

mod catalogue;
pub mod cli;
mod desk;
mod inbox;
mod keys;
mod pool_status;
mod status;
mod writes;

use std::{
    collections::hash_map::RandomState, hash::BuildHasher as _, net::SocketAddr, path::PathBuf,
};

use daemon::{admin::Admin, ready::Readiness, shutdown::Shutdown};

use tokio_util::sync::CancellationToken;

use self::{desk::Desk, status::Board};
use crate::k8s::{client, convert::Classes, lease::LeaseObject};

/// What a controller is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The cluster; `None`: the one this process runs in.
    pub kubeconfig: Option<PathBuf>,
    /// Which Services are ours.
    pub classes: Classes,
    /// Where MetalLB's objects are.
    pub metallb_namespace: String,
    /// Where the Lease is.
    pub lease_namespace: String,
    /// Namespace of the Secret with the keys of the speakers' heartbeats.
    pub key_namespace: String,
    /// Where the admin pages are.
    pub admin: SocketAddr,
}

/// Name of the Lease.
const LEASE: &str = "lbnode-controller";

/// Runs until it is asked to stop.
///
/// # Errors
/// The kubeconfig makes no sense, or signals cannot be taken over.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let shutdown = Shutdown::install()?;
    serve(settings, shutdown.token()).await
}

/// Runs until `stop`, then gives the Lease up.
///
/// # Errors
/// The kubeconfig makes no sense.
pub async fn serve(settings: Settings, stop: CancellationToken) -> anyhow::Result<()> {
    let client = client::connect(settings.kubeconfig.as_deref()).await?;
    let readiness = Readiness::new();
    let latch = readiness.latch("objects");
    let registry = daemon::metrics::new_registry("controller");
    let board = Board::new(&registry);
    let pages = board.clone();
    let admin = Admin {
        addr: settings.admin,
        readiness,
        registry,
        status: std::sync::Arc::new(move || pages.status()),
    };
    let followers = CancellationToken::new();
    let admin = tokio::spawn(admin.serve(followers.clone()));
    let lease = LeaseObject::new(client.clone(), &settings.lease_namespace, LEASE);
    let inbox = inbox::open(&client, &settings, &lease, LEASE, &followers);
    let desk = Desk::new(
        client,
        lease,
        identity(),
        settings.key_namespace,
        board,
        latch,
    );
    desk.work(inbox, stop).await;
    followers.cancel();
    admin.await??;
    tracing::info!("stopped");
    Ok(())
}

/// A name for this process that no other has or had.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let chance = RandomState::new().hash_one(std::process::id());
    format!("{}-{chance:016x}", host.trim())
}
