//! `lbnode controller`: arguments.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use daemon::cli::LogArgs;

use super::Settings;
use crate::k8s::convert::Classes;

/// Gives Services of `type: LoadBalancer` their addresses.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Cluster to work for; without it, the cluster this pod runs in
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Serve only Services of this class; without it, those without a class and those of `bundledlb.io/l2`
    #[arg(long, value_name = "CLASS")]
    load_balancer_class: Option<String>,
    /// Namespace in which MetalLB's pools and advertisements are read
    #[arg(long, value_name = "NAMESPACE", default_value = "metallb-system")]
    metallb_namespace: String,
    /// Namespace of the Lease by which one of several controllers leads
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-system")]
    lease_namespace: String,
    /// Namespace of the Secret `lb-speaker-keys`; it is made if there is none
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-system")]
    key_namespace: String,
    /// Address of the admin pages
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:11005")]
    admin: SocketAddr,
    #[command(flatten)]
    log: LogArgs,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    daemon::logging::init(&args.log);
    let settings = Settings {
        kubeconfig: args.kubeconfig,
        classes: Classes {
            class: args.load_balancer_class,
        },
        metallb_namespace: args.metallb_namespace,
        lease_namespace: args.lease_namespace,
        key_namespace: args.key_namespace,
        admin: args.admin,
    };
    crate::run_to_end(super::run(settings))
}
