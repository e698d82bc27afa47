//! What a fault looked like to a client.

use std::fmt;
use std::time::{Duration, Instant};

use super::Report;
use crate::figures::milliseconds;

/// What a client saw of a fault.
#[derive(Debug, Clone)]
pub struct Impression {
    /// From the fault to the last failed attempt.
    pub last_failure: Duration,
    /// The longest time between two successes.
    pub longest_gap: Duration,
    /// Failed attempts.
    pub failed: usize,
    /// All attempts.
    pub attempts: usize,
    /// How often which reason was seen after the fault.
    pub reasons: String,
    /// How late the client was itself at worst.
    pub lateness: Duration,
}

impl Impression {
    /// Of a fault at this instant.
    pub fn new(report: &Report, fault: Instant) -> Self {
        let reasons = report.reasons_after(fault);
        let reasons = reasons
            .iter()
            .map(|(why, count)| format!("{count} x {why}"));
        Self {
            last_failure: report.last_failure(fault),
            longest_gap: report.longest_gap(),
            failed: report.failed(),
            attempts: report.attempts().len(),
            reasons: reasons.collect::<Vec<_>>().join(", "),
            lateness: report.lateness(),
        }
    }
}

impl fmt::Display for Impression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "last failure after {:.0} ms, longest gap {:.0} ms, {} of {} failed",
            milliseconds(self.last_failure),
            milliseconds(self.longest_gap),
            self.failed,
            self.attempts,
        )?;
        if !self.reasons.is_empty() {
            write!(f, " ({})", self.reasons)?;
        }
        write!(
            f,
            ", client at most {:.0} ms late",
            milliseconds(self.lateness)
        )
    }
}
