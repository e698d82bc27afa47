//! A client that pings all the time.

use std::{
    fmt,
    process::{Child, Command, Stdio},
};

use crate::server::Place;

/// Pings all the time and remembers when an answer came.
pub(crate) struct Pinger(Child);

impl Pinger {
    pub(crate) fn start(place: &Place, address: &str) -> Self {
        let mut command = place.command("ping");
        command.args(["-D", "-n", "-i", "0.01", "-W", "0.5", address]);
        Self(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        )
    }

    /// When answers came, in seconds since 1970, and how many questions had none.
    pub(crate) fn stop(self) -> (Vec<f64>, u64) {
        let pid = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
        let output = self.0.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let times = text
            .lines()
            .filter_map(|line| line.strip_prefix('[')?.split_once(']')?.0.parse().ok());
        let summary = text
            .lines()
            .find(|line| line.contains("packets transmitted"))
            .expect("a summary");
        let numbers: Vec<u64> = summary
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        // The last question may still be on its way.
        (
            times.collect(),
            numbers[0].saturating_sub(numbers[1]).saturating_sub(1),
        )
    }
}

/// What was seen of a fault, in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    /// From the fault until answers came again for good; below zero: they never stopped.
    pub(crate) over: f64,
    /// The longest time without an answer.
    pub(crate) gap: f64,
}

impl Outage {
    /// Of a fault at an instant, by when answers came.
    pub(crate) fn after(answers: &[f64], fault: f64) -> Self {
        let pairs = || answers.windows(2).filter(|pair| pair[1] > fault);
        let back = pairs()
            .filter(|pair| pair[1] - pair[0] > 0.05)
            .map(|pair| pair[1])
            .fold(0.0, f64::max);
        Self {
            over: back - fault,
            gap: pairs().map(|pair| pair[1] - pair[0]).fold(0.0, f64::max),
        }
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { over, gap } = self;
        write!(f, "over {over:.3} s after it, longest gap {gap:.3} s")
    }
}
