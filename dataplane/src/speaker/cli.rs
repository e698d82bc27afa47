//! `lbnode speaker`: arguments.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use daemon::cli::LogArgs;

use super::Settings;
use crate::{core::speaker::Timing, k8s::convert::Classes};

/// Answers for the addresses of Services on this node (ARP, NDP, echo).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Cluster to work for; without it, the cluster this pod runs in
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Name of this node
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node: String,
    /// Serve only Services of this class; without it, those without a class and those of `bundledlb.io/l2`
    #[arg(long, value_name = "CLASS")]
    load_balancer_class: Option<String>,
    /// Namespace in which MetalLB's pools and advertisements are read
    #[arg(long, value_name = "NAMESPACE", default_value = "metallb-system")]
    metallb_namespace: String,
    /// Namespace of the Secret `lb-speaker-keys`, whose values are the keys of the heartbeats
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-system")]
    key_namespace: String,
    /// Address of the admin pages
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:11004")]
    admin: SocketAddr,
    /// UDP port of the heartbeats
    #[arg(long, value_name = "PORT", default_value_t = 7946)]
    port: u16,
    /// Milliseconds between heartbeats
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    heartbeat_interval_millis: u32,
    /// Milliseconds of silence after which another node is taken for dead
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 800, value_parser = clap::value_parser!(u32).range(30..=60_000))]
    failover_millis: u32,
    /// Seconds between refreshing announcements; 0: none
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    refresh_seconds: u32,
    /// Milliseconds for which connections go on at the node that hands an address over; 0: they are reset
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    hand_over_grace_millis: u32,
    #[command(flatten)]
    log: LogArgs,
}

/// Heartbeats that may be lost before a node is taken for dead.
const LOST: u32 = 2;

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    daemon::logging::init(&args.log);
    let millis = |millis: u32| Duration::from_millis(millis.into());
    let (heartbeat, patience) = (
        millis(args.heartbeat_interval_millis),
        millis(args.failover_millis),
    );
    if patience < heartbeat * (LOST + 1) {
        tracing::error!(
            "--failover-millis must be at least three times --heartbeat-interval-millis"
        );
        return ExitCode::from(INVALID);
    }
    let settings = Settings {
        kubeconfig: args.kubeconfig,
        node: args.node,
        classes: Classes {
            class: args.load_balancer_class,
        },
        metallb_namespace: args.metallb_namespace,
        key_namespace: args.key_namespace,
        admin: args.admin,
        port: args.port,
        timing: Timing {
            heartbeat,
            patience,
            refresh: Duration::from_secs(args.refresh_seconds.into()),
        },
        hand_over_grace: millis(args.hand_over_grace_millis),
    };
    crate::run_to_end(super::run(settings))
}

const INVALID: u8 = 3;
