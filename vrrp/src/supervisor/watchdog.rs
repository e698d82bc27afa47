//! Judges by its beats whether the router runs, and what is to be done when it does not.
//!
//! A router that owns addresses and goes silent keeps them for as long as its peers wait (they would be
//! missed), and loses them as soon as a successor speaks (nobody may answer for them twice), or when every
//! peer must have taken over.

use std::time::Duration;

use crate::proto::Moment;

/// What the beats of a router say about it.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    owning: Option<Owning>,
}

#[derive(Debug, Clone, Copy)]
struct Owning {
    beaten_at: Moment,
    patience: Duration,
    renewed_at: Moment,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// Nothing before the moment, if there is one.
    Wait(Option<Moment>),
    /// Renew the addresses, listen for a successor; look again at the moment.
    Hold { renew: bool, until: Moment },
    /// Take the addresses away.
    Fence,
}

/// A silence that a busy machine may produce; addresses last two seconds without renewal.
const SUSPICIOUS: Duration = Duration::from_millis(900);
const RENEWAL: Duration = Duration::from_millis(500);
/// After the longest patience of any peer, for the way and a late start.
const MARGIN: Duration = Duration::from_millis(300);

impl Watchdog {
    /// A beat: how long the peers wait for this router, or that it owns nothing.
    pub(super) fn beat(&mut self, now: Moment, patience: Option<Duration>) {
        self.owning = patience.map(|patience| Owning {
            beaten_at: now,
            patience,
            renewed_at: now,
        });
    }

    /// The addresses are gone.
    pub(super) fn fenced(&mut self) {
        self.owning = None;
    }

    /// Whether the peers may have taken over, so that a successor is to be listened for.
    pub(super) fn expects_successor(&self, now: Moment) -> bool {
        self.owning
            .is_some_and(|owning| now.since(owning.beaten_at) >= owning.patience * 4 / 5)
    }

    /// What is to be done.
    pub(super) fn duty(&mut self, now: Moment) -> Duty {
        let Some(owning) = &mut self.owning else {
            return Duty::Wait(None);
        };
        let silent = now.since(owning.beaten_at);
        // The shortest patience is three intervals and nearly no skew, the longest four.
        let longest = owning.patience * 4 / 3 + MARGIN;
        let listen_from = owning.patience * 4 / 5;
        if silent >= longest {
            return Duty::Fence;
        }
        let first = SUSPICIOUS.min(listen_from);
        if silent < first {
            return Duty::Wait(Some(owning.beaten_at.after(first)));
        }
        let renew = silent >= SUSPICIOUS && now.since(owning.renewed_at) >= RENEWAL;
        if renew {
            owning.renewed_at = now;
        }
        let end = owning.beaten_at.after(longest);
        Duty::Hold {
            renew,
            until: end.min(now.after(RENEWAL)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(millis: u32) -> Moment {
        Moment::ZERO.after(MS * 10_000 + MS * millis)
    }

    #[test]
    fn a_router_that_owns_nothing_may_be_silent() {
        let mut watchdog = Watchdog::default();
        watchdog.beat(at(0), None);
        assert_eq!(watchdog.duty(at(60_000)), Duty::Wait(None));
    }

    #[test]
    fn at_short_intervals_it_listens_before_the_peers_act_and_fences_after_the_last_of_them() {
        let mut watchdog = Watchdog::default();
        watchdog.beat(at(0), Some(MS * 300));
        assert_eq!(watchdog.duty(at(100)), Duty::Wait(Some(at(240))));
        assert!(!watchdog.expects_successor(at(239)));
        assert!(watchdog.expects_successor(at(240)));
        assert_eq!(
            watchdog.duty(at(240)),
            Duty::Hold {
                renew: false,
                until: at(700)
            }
        );
        assert_eq!(watchdog.duty(at(700)), Duty::Fence);
        watchdog.fenced();
        assert_eq!(watchdog.duty(at(701)), Duty::Wait(None));
    }

    #[test]
    fn at_long_intervals_the_addresses_are_renewed_until_somebody_can_have_them() {
        let mut watchdog = Watchdog::default();
        watchdog.beat(at(0), Some(MS * 3008));
        let mut renewals = 0;
        let mut now = at(900);
        loop {
            match watchdog.duty(now) {
                Duty::Hold { renew, until } => {
                    renewals += u32::from(renew);
                    now = until;
                }
                Duty::Fence => break,
                Duty::Wait(_) => panic!("it is silent"),
            }
        }
        assert!(renewals >= 6, "{renewals}");
        assert!(now.since(at(0)) > MS * 4000 && now.since(at(0)) < MS * 4400);
    }

    #[test]
    fn a_beat_ends_the_suspicion() {
        let mut watchdog = Watchdog::default();
        watchdog.beat(at(0), Some(MS * 300));
        watchdog.beat(at(290), Some(MS * 300));
        assert_eq!(watchdog.duty(at(300)), Duty::Wait(Some(at(530))));
    }
}
