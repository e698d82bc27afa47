//! What a fault looked like to a client.

use std::fmt;
use std::time::{Duration, Instant};

use super::Report;
use super::report::count;
use crate::figures::milliseconds;

/// What a client saw of a fault.
#[derive(Debug, Clone)]
pub struct Impression {
    /// From the fault to the first failed attempt.
    pub first_failure: Duration,
    /// From the fault to the last failed attempt.
    pub last_failure: Duration,
    /// The longest time between two successes.
    pub longest_gap: Duration,
    /// How many of [`Self::attempts`] failed.
    pub failed: usize,
    /// Attempts that were not over before the fault.
    pub attempts: usize,
    /// How often which reason was seen.
    pub reasons: String,
    /// How late the client was itself at worst.
    pub lateness: Duration,
}

impl Impression {
    /// Of a fault at this instant.
    pub fn new(report: &Report, fault: Instant) -> Self {
        let seen = count(report.after(fault));
        let reasons = seen.iter().map(|(why, count)| format!("{count} x {why}"));
        Self {
            first_failure: report.first_failure(fault),
            last_failure: report.last_failure(fault),
            longest_gap: report.longest_gap(),
            failed: seen.values().sum(),
            attempts: report.after(fault).count(),
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
            let first = milliseconds(self.first_failure);
            write!(f, " ({}; the first after {first:.0} ms)", self.reasons)?;
        }
        write!(
            f,
            ", client at most {:.0} ms late",
            milliseconds(self.lateness)
        )
    }
}
