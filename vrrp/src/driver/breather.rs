//! Pauses under a flood: a wake-up for each packet costs the sender and us more than the packet.

use std::time::Duration;

use crate::proto::Moment;

/// Short beside every interval of adverts (10 ms and more); a socket's queue holds the packets of many.
const PAUSE: Duration = Duration::from_millis(1);
/// Packets in so long a time that are no flood.
const USUAL: usize = 32;

/// Counts packets, and says when to let them gather.
#[derive(Debug)]
pub(super) struct Breather {
    since: Moment,
    packets: usize,
}

impl Breather {
    pub(super) const fn new(now: Moment) -> Self {
        Self {
            since: now,
            packets: 0,
        }
    }

    /// How long to pause after a turn that took so many packets.
    pub(super) fn after(&mut self, packets: usize, now: Moment) -> Option<Duration> {
        if now.since(self.since) >= PAUSE {
            *self = Self::new(now);
        }
        self.packets += packets;
        (self.packets > USUAL).then_some(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adverts_of_many_neighbours_are_taken_one_by_one_and_a_flood_is_not() {
        let at = |micros| Moment::ZERO.after(Duration::from_micros(micros));
        let mut breather = Breather::new(at(0));
        for turn in 0..1000 {
            assert_eq!(breather.after(1, at(turn * 50)), None, "20 a millisecond");
        }
        let mut breather = Breather::new(at(0));
        let paused = (0..100).find(|turn| breather.after(1, at(turn * 10)).is_some());
        assert_eq!(paused, Some(32));
        assert_eq!(breather.after(1, at(1_400)), None, "it is over");
    }
}
