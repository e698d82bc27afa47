//! The proxy as its users run it: a process of its own, a configuration file, real sockets on loopback.
#![expect(clippy::unwrap_used, reason = "tests: a failure is a failure")]
#![expect(clippy::print_stderr, reason = "long tests say what they saw")]

mod balance;
mod descriptors;
mod failures;
mod half_close;
mod health;
mod hedging;
mod integrity;
mod kit;
mod long_lived;
mod operator;
mod own_server;
mod reload;
mod rights;
mod siege;
mod sources;
mod stop;
mod storm;
mod streams;
mod vanished;

use std::process::ExitCode;

use clap::Parser as _;

/// Not a test: crowds of clients and servers that the tests start.
#[test]
fn crowd_process() {
    if let Ok(order) = std::env::var(kit::CROWD_VARIABLE) {
        kit::be_a_crowd(&order);
    }
}

/// Not a test: what the tests start. Without the variable it has nothing to do.
#[test]
#[expect(
    clippy::exit,
    reason = "this process is the proxy: its exit code is looked at"
)]
fn proxy_process() {
    if let Some(config) = std::env::var_os(kit::CONFIG_VARIABLE) {
        let arguments = kit::Command::parse_from(["proxy".into(), "--config".into(), config]);
        let code = haproxy_lite::cli::run(&arguments.args);
        let known = [0_u8, 1, 3]
            .into_iter()
            .find(|known| code == ExitCode::from(*known));
        std::process::exit(known.map_or(99, i32::from));
    }
}
