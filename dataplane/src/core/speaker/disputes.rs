//! Another speaker tells the neighbours that it has what this node has.
//!
//! Mostly it has taken over, or is about to give in, and the heartbeats say so. But it may also be cut off right after
//! its announcement, before anybody heard a heartbeat of it: then its neighbours believe somebody who is gone. So what
//! is still here when the patience is over is announced once more.
//!
//! Who says it again although it was answered goes on having it. If no heartbeat of it is heard all the while, the two
//! hear each other's announcements only, and neither knows that it has to give in: that is an alarm.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// Between two answers for one address: nodes that hear each other's announcements and not each other's heartbeats
/// must not fight without end (RFC 5227 §2.4 c).
const PAUSE: Duration = Duration::from_secs(10);
/// A word so long after the answer belongs to another story: a node that took over, and was gone at once.
const INSISTENCE: Duration = Duration::from_secs(60);

/// What other speakers say that they have, of what is here.
#[derive(Debug, Clone, Default)]
pub(super) struct Disputes {
    addresses: BTreeMap<IpAddr, Dispute>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Dispute {
    due: Option<Instant>,
    answered: Option<Instant>,
}

impl Disputes {
    /// Another speaker says that it has `address`; it is answered after the patience. Returns whether it was
    /// answered before, and insists.
    pub(super) fn open(&mut self, now: Instant, address: IpAddr, patience: Duration) -> bool {
        let dispute = self.addresses.entry(address).or_default();
        let rested = dispute.answered.map(|at| at + PAUSE);
        dispute.due = rested.max(Some(now + patience));
        dispute.answered.is_some_and(|at| now < at + INSISTENCE)
    }

    /// `address` is not here any more.
    pub(super) fn close(&mut self, address: IpAddr) {
        self.addresses.remove(&address);
    }

    /// The addresses to announce once more.
    pub(super) fn poll(&mut self, now: Instant) -> Vec<IpAddr> {
        let mut due = Vec::new();
        for (address, dispute) in &mut self.addresses {
            if dispute.due.take_if(|at| now >= *at).is_some() {
                dispute.answered = Some(now);
                due.push(*address);
            }
        }
        due
    }

    /// When the next one is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.addresses
            .values()
            .filter_map(|dispute| dispute.due)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples::start;

    const PATIENCE: Duration = Duration::from_millis(800);
    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

    #[test]
    fn the_last_word_of_another_is_answered_after_the_patience() {
        let mut disputes = Disputes::default();
        disputes.open(start(), ADDRESS, PATIENCE);
        let last = start() + Duration::from_millis(500);
        disputes.open(last, ADDRESS, PATIENCE);
        assert_eq!(disputes.poll_timeout(), Some(last + PATIENCE));
        assert_eq!(disputes.poll(start() + PATIENCE), [] as [IpAddr; 0]);
        assert_eq!(disputes.poll(last + PATIENCE), [ADDRESS]);
        assert_eq!(disputes.poll_timeout(), None);
    }

    #[test]
    fn two_that_answer_each_other_do_so_every_ten_seconds() {
        let mut disputes = Disputes::default();
        let mut answers = 0;
        for step in 0..1000 {
            let now = start() + Duration::from_millis(100) * step;
            if step % 20 == 0 {
                disputes.open(now, ADDRESS, PATIENCE);
            }
            answers += disputes.poll(now).len();
        }
        assert!((5..=10).contains(&answers), "{answers} in 100 s");
    }

    #[test]
    fn who_says_it_again_after_an_answer_insists_for_a_while() {
        let mut disputes = Disputes::default();
        assert!(!disputes.open(start(), ADDRESS, PATIENCE));
        let again = start() + PATIENCE / 2;
        assert!(!disputes.open(again, ADDRESS, PATIENCE), "not answered yet");
        let answered = again + PATIENCE;
        assert_eq!(disputes.poll(answered), [ADDRESS]);
        for (after, insists) in [(1, true), (59, true), (60, false)] {
            let now = answered + Duration::from_secs(after);
            let found = disputes.open(now, ADDRESS, PATIENCE);
            assert_eq!(found, insists, "{after} s after the answer");
        }
    }

    #[test]
    fn what_is_gone_is_not_answered_for() {
        let mut disputes = Disputes::default();
        disputes.open(start(), ADDRESS, PATIENCE);
        disputes.close(ADDRESS);
        assert_eq!(disputes.poll_timeout(), None);
        assert_eq!(disputes.poll(start() + PATIENCE), [] as [IpAddr; 0]);
    }
}
