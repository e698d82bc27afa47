//! The command line: arguments only.

mod install;
mod service;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

pub use install::Install;
pub use service::{CheckService, Explain, ExplainOwner, ServiceName};

/// Bundled load balancing for bare-metal Kubernetes: clusters from one YAML file over SSH.
#[derive(Debug, Parser)]
#[command(
    name = "lbctl",
    version,
    after_help = "Exit codes: 0 ok, 1 failed, 2 usage, 3 configuration invalid or change refused, 4 partial (some machines failed), 5 drift or changes found."
)]
pub struct Cli {
    /// Say only results and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// No moving progress lines
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The whole tree, for completion scripts.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented cluster file, or make a cluster from one
    #[command(subcommand)]
    Create(Create),
    /// Install only the load balancers onto a cluster that kubeadm made, in place of keepalived, HAProxy or kube-vip
    Install(Install),
    /// Check a cluster file, machines and network, or a running cluster, and change nothing
    #[command(subcommand)]
    Check(Check),
    /// Bring a cluster to what its file says, one load-balancer node after the other
    #[command(subcommand)]
    Update(Update),
    /// Show nodes, the virtual IP's owner, proxies, speakers, pools, Services, versions, and what differs from the file
    Status(Status),
    /// Collect logs, states and recordings of all nodes into one archive, without secrets
    Snapshot(Snapshot),
    /// Say why something is as it is
    #[command(subcommand)]
    Explain(Explain),
    /// Write every file and manifest that would land on the nodes
    Render(Render),
    /// Compare a cluster file with an older one: 0 nothing, 5 changes, 3 a refused change
    Diff(Diff),
    /// Remove everything that `create cluster` made
    #[command(subcommand)]
    Reset(Reset),
    /// Print a completion script
    Completions {
        /// Shell to complete in
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
}

/// `lbctl create …`
#[derive(Debug, Subcommand)]
pub enum Create {
    /// Write a commented cluster file
    Config(CreateConfig),
    /// Make the cluster; run again it goes on, or finds nothing to do
    Cluster(CreateCluster),
}

/// `lbctl create config`
#[derive(Debug, Args)]
pub struct CreateConfig {
    /// Name of the cluster
    #[arg(long = "cluster", short = 'c', value_name = "NAME")]
    pub cluster: String,
    /// File to write; `-` is stdout. Default: `<workspace>/<cluster>/<cluster>.yaml`
    #[arg(long = "output-file", short = 'o', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Folder for clusters' files and logs
    #[arg(long, default_value = "lbctl-workspace", value_name = "DIR")]
    pub workspace: PathBuf,
}

/// What every command needs that reaches machines.
#[derive(Debug, Args)]
pub struct Target {
    /// Cluster file
    #[arg(long, short, value_name = "FILE")]
    pub file: PathBuf,
    /// Folder for clusters' kubeconfigs, host keys and logs
    #[arg(long, default_value = "lbctl-workspace", value_name = "DIR")]
    pub workspace: PathBuf,
    /// Private SSH key; overrides `sshPrivateKeyPath` of the file
    #[arg(long, value_name = "FILE")]
    pub ssh_private_key: Option<PathBuf>,
}

/// Software for the nodes.
#[derive(Debug, Args)]
pub struct Software {
    /// Directory with Kubernetes' software; without it what is installed on the machines is used
    #[arg(long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// Install Kubernetes' packages of this version (v1.36.3) with apt or dnf where they are missing
    #[arg(long, value_name = "VERSION", conflicts_with = "bundle")]
    pub kubernetes_version: Option<String>,
    /// Package repository to add instead of that of pkgs.k8s.io
    #[arg(long, value_name = "URL", requires = "kubernetes_version")]
    pub package_repo: Option<String>,
    /// Key that signs it; default: the machines fetch that of pkgs.k8s.io
    #[arg(long, value_name = "FILE", requires = "kubernetes_version")]
    pub package_key: Option<PathBuf>,
    /// Node binary; default: `lbnode` beside this program
    #[arg(long, value_name = "FILE")]
    pub lbnode: Option<PathBuf>,
    /// Manifest of a CNI to apply; default: routed pod network (ptp and static routes)
    #[arg(long, value_name = "MANIFEST")]
    pub cni: Option<PathBuf>,
}

/// `lbctl create cluster`
#[derive(Debug, Args)]
pub struct CreateCluster {
    /// Cluster and machines.
    #[command(flatten)]
    pub target: Target,
    /// Software.
    #[command(flatten)]
    pub software: Software,
    /// Answer yes to questions (replacing a containerd configuration that somebody edited)
    #[arg(long, short)]
    pub yes: bool,
}

/// `lbctl update …`
#[derive(Debug, Subcommand)]
pub enum Update {
    /// Roll out settings, lbnode's image, labels and pools: backups first, the virtual IP's owner last
    Cluster(UpdateCluster),
}

/// `lbctl update cluster`
#[derive(Debug, Args)]
pub struct UpdateCluster {
    /// Cluster and machines.
    #[command(flatten)]
    pub target: Target,
    /// Software.
    #[command(flatten)]
    pub software: Software,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Show what would be done, and do nothing; 5: there is something to do
    #[arg(long)]
    pub dry_run: bool,
}

/// `lbctl check …`
#[derive(Debug, Subcommand)]
pub enum Check {
    /// Check a cluster file: every error at once, with its place and a hint
    Config(CheckConfig),
    /// Check machines and network before anything is installed
    Preflight(CheckPreflight),
    /// Check a running cluster: 0 all is well, 1 something is broken, 4 a machine does not answer, 5 it differs from the file
    Cluster(CheckCluster),
    /// Check a Service: its conditions, who answers for its addresses, and whether its ports can be reached
    Service(CheckService),
}

/// `lbctl check config`
#[derive(Debug, Args)]
pub struct CheckConfig {
    /// Cluster file; `-` is stdin
    #[arg(long, short, value_name = "FILE")]
    pub file: PathBuf,
    /// Form of the output
    #[arg(long, short, value_enum, default_value = "table")]
    pub output: Output,
}

/// `lbctl check preflight`
#[derive(Debug, Args)]
pub struct CheckPreflight {
    /// Cluster and machines.
    #[command(flatten)]
    pub target: Target,
    /// Software.
    #[command(flatten)]
    pub software: Software,
    /// Form of the output
    #[arg(long, short, value_enum, default_value = "table")]
    pub output: Output,
}

/// What the nodes are compared with.
#[derive(Debug, Args)]
pub struct Reference {
    /// Node binary that the nodes should have; default: `lbnode` beside this program, or, without one, what most nodes have
    #[arg(long, value_name = "FILE")]
    pub lbnode: Option<PathBuf>,
}

/// `lbctl check cluster`
#[derive(Debug, Args)]
pub struct CheckCluster {
    /// Cluster and machines.
    #[command(flatten)]
    pub target: Target,
    /// What the nodes should have.
    #[command(flatten)]
    pub reference: Reference,
    /// Form of the output
    #[arg(long, short, value_enum, default_value = "table")]
    pub output: Output,
}

/// `lbctl status`
#[derive(Debug, Args)]
pub struct Status {
    /// Cluster and machines.
    #[command(flatten)]
    pub target: Target,
    /// What the nodes should have.
    #[command(flatten)]
    pub reference: Reference,
    /// Form of the output
    #[arg(long, short, value_enum, default_value = "table")]
    pub output: Output,
    /// Look again every two seconds, until Ctrl-C
    #[arg(long, short)]
    pub watch: bool,
}

/// `lbctl snapshot`
#[derive(Debug, Args)]
pub struct Snapshot {
    /// Cluster and machines.
    #[command(flatten)]
    pub target: Target,
    /// Archive to write (`.tar.gz`). Default: a name with the time in the cluster's workspace folder
    #[arg(long = "output-file", short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `lbctl render`
#[derive(Debug, Args)]
pub struct Render {
    /// Cluster file
    #[arg(long, short, value_name = "FILE")]
    pub file: PathBuf,
    /// Directory to write into
    #[arg(long = "output-dir", short = 'o', value_name = "DIR")]
    pub directory: PathBuf,
    /// Software.
    #[command(flatten)]
    pub software: Software,
}

/// `lbctl diff`
#[derive(Debug, Args)]
pub struct Diff {
    /// Cluster file
    #[arg(long, short, value_name = "FILE")]
    pub file: PathBuf,
    /// Older cluster file to compare with
    #[arg(long, value_name = "OLD")]
    pub against: PathBuf,
    /// Form of the output
    #[arg(long, short, value_enum, default_value = "table")]
    pub output: Output,
}

/// `lbctl reset …`
#[derive(Debug, Subcommand)]
pub enum Reset {
    /// Remove the cluster from its machines
    Cluster(ResetCluster),
    /// Remove some machines from their cluster, which goes on without them
    Nodes(ResetNodes),
}

/// `lbctl reset nodes`
#[derive(Debug, Args)]
pub struct ResetNodes {
    /// Cluster and machines.
    #[command(flatten)]
    pub target: Target,
    /// Software.
    #[command(flatten)]
    pub software: Software,
    /// Nodes by name, or machines by address
    #[arg(long, value_name = "NAME", required = true, num_args = 1..)]
    pub node: Vec<String>,
    /// Go on with machines that do not answer, pods that do not end, and whatever is left
    #[arg(long)]
    pub force: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

/// `lbctl reset cluster`
#[derive(Debug, Args)]
pub struct ResetCluster {
    /// Cluster and machines.
    #[command(flatten)]
    pub target: Target,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

/// Form of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For programs
    Json,
    /// For both
    Yaml,
}
