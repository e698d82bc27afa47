//! Load generator and back end for `cargo xtask bench proxy`: one thread each, so that their CPU time is easy to tell from
//! the proxy's.
//!
//! ```text
//! proxy_bench serve NETNS@IP:PORT…                     answers requests, in several network namespaces
//! proxy_bench short NETNS IP:PORT --connections N …    connect, one request, close, again
//! proxy_bench keep  NETNS IP:PORT --connections N …    requests on open connections; --rate: open loop
//! proxy_bench bulk  NETNS IP:PORT --connections N …    endless answers; --rate: bytes per second of each
//! proxy_bench idle  NETNS IP:PORT --connections N      watches that wait until standard input ends
//! ```
//!
//! Prints `start` when the measured time begins and a line of JSON when it is over.
#![expect(clippy::print_stdout, reason = "its output is its result")]
#![expect(
    clippy::disallowed_methods,
    reason = "a load generator reads the clock"
)]

mod load;
mod net;
mod serve;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer requests
    Serve {
        /// `NETNS@IP:PORT`
        listen: Vec<String>,
    },
    /// A connection per request
    Short(Load),
    /// Requests on open connections
    Keep(Load),
    /// Endless answers
    Bulk(Load),
    /// Watches without an event
    Idle(Load),
}

/// What is put on a target.
#[derive(Debug, clap::Args)]
struct Load {
    /// Network namespace to run in
    netns: String,
    /// Where to connect to, in turn
    #[arg(required = true)]
    targets: Vec<SocketAddr>,
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Measured time
    #[arg(long, default_value_t = 1000)]
    millis: u64,
    /// Time before it, not measured
    #[arg(long, default_value_t = 200)]
    warm_millis: u64,
    /// Requests per second, sent when they are due whatever became of the others, or bytes per second of an endless
    /// answer; 0: as quickly as they come
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Bytes of an answer
    #[arg(long, default_value_t = 1024)]
    answer: u64,
}

impl Load {
    fn warm(&self) -> Duration {
        Duration::from_millis(self.warm_millis)
    }

    fn measured(&self) -> Duration {
        Duration::from_millis(self.millis)
    }
}

fn main() -> std::io::Result<()> {
    net::raise_descriptor_limit();
    match Cli::parse().command {
        Command::Serve { listen } => serve::serve(&listen),
        Command::Short(load) => load::short(&load),
        Command::Keep(load) => load::keep(&load),
        Command::Bulk(load) => load::bulk(&load),
        Command::Idle(load) => load::idle(&load),
    }
}
