//! Tests on machines of the lab; each scenario is a line in the output.
//!
//! `cargo test -p lab-tests --test lab -- [--list] [--full] [--keep] [FILTER…]`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program reports there"
)]

mod changes;
mod cluster;
mod five_nodes;
mod front_door;
mod interruptions;
mod kubectl;
mod kubelet;
mod machines;
mod outage;
mod packages;
mod placements;
mod preflight;
mod refusals;
mod rights;
mod runner;
mod secrets;
mod services;
mod shared;
mod sight;
mod source_ranges;
mod takeover;
mod upkeep;

use std::process::ExitCode;

use runner::{Options, Scenario};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let scenarios: Vec<Scenario> = [
        machines::SCENARIOS,
        kubelet::SCENARIOS,
        cluster::SCENARIOS,
        front_door::SCENARIOS,
        services::SCENARIOS,
        source_ranges::SCENARIOS,
        outage::SCENARIOS,
        sight::SCENARIOS,
        changes::SCENARIOS,
        upkeep::SCENARIOS,
        secrets::SCENARIOS,
        rights::SCENARIOS,
        refusals::SCENARIOS,
        preflight::SCENARIOS,
        interruptions::SCENARIOS,
        placements::SCENARIOS,
        five_nodes::SCENARIOS,
        packages::SCENARIOS,
        takeover::SCENARIOS,
    ]
    .concat();
    runner::run(&scenarios, &options)
}
