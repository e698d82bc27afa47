//! The drivers: connections, locks, steps, logs. What to do is decided in `crate::core`.

mod cluster;
mod data_plane;
mod etcd;
mod executor;
mod fleet;
mod front;
mod inspect;
mod interrupt;
mod lock;
mod maintenance;
mod network;
mod node_log;
mod probe;
mod redact;
mod removal;
mod rivals;
mod roll;
mod secrets;
mod snapshot;
mod takeover;
mod withdraw;

pub use cluster::Cluster;
pub use executor::{Failed, Work, run_stage};
pub use fleet::{Fleet, MachineSession};
pub use front::try_front;
pub use inspect::{inspect, read_certificates, rehearse};
pub use interrupt::Interrupt;
pub use lock::{Locks, lock};
pub use maintenance::{empty, retire, stop_serving};
pub use network::follow_joins;
pub use node_log::{LogDirectory, NodeLog};
pub use probe::{probe_network, run_number};
pub use redact::Redactor;
pub use removal::{Departure, reset_machine};
pub use rivals::rivals_in_cluster;
pub use roll::{Halt, balancers, read_settings, roll};
pub use secrets::new_join_secrets;
pub use snapshot::{UNREACHABLE, from_nodes, pack};
pub use takeover::take_over;

use crate::api::ApiConnector;
use crate::remote::Connector;
use crate::ui::Ui;

/// The outside world as commands see it.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Way to machines.
    pub connector: &'a dyn Connector,
    /// Way to the cluster's API.
    pub api: &'a dyn ApiConnector,
    /// Way to people.
    pub ui: Ui,
    /// Ctrl-C.
    pub interrupt: &'a Interrupt,
    /// Logs of this run.
    pub log: &'a LogDirectory,
}

/// Machines that are worked on at the same time: a hundred are done in two rounds, and the open files of as many commands
/// beside the connections to all of them stay below the usual limit.
pub const CONCURRENCY: usize = 64;
