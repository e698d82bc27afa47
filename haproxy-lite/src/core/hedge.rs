//! How often a second server may be asked.

/// Grants second askings of a TLS hello. Each doubles a handshake's work, and when every server is slow that would
/// make it worse: one for each ten sessions, and twenty at once.
#[derive(Debug)]
pub(crate) struct HedgeBudget {
    tenths: u32,
}

impl Default for HedgeBudget {
    fn default() -> Self {
        Self { tenths: Self::FULL }
    }
}

impl HedgeBudget {
    const FULL: u32 = 200;

    pub(crate) fn session_began(&mut self) {
        self.tenths = (self.tenths + 1).min(Self::FULL);
    }

    pub(crate) fn spend(&mut self) -> bool {
        let enough = self.tenths >= 10;
        if enough {
            self.tenths -= 10;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_at_once_then_one_in_ten() {
        let mut budget = HedgeBudget::default();
        let mut granted = 0;
        for _ in 0..100 {
            granted += u32::from(budget.spend());
        }
        assert_eq!(granted, 20);
        for _ in 0..100 {
            budget.session_began();
            granted += u32::from(budget.spend());
        }
        assert_eq!(granted, 30);
    }
}
