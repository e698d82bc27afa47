//! Has the machines look at the network, with a program that is brought along and taken away again.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use cluster_config::probe::{ReachReport, SegmentReport, VipReport};
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;
use serde::de::DeserializeOwned;

use super::CONCURRENCY;
use super::fleet::Fleet;
use super::interrupt::Interrupt;
use crate::core::preflight::network::{
    Answers, Judgement, Participant, Reached, Reacher, Round, Survey, Vip,
};
use crate::lbnode::Lbnode;
use crate::remote::{Held, Hold, Input, Output, Script};
use crate::script;

/// Longest wait until a machine has taken its program away.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);
/// A gateway that will not bring packets is waited for this long by each node.
const REACH_MILLIS: u32 = 1_200;
/// A claim whose caller is cut off ends by itself.
const CLAIM_SECONDS: u32 = 30;

/// A number that no other run has.
pub fn run_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Asks what the survey wants to know, and judges it. An interrupt keeps further rounds from being begun.
pub async fn probe_network(
    fleet: &Fleet<'_>,
    survey: &Survey,
    lbnode: &Lbnode,
    interrupt: &Interrupt,
) -> Judgement {
    let mut judgement = Judgement::default();
    if survey.is_empty() {
        return judgement;
    }
    let run = format!("{:016x}", run_number());
    let probes = Probes {
        fleet,
        survey,
        run: &run,
    };
    let held = probes.bring(lbnode, &mut judgement).await;
    let brought: Vec<&Participant> = survey
        .participants
        .iter()
        .filter(|one| held.contains_key(&one.address))
        .collect();

    let (seen, asked) = futures::join!(probes.segment(&brought), probes.vips(&brought));
    for (participant, reason) in failures(&brought, &seen) {
        probes.unasked(participant, reason, &mut judgement);
    }
    judgement.extend(survey.judge_segment(&seen));
    for vip in &survey.vips {
        if let Some(answers) = asked.get(&vip.address) {
            judgement.extend(survey.judge_vip(vip, answers));
        }
    }

    let mut rounds = Vec::new();
    for round in survey.rounds(&asked, &seen) {
        let present = |address: &IpAddr| held.contains_key(address);
        if interrupt.asked() || !present(&round.claimant) {
            continue;
        }
        rounds.push(probes.play(round, present).await);
    }
    judgement.extend(survey.judge_claims(&rounds));

    let leaving = join_all(held.into_values().map(Held::release));
    // What does not end now ends by itself.
    tokio::time::timeout(FAREWELL, leaving).await.ok();
    judgement
}

struct Probes<'a> {
    fleet: &'a Fleet<'a>,
    survey: &'a Survey,
    run: &'a str,
}

impl Probes<'_> {
    /// Brings the program to all that are asked, several at a time.
    async fn bring(&self, lbnode: &Lbnode, judgement: &mut Judgement) -> BTreeMap<IpAddr, Held> {
        let asked = self.survey.asked().map(|one| (one.address, one.installed));
        let mut held = BTreeMap::new();
        for (address, outcome) in bring(self.fleet, self.run, lbnode, asked.collect()).await {
            match (outcome, self.survey.participant(address)) {
                (Ok(program), _) => drop(held.insert(address, program)),
                (Err(why), Some(one)) => self.unasked(one, &why, judgement),
                (Err(_), None) => {}
            }
        }
        held
    }

    /// All at the same time: they listen to each other.
    async fn segment(&self, brought: &[&Participant]) -> Answers<SegmentReport> {
        if !self.survey.together {
            return Answers::new();
        }
        let looking = brought.iter().map(|one| async move {
            let plan = serde_json::to_vec(&one.plan).unwrap_or_default();
            let script = script::probe("probe-segment", self.run, &["segment".to_owned()])
                .input(Input::Bytes(plan.into()));
            let title = "look at the segment with the other nodes";
            (one.address, self.ask(one.address, &script, title).await)
        });
        join_all(looking).await.into_iter().collect()
    }

    /// By virtual IP, then by machine.
    async fn vips(&self, brought: &[&Participant]) -> BTreeMap<IpAddr, Answers<VipReport>> {
        let questions = self.survey.vips.iter().flat_map(|vip| {
            let carriers = brought
                .iter()
                .filter(move |one| vip.carriers.contains(&one.address));
            carriers.map(move |one| (vip, *one))
        });
        let asking = questions.map(|(vip, one)| async move {
            let answer = self.ask_vip(vip, one).await;
            (vip.address, one.address, answer)
        });
        let mut answers: BTreeMap<IpAddr, Answers<VipReport>> = BTreeMap::new();
        for (vip, address, answer) in join_all(asking).await {
            answers.entry(vip).or_default().insert(address, answer);
        }
        answers
    }

    async fn ask_vip(&self, vip: &Vip, one: &Participant) -> Result<VipReport, String> {
        let words = [vec!["vip".to_owned()], one.place(vip.address)].concat();
        let script = script::probe("probe-vip", self.run, &words);
        let title = format!("ask who has {}", vip.address);
        self.ask(one.address, &script, &title).await
    }

    /// One node claims an address, the others try to reach it there.
    async fn play(&self, round: Round, present: impl Fn(&IpAddr) -> bool) -> Reached {
        let answers = match self.claim(&round).await {
            Ok(claim) => {
                let reachers = round.reachers.iter().filter(|one| present(&one.address));
                let reaching = reachers.map(|reacher| self.reach(&round, reacher));
                let answers = join_all(reaching).await.into_iter().collect();
                tokio::time::timeout(FAREWELL, claim.release()).await.ok();
                Ok(answers)
            }
            Err(reason) => Err(reason),
        };
        Reached { round, answers }
    }

    async fn claim(&self, round: &Round) -> Result<Held, String> {
        let claimant = self.participant(round.claimant)?;
        let mut words = [vec!["claim".to_owned()], claimant.place(round.vip.into())].concat();
        words.extend(["--seconds".to_owned(), CLAIM_SECONDS.to_string()]);
        let script = script::probe("probe-claim", self.run, &words);
        let title = format!("announce {} for a moment", round.vip);
        let machine = self.fleet.machine(round.claimant);
        match machine.hold(&script, &title).await {
            Ok(Hold::Held(claim)) => Ok(claim),
            Ok(Hold::Ended(output)) => Err(last_words(&output)),
            Err(failure) => Err(failure.to_string()),
        }
    }

    async fn reach(
        &self,
        round: &Round,
        reacher: &Reacher,
    ) -> (IpAddr, Result<ReachReport, String>) {
        let answer = match self.participant(reacher.address) {
            Ok(one) => {
                let mut words = [vec!["reach".to_owned()], one.place(round.vip.into())].concat();
                words.extend(["--wait-millis".to_owned(), REACH_MILLIS.to_string()]);
                if let Some(gateway) = reacher.gateway {
                    words.extend(["--gateway".to_owned(), gateway.to_string()]);
                }
                if reacher.only_gateway {
                    words.push("--only-gateway".to_owned());
                }
                let script = script::probe("probe-reach", self.run, &words);
                let title = format!("try to reach {} at {}", round.vip, round.claimant);
                self.ask(reacher.address, &script, &title).await
            }
            Err(reason) => Err(reason),
        };
        (reacher.address, answer)
    }

    fn participant(&self, address: IpAddr) -> Result<&Participant, String> {
        let participant = self.survey.participant(address);
        participant.ok_or_else(|| format!("{address} takes no part"))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        address: IpAddr,
        script: &Script,
        title: &str,
    ) -> Result<T, String> {
        ask(self.fleet, address, script, title).await
    }

    fn unasked(&self, participant: &Participant, reason: &str, judgement: &mut Judgement) {
        let log = self.fleet.machine(participant.address).log().path();
        judgement.unasked(participant, reason, &log.display().to_string());
    }
}

/// Brings the program to machines, several at a time. `asked`: where it is installed already.
pub(super) async fn bring(
    fleet: &Fleet<'_>,
    run: &str,
    lbnode: &Lbnode,
    asked: Vec<(IpAddr, bool)>,
) -> Vec<(IpAddr, Result<Held, String>)> {
    let size = std::fs::metadata(&lbnode.path).map_or(1, |file| file.len());
    let bringing = asked.into_iter().map(|(address, installed)| async move {
        let size = if installed { 0 } else { size };
        let script = script::bring_probe(run, lbnode.path.clone(), &lbnode.sha256, size);
        let machine = fleet.machine(address);
        let outcome = match machine.hold(&script, "bring lbnode for probes").await {
            Ok(Hold::Held(program)) => Ok(program),
            Ok(Hold::Ended(output)) => Err(last_words(&output)),
            Err(failure) => Err(failure.to_string()),
        };
        (address, outcome)
    });
    stream::iter(bringing)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await
}

/// Runs a probe and reads the line of JSON that it prints.
pub(super) async fn ask<T: DeserializeOwned>(
    fleet: &Fleet<'_>,
    address: IpAddr,
    script: &Script,
    title: &str,
) -> Result<T, String> {
    let outcome = fleet.machine(address).run(script, title).await;
    let output = outcome.map_err(|failure| failure.to_string())?;
    let line = output.stdout.lines().rfind(|line| line.starts_with('{'));
    let report = line.and_then(|line| serde_json::from_str(line).ok());
    report.ok_or_else(|| last_words(&output))
}

fn failures<'a, T>(
    brought: &[&'a Participant],
    answers: &'a Answers<T>,
) -> Vec<(&'a Participant, &'a str)> {
    let failed = brought.iter().filter_map(|one| {
        let reason = answers.get(&one.address)?.as_ref().err()?;
        Some((*one, reason.as_str()))
    });
    failed.collect()
}

pub(super) fn last_words(output: &Output) -> String {
    let words = format!("{}{}", output.stdout, output.stderr);
    let last = words.lines().rfind(|line| !line.trim().is_empty());
    last.unwrap_or("no answer from `lbnode probe`").to_owned()
}
