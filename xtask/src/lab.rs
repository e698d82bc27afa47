//! `cargo xtask lab`: bare machines on this host, by hand.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use lab_tests::{Lab, Machine, Place, bundle, vm};

use crate::{cargo, say};

/// Arguments of `cargo xtask lab`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Labs with different prefixes live side by side.
    #[arg(long, global = true, default_value = "lab")]
    prefix: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start machines (cp1 cp2 cp3 when none is named) and what they are connected with
    Up {
        /// cp1…cp9, lb1…lb9, w1…w9
        machines: Vec<Machine>,
    },
    /// Remove everything of this lab, also after a crash
    Down,
    /// Show the machines
    Status,
    /// Run a command line on a machine over SSH, or log in
    Ssh {
        /// The machine
        machine: Machine,
        /// What to run there; a shell when missing
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Run a program of this host in a place's network namespace
    Run {
        /// op, client, ext, rt, sw or a machine
        place: Place,
        /// The program and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Power cut: off the network at once, then all processes killed; the disk stays
    Kill {
        /// The machine
        machine: Machine,
    },
    /// Boot a machine that had a power cut
    Start {
        /// The machine
        machine: Machine,
    },
    /// Pull a machine's network cable
    Cut {
        /// The machine
        machine: Machine,
    },
    /// Put a machine's network cable back
    Heal {
        /// The machine
        machine: Machine,
    },
    /// Show the packets at a place
    Capture {
        /// op, client, ext, rt, sw or a machine
        place: Place,
        /// Arguments for tcpdump (default: -i any -n)
        #[arg(last = true)]
        tcpdump: Vec<String>,
    },
    /// Print the path of the Kubernetes bundle; the first time it is built
    Bundle,
    /// Run the lab's own scenarios on a host with cgroup v2 and systemd, in qemu without KVM
    VmTrial,
}

/// Runs `cargo xtask lab`.
///
/// # Errors
/// When the host cannot run labs, or something on it fails.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if let Action::Bundle = args.action {
        say::result(bundle::directory()?.display());
        return Ok(ExitCode::SUCCESS);
    }
    if let Action::VmTrial = args.action {
        vm::trial(&test_program()?, &TRIED_IN_VM)?;
        return Ok(ExitCode::SUCCESS);
    }
    let lab = Lab::open(&args.prefix)?;
    match &args.action {
        Action::Up { machines } if machines.is_empty() => lab.up(&Machine::CONTROL_PLANE)?,
        Action::Up { machines } => lab.up(machines)?,
        Action::Down => lab.down()?,
        Action::Status => say::result(table(&lab)?),
        Action::Ssh { machine, command } => {
            let mut ssh = lab.ssh_command(*machine);
            if command.is_empty() {
                ssh.arg("-t");
            }
            return Err(ssh.args(command).exec().into());
        }
        Action::Run { place, command } => {
            ensure_running(&lab, *place)?;
            let (program, rest) = command.split_first().expect("clap requires one");
            return Err(lab.command_in(*place, program).args(rest).exec().into());
        }
        Action::Kill { machine } => lab.kill(*machine)?,
        Action::Start { machine } => lab.start(*machine)?,
        Action::Cut { machine } => lab.cut(*machine)?,
        Action::Heal { machine } => lab.heal(*machine)?,
        Action::Capture { place, tcpdump } => {
            ensure_running(&lab, *place)?;
            let mut capture = lab.command_in(*place, "tcpdump");
            if tcpdump.is_empty() {
                capture.args(["-i", "any", "-n"]);
            }
            return Err(capture.args(tcpdump).exec().into());
        }
        Action::Bundle | Action::VmTrial => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The program with the lab's scenarios, built.
fn test_program() -> Result<PathBuf> {
    let build = ["test", "-p", "lab-tests", "--test", "lab", "--no-run"];
    let mut build = cargo::command(&build);
    build.arg("--message-format=json-render-diagnostics");
    let messages = cargo::output(build)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "lab")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo did not say where it put the test program")
}

/// What only the names of the scenarios that are tried in the virtual machine contain.
const TRIED_IN_VM: [&str; 6] = [
    "machines_come_up",
    "power_cut_says_no_goodbye",
    "started_machine",
    "cut_cable_is_silent",
    "after_a_crash",
    "lone_kubelet",
];

fn ensure_running(lab: &Lab, place: Place) -> Result<()> {
    ensure!(
        lab.namespace_file(place).exists(),
        "{place} is not up; `cargo xtask lab up` starts a lab"
    );
    Ok(())
}

fn table(lab: &Lab) -> Result<String> {
    let mut text = String::new();
    for one in lab.status()? {
        let power = if one.processes == 0 { "off" } else { "on" };
        let cable = if one.cabled { "in" } else { "out" };
        text.push_str(&format!(
            "{:<4} {:<11} power {power:<3} cable {cable:<3} {:>4} processes {:>5} MiB\n",
            one.machine.to_string(),
            one.machine.address().to_string(),
            one.processes,
            one.memory >> 20,
        ));
    }
    if text.is_empty() {
        text.push_str("this lab has no machines; `cargo xtask lab up` starts some");
    }
    Ok(text.trim_end().to_owned())
}
