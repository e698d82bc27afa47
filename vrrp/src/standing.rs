//! Standing back: somebody else has the addresses and is about to stop.
//!
//! While a cluster's load balancer is taken over from another program, routers of ours run already, and wait until nobody
//! answers for the addresses any more. They ask themselves, so that nothing depends on who ends the other one, and when.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use l2::linux::address::LOOPBACK;
use l2::linux::clock::boottime;
use l2::linux::link::Links;
use l2::linux::question::Question;

use crate::config::RouterPlan;
use crate::place::home;

/// What came of asking once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Round {
    /// Nobody answered.
    Silent,
    /// Somebody has an address, in words.
    Taken(String),
    /// It could not be asked.
    Unasked(String),
}

/// Rounds without an answer in a row, after which nobody has the addresses: one may be lost, and the next.
const SILENCE: u32 = 5;
/// Length of a round.
const ROUND: Duration = Duration::from_millis(50);
/// Pause after a round that could not be played.
const REST: Duration = Duration::from_secs(1);

/// Decides when standing back is over; then it is for good.
#[derive(Debug, Clone, Default)]
pub(crate) struct StandBack {
    silent: u32,
    why: String,
}

impl StandBack {
    /// Takes a round.
    pub(crate) fn handle_round(&mut self, round: Round) {
        match round {
            _ if self.is_over() => {}
            Round::Silent => self.silent += 1,
            Round::Taken(why) | Round::Unasked(why) => (self.silent, self.why) = (0, why),
        }
    }

    /// Nobody has the addresses.
    pub(crate) fn is_over(&self) -> bool {
        self.silent >= SILENCE
    }

    /// Why it goes on.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }
}

/// Plays rounds until standing back is over, or `tell` says that nobody listens.
pub(crate) fn play(routers: &[RouterPlan], tell: impl Fn(Round) -> bool) {
    let mut standing = StandBack::default();
    let mut questions = Vec::new();
    loop {
        let end = boottime() + ROUND;
        let round = ask(routers, &mut questions, end);
        let failed = round.is_err();
        let round = round.unwrap_or_else(|error| Round::Unasked(error.to_string()));
        standing.handle_round(round.clone());
        if !tell(round) || standing.is_over() {
            return;
        }
        if failed {
            // The interface may be another one when it is back.
            questions.clear();
            std::thread::sleep(REST);
        } else {
            std::thread::sleep(end.saturating_sub(boottime()));
        }
    }
}

fn ask(
    routers: &[RouterPlan],
    questions: &mut Vec<(IpAddr, Question)>,
    end: Duration,
) -> io::Result<Round> {
    let links = Links::read()?;
    let wanted = || routers.iter().flat_map(|router| &router.addresses);
    for address in wanted() {
        let mut interfaces = links.iter().filter(|one| one.index != LOOPBACK);
        if let Some(interface) = interfaces.find(|one| one.holds(*address)) {
            let text = format!("{address} is on this node's interface {}", interface.name);
            return Ok(Round::Taken(text));
        }
    }
    if questions.is_empty() {
        for router in routers {
            let interface = home(router, &links).filter(|interface| interface.up);
            let interface =
                interface.ok_or_else(|| io::Error::other("its interface is not there or down"))?;
            for address in &router.addresses {
                questions.push((*address, Question::open(interface, *address)?));
            }
        }
    }
    for (_, question) in &*questions {
        question.ask()?;
    }
    for (address, question) in &mut *questions {
        if let Some(mac) = question.answer(end)? {
            return Ok(Round::Taken(format!("{mac} answers for {address}")));
        }
    }
    Ok(Round::Silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken() -> Round {
        Round::Taken("02:00:00:00:00:01 answers for 10.0.0.9".to_owned())
    }

    #[test]
    fn it_is_over_after_some_silent_rounds_in_a_row_and_stays_so() {
        let mut standing = StandBack::default();
        for _ in 0..3 {
            for _ in 1..SILENCE {
                standing.handle_round(Round::Silent);
                assert!(!standing.is_over());
            }
            standing.handle_round(taken());
            assert!(standing.why().contains("answers for"));
        }
        for _ in 0..SILENCE {
            assert!(!standing.is_over());
            standing.handle_round(Round::Silent);
        }
        assert!(standing.is_over());
        standing.handle_round(taken());
        assert!(standing.is_over(), "whoever answers now is one of us");
    }

    #[test]
    fn what_could_not_be_asked_is_no_silence() {
        let mut standing = StandBack::default();
        for _ in 0..SILENCE - 1 {
            standing.handle_round(Round::Silent);
        }
        standing.handle_round(Round::Unasked("no such device".to_owned()));
        standing.handle_round(Round::Silent);
        assert!(!standing.is_over());
        assert_eq!(standing.why(), "no such device");
    }
}
