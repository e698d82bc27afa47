//! Has the machines try the load balancer of somebody else; what is tried and what it means is decided in
//! `crate::core::preflight::front`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use cluster_config::probe::FrontReport;
use futures::future::join_all;

use super::fleet::Fleet;
use super::interrupt::Interrupt;
use super::probe::{FAREWELL, ask, bring, last_words, run_number};
use crate::core::preflight::front::{Front, Round, Station};
use crate::core::preflight::network::Answers;
use crate::lbnode::Lbnode;
use crate::remote::{Held, Hold};
use crate::script;

/// So long a round lasts at most: health checks of a load balancer need some seconds to see who has come and gone.
const WAIT: Duration = Duration::from_secs(30);
/// A stand-in whose caller is cut off ends by itself.
const SECONDS: u64 = 90;

/// Plays all rounds. An interrupt keeps further ones from being begun.
pub async fn try_front(
    fleet: &Fleet<'_>,
    front: &mut Front,
    lbnode: &Lbnode,
    interrupt: &Interrupt,
) {
    let run = format!("{:016x}", run_number());
    let asked = front
        .stations
        .iter()
        .map(|one| (one.address, one.installed));
    let mut held = BTreeMap::new();
    let mut troubles = BTreeMap::new();
    for (address, outcome) in bring(fleet, &run, lbnode, asked.collect()).await {
        match outcome {
            Ok(program) => drop(held.insert(address, program)),
            Err(why) => drop(troubles.insert(address, why)),
        }
    }
    while let Some(round) = front.next_round() {
        if interrupt.asked() {
            break;
        }
        let answers = play(fleet, front, &round, &run, &troubles).await;
        front.handle(round, answers);
    }
    let leaving = join_all(held.into_values().map(Held::release));
    // What does not end now ends by itself.
    tokio::time::timeout(FAREWELL, leaving).await.ok();
}

/// `troubles`: of machines that have no program.
async fn play(
    fleet: &Fleet<'_>,
    front: &Front,
    round: &Round,
    run: &str,
    troubles: &BTreeMap<IpAddr, String>,
) -> Answers<FrontReport> {
    let places = round.stand_ins.iter().zip(&round.listen);
    let standing = places.map(|(address, listen)| stand_in(fleet, *address, *listen, run));
    let mut held = Vec::new();
    let mut absent = BTreeMap::new();
    for (address, outcome) in round.stand_ins.iter().zip(join_all(standing).await) {
        match outcome {
            Ok(stand_in) => held.push(stand_in),
            Err(why) => drop(absent.insert(*address, why)),
        }
    }
    let looking = front.stations.iter().map(|one| async {
        let known = troubles
            .get(&one.address)
            .or_else(|| absent.get(&one.address));
        let answer = match known {
            Some(why) => Err(why.clone()),
            None => look(fleet, front, round, one, run).await,
        };
        (one.address, answer)
    });
    let answers = join_all(looking).await.into_iter().collect();
    let leaving = join_all(held.into_iter().map(Held::release));
    tokio::time::timeout(FAREWELL, leaving).await.ok();
    answers
}

async fn stand_in(
    fleet: &Fleet<'_>,
    address: IpAddr,
    listen: SocketAddr,
    run: &str,
) -> Result<Held, String> {
    let words = [
        "stand-in",
        "--listen",
        &listen.to_string(),
        "--run",
        run,
        "--seconds",
    ];
    let mut words: Vec<String> = words.map(str::to_owned).into();
    words.push(SECONDS.to_string());
    let script = script::probe("probe-stand-in", run, &words);
    let title = format!("listen on {listen} in place of the API server");
    match fleet.machine(address).hold(&script, &title).await {
        Ok(Hold::Held(stand_in)) => Ok(stand_in),
        Ok(Hold::Ended(output)) => Err(last_words(&output)),
        Err(failure) => Err(failure.to_string()),
    }
}

async fn look(
    fleet: &Fleet<'_>,
    front: &Front,
    round: &Round,
    one: &Station,
    run: &str,
) -> Result<FrontReport, String> {
    let target = front.target.to_string();
    let words = ["front", "--target", &target, "--run", run, "--wait-millis"];
    let mut words: Vec<String> = words.map(str::to_owned).into();
    words.push(WAIT.as_millis().to_string());
    for listen in &round.listen {
        words.extend(["--wanted".to_owned(), listen.ip().to_string()]);
    }
    let script = script::probe("probe-front", run, &words).timeout(2 * WAIT);
    let title = format!("connect to {target} again and again");
    ask(fleet, one.address, &script, &title).await
}
