//! Replay window: each sequence number once, and none that is too old (RFC 4303 §3.4.3).

/// How far back an overtaken datagram may be.
const WINDOW: u64 = 64;

/// Which sequence numbers were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayWindow {
    highest: u64,
    /// Bit n: `highest - n` was seen.
    seen: u64,
}

impl ReplayWindow {
    /// A window in which everything before `sequence` counts as seen.
    pub const fn before(sequence: u64) -> Self {
        Self {
            highest: sequence.saturating_sub(1),
            seen: u64::MAX,
        }
    }

    /// Whether `sequence` is fresh; from now on it is not. Sequence numbers start at 1.
    pub const fn admit(&mut self, sequence: u64) -> bool {
        if sequence > self.highest {
            let ahead = sequence - self.highest;
            self.seen = if ahead >= WINDOW {
                1
            } else {
                self.seen << ahead | 1
            };
            self.highest = sequence;
            return true;
        }
        let behind = self.highest - sequence;
        if sequence == 0 || behind >= WINDOW || self.seen & (1 << behind) != 0 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_passes_once_in_any_order_within_the_window() {
        let mut window = ReplayWindow::default();
        for sequence in [1, 3, 2, 70, 7, 69] {
            assert!(window.admit(sequence), "{sequence}");
            assert!(!window.admit(sequence), "{sequence} twice");
        }
        assert!(!window.admit(6), "too old");
        assert!(!window.admit(0));
        assert!(window.admit(u64::MAX));
        assert!(!window.admit(70));
    }
}
