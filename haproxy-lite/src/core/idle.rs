//! How long a session may be silent.

use std::time::Duration;

use super::termination::Termination;

/// Silence that ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// With both directions open.
    pub(crate) tunnel: Duration,
    /// After one side has finished.
    pub(crate) half_closed: Duration,
}

impl Patience {
    /// Why a session ends that has been silent for so long, if it does.
    pub(crate) fn verdict(self, silent: Duration, half_closed: bool) -> Option<Termination> {
        if half_closed && silent >= self.half_closed {
            Some(Termination::HalfClosedTooLong)
        } else if silent >= self.tunnel {
            Some(Termination::Idle)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_lives_just_short_of_four_hours_and_dies_after() {
        let patience = Patience {
            tunnel: Duration::from_secs(4 * 3600),
            half_closed: Duration::from_secs(10),
        };
        let minutes = |m: u64| Duration::from_secs(m * 60);
        assert_eq!(patience.verdict(minutes(3 * 60 + 59), false), None);
        assert_eq!(
            patience.verdict(minutes(4 * 60 + 1), false),
            Some(Termination::Idle)
        );
    }

    #[test]
    fn a_half_closed_session_has_its_own_patience() {
        let patience = Patience {
            tunnel: Duration::from_secs(5),
            half_closed: Duration::from_secs(10),
        };
        let seconds = Duration::from_secs;
        assert_eq!(patience.verdict(seconds(4), true), None);
        assert_eq!(patience.verdict(seconds(6), true), Some(Termination::Idle));
        assert_eq!(
            patience.verdict(seconds(10), true),
            Some(Termination::HalfClosedTooLong)
        );
    }
}
