//! Virtual routers on a virtual segment in virtual time: thousands of histories with loss, delay,
//! duplication, reordering, partitions, drifting clocks, pauses, crashes, restarts and sick nodes.
//!
//! `cargo test -p lab-tests --test sim -- [--seeds N] [--first SEED] [--flaw NAME] [--trace]`
//!
//! A history is made from its seed alone. Without arguments it runs the kept seeds, a thousand others, and
//! shows that each deliberately flawed router is caught.
#![expect(clippy::disallowed_methods, reason = "says how long the run took")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program without a harness"
)]

mod checks;
mod faults;
mod flaw;
mod node;
mod random;
mod world;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use flaw::Flaw;
use world::World;

/// Seeds of histories that once went wrong.
const KEPT: &str = include_str!("regressions.txt");
const SEEDS: u64 = 1000;
const ALL_SEEDS: u64 = 100_000;
/// A flaw must show in one of so many histories.
const FLAW_SEEDS: u64 = 400;
/// Failures that are told in full.
const TOLD: usize = 5;

struct Options {
    seeds: u64,
    first: u64,
    flaw: Option<Flaw>,
    trace: bool,
    list: bool,
    filters: Vec<String>,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|word| name.contains(word))
    }
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(2);
        }
    };
    if options.list {
        println!("vrrp_histories: test");
        return ExitCode::SUCCESS;
    }
    if options.trace {
        let result = World::new(options.first, options.flaw, true).run();
        println!("seed {}: {result:?}", options.first);
        return if result.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let kept: Vec<u64> = KEPT
        .lines()
        .filter_map(|line| line.split('#').next()?.trim().parse().ok())
        .collect();
    let seeds: Vec<u64> = (options.first..options.first + options.seeds).collect();
    let mut good = true;
    for (name, what, seeds) in [
        ("kept_seeds", "kept seeds", kept),
        ("seeds", "seeds", seeds),
    ] {
        if options.wants(name) {
            good &= verdict(name, run(what, &seeds, options.flaw).is_empty());
        }
    }
    if options.flaw.is_none() {
        good &= flaws(&options);
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// One line a test, as every test program prints it.
fn verdict(name: &str, good: bool) -> bool {
    println!("test {name} ... {}", if good { "ok" } else { "FAILED" });
    good
}

/// Whether every flaw is caught.
fn flaws(options: &Options) -> bool {
    let mut good = true;
    for flaw in Flaw::ALL {
        let name = format!("the_flaw_{}_is_caught", flaw.name().replace('-', "_"));
        if !options.wants(&name) {
            continue;
        }
        let caught = (0..FLAW_SEEDS).find_map(|seed| {
            let why = World::new(seed, Some(flaw), false).run().err()?;
            // It is the flaw, not the history.
            let right = World::new(seed, None, false).run().is_ok();
            right.then_some((seed, why))
        });
        match &caught {
            Some((seed, why)) => println!("flaw {}: caught by seed {seed}: {why}", flaw.name()),
            None => println!("flaw {}: NOT caught by {FLAW_SEEDS} seeds", flaw.name()),
        }
        good &= verdict(&name, caught.is_some());
    }
    good
}

fn run(what: &str, seeds: &[u64], flaw: Option<Flaw>) -> Vec<u64> {
    let begin = Instant::now();
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let steps = AtomicU64::new(0);
    let takeovers = AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(seed) = usize::try_from(index).ok().and_then(|at| seeds.get(at))
                    else {
                        return;
                    };
                    match World::new(*seed, flaw, false).run() {
                        Ok(report) => {
                            steps.fetch_add(report.steps, Ordering::Relaxed);
                            takeovers.fetch_add(report.takeovers, Ordering::Relaxed);
                        }
                        Err(why) => {
                            failures
                                .lock()
                                .expect("no panic while it is held")
                                .push((*seed, why));
                        }
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no panic while it is held");
    failures.sort();
    for (seed, why) in failures.iter().take(TOLD) {
        println!("seed {seed}: {why}");
    }
    println!(
        "{} {what}: {} failed, {} take-overs, {} steps, {:.1} s",
        seeds.len(),
        failures.len(),
        takeovers.load(Ordering::Relaxed),
        steps.load(Ordering::Relaxed),
        begin.elapsed().as_secs_f64()
    );
    failures.into_iter().map(|(seed, _)| seed).collect()
}

fn options(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let full = std::env::var_os("LBNODE_TEST_FULL").is_some();
    let mut options = Options {
        seeds: if full { ALL_SEEDS } else { SEEDS },
        first: 1,
        flaw: None,
        trace: false,
        list: false,
        filters: Vec::new(),
    };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let text = arguments
                .next()
                .ok_or_else(|| format!("`{argument}` needs a number"))?;
            text.parse::<u64>()
                .map_err(|_| format!("`{text}` is no number"))
        };
        match argument.as_str() {
            "--seeds" => options.seeds = number()?,
            "--first" => options.first = number()?,
            "--trace" => options.trace = true,
            "--list" => options.list = true,
            "--full" => options.seeds = ALL_SEEDS,
            "--flaw" => {
                let name = arguments.next().unwrap_or_default();
                let names = Flaw::ALL.map(Flaw::name);
                options.flaw = Some(
                    Flaw::ALL
                        .into_iter()
                        .find(|flaw| flaw.name() == name)
                        .ok_or_else(|| {
                            format!("no flaw `{name}`; there are: {}", names.join(", "))
                        })?,
                );
            }
            // What cargo hands to every test program.
            "--nocapture" | "--quiet" | "-q" | "--test-threads=1" => {}
            word if !word.starts_with('-') => options.filters.push(word.to_owned()),
            other => return Err(format!("no option `{other}`")),
        }
    }
    Ok(options)
}
