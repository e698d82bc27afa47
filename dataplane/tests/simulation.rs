//! Speakers in virtual time: one seed is one story.
//!
//! `LBNODE_TEST_FULL=1 cargo test --profile lab -p dataplane --test simulation` tells a hundred thousand stories, as
//! `cargo xtask test --full` does; `SIMULATION_SEEDS=1000` tells that many, and `SIMULATION_SEED=17` one in full.

use std::{env, ops::Range, thread, time::Instant};

use dataplane::simulation::{Flaw, Script, Summary, Violation, follow, run, run_in_full};

/// Stories of an ordinary run.
const SEEDS: u64 = 400;
/// Stories of a full one.
const ALL_SEEDS: u64 = 100_000;

#[expect(
    clippy::disallowed_methods,
    reason = "the simulation needs some instant to count from"
)]
fn start() -> Instant {
    Instant::now()
}

fn number(name: &str) -> Option<u64> {
    env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

/// Tells all stories, on all processors; the violation of the lowest seed.
fn tell(seeds: Range<u64>, flaw: Option<Flaw>) -> Result<Vec<Summary>, Violation> {
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let start = start();
    let results: Vec<Result<Vec<Summary>, Violation>> = thread::scope(|scope| {
        let one = |worker| {
            let mine = seeds.clone().skip(worker).step_by(workers);
            scope.spawn(move || mine.map(|seed| run(seed, flaw, start)).collect())
        };
        let threads: Vec<_> = (0..workers).map(one).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no story panics"))
            .collect()
    });
    let mut summaries = Vec::new();
    let mut first: Option<Violation> = None;
    for result in results {
        match result {
            Ok(mine) => summaries.extend(mine),
            Err(violation) => {
                if first
                    .as_ref()
                    .is_none_or(|other| violation.seed < other.seed)
                {
                    first = Some(violation);
                }
            }
        }
    }
    first.map_or(Ok(summaries), Err)
}

#[test]
fn no_story_ends_badly() {
    if let Some(seed) = number("SIMULATION_SEED") {
        run_in_full(seed, None, start()).unwrap_or_else(|violation| panic!("{violation}"));
        return;
    }
    let full = env::var_os("LBNODE_TEST_FULL").is_some();
    let usual = if full { ALL_SEEDS } else { SEEDS };
    let seeds = 0..number("SIMULATION_SEEDS").unwrap_or(usual);
    let begun = start();
    let summaries = tell(seeds, None).unwrap_or_else(|violation| panic!("{violation}"));
    let sum = |of: fn(&Summary) -> u64| summaries.iter().map(of).sum::<u64>();
    println!(
        "{} stories, {} episodes, {} datagrams, {} moves, {:.1} s",
        summaries.len(),
        sum(|one| one.episodes.into()),
        sum(|one| one.datagrams),
        sum(|one| one.moves),
        begun.elapsed().as_secs_f64(),
    );
}

#[test]
fn every_flaw_is_caught() {
    for flaw in [
        Flaw::NoHoldOff,
        Flaw::NoFreezeCheck,
        Flaw::NoLastWord,
        Flaw::NoTerms,
        Flaw::NoLinkCheck,
        Flaw::NoOverlap,
        Flaw::NoAcquaintance,
        Flaw::NoGreeting,
    ] {
        let told = tell(0..SEEDS, Some(flaw)).map(|stories| stories.len());
        let violation = told.expect_err(&format!("{flaw:?} went unnoticed"));
        println!("{flaw:?}: {violation}");
    }
}

/// What only some of a hundred thousand seeds come across, and what each node has to do about it.
#[test]
fn every_script_ends_well_and_catches_its_flaw() {
    const LUCK: Range<u64> = 0..40;
    for (script, flaw) in [
        (Script::DeafAfterRestart, Flaw::NoForgetting),
        (Script::DeafAfterReplug, Flaw::NoContinuity),
        (Script::HearingAgain, Flaw::NoLastWord),
        (Script::LastWord, Flaw::NoObjection),
    ] {
        for seed in LUCK {
            if let Err(violation) = follow(script, seed, None, start()) {
                panic!("{script:?}: {violation}");
            }
        }
        let caught = LUCK.filter_map(|seed| follow(script, seed, Some(flaw), start()).err());
        let caught: Vec<_> = caught.collect();
        println!(
            "{script:?}: {flaw:?} is caught by {} of {LUCK:?}",
            caught.len()
        );
        let violation = caught.first();
        println!(
            "{}",
            violation.unwrap_or_else(|| panic!("{script:?}: {flaw:?} went unnoticed"))
        );
    }
}
