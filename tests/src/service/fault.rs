//! What can happen to the node that answers for a Service's address, or to its speaker.

use std::fmt;

use anyhow::Result;

use super::Contestant;
use crate::cluster::Cluster;
use crate::roster::Machine;

/// A fault, or a planned change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No power: off the network, all processes gone.
    PowerCut,
    /// No network.
    CableCut,
    /// The speaker is gone without a word (SIGKILL).
    SpeakerKilled,
    /// The speaker stands still (SIGSTOP): its sockets are there and nobody reads them.
    SpeakerStopped,
    /// The speaker is told to end (SIGTERM).
    SpeakerEnded,
    /// `kubectl drain` of the node.
    Drained,
    /// The node loses the label of load-balancer nodes.
    Unlabelled,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::PowerCut,
        Self::CableCut,
        Self::SpeakerKilled,
        Self::SpeakerStopped,
        Self::SpeakerEnded,
        Self::Drained,
        Self::Unlabelled,
    ];

    /// Makes it happen.
    ///
    /// # Errors
    /// When the machine or the API cannot be reached.
    pub fn inflict(
        self,
        cluster: &Cluster<'_>,
        contestant: Contestant,
        machine: Machine,
    ) -> Result<()> {
        self.prepare(cluster, contestant, machine)?()
    }

    /// Does all that takes time before it happens; what comes back makes it happen.
    ///
    /// # Errors
    /// When the machine cannot be reached, or has no speaker.
    pub(super) fn prepare<'a>(
        self,
        cluster: &'a Cluster<'a>,
        contestant: Contestant,
        machine: Machine,
    ) -> Result<Prepared<'a>> {
        let signal = |name| -> Result<Prepared<'a>> {
            let ready = contestant.ready_signal(cluster, machine, name)?;
            Ok(Box::new(move || ready.send()))
        };
        let node = machine.to_string();
        Ok(match self {
            Self::PowerCut => Box::new(move || cluster.lab.kill(machine)),
            Self::CableCut => Box::new(move || cluster.lab.cut(machine)),
            Self::SpeakerKilled => signal("KILL")?,
            Self::SpeakerStopped => signal("STOP")?,
            Self::SpeakerEnded => signal("TERM")?,
            Self::Drained => Box::new(move || {
                let words = [
                    "drain",
                    &node,
                    "--ignore-daemonsets",
                    "--delete-emptydir-data",
                    "--force",
                    "--timeout=60s",
                ];
                kubectl(cluster, &words)
            }),
            Self::Unlabelled => {
                Box::new(move || kubectl(cluster, &["label", "node", &node, &format!("{LABEL}-")]))
            }
        })
    }

    /// Brings back what it took.
    ///
    /// # Errors
    /// When the machine or the API cannot be reached.
    pub fn undo(
        self,
        cluster: &Cluster<'_>,
        contestant: Contestant,
        machine: Machine,
    ) -> Result<()> {
        let node = machine.to_string();
        match self {
            Self::PowerCut => cluster.lab.start(machine),
            Self::CableCut => cluster.lab.heal(machine),
            Self::SpeakerKilled | Self::SpeakerEnded => contestant.renew_speaker(cluster, machine),
            Self::SpeakerStopped => contestant.signal_speaker(cluster, machine, "CONT"),
            Self::Drained => kubectl(cluster, &["uncordon", &node]),
            Self::Unlabelled => {
                let label = format!("{LABEL}=true");
                kubectl(cluster, &["label", "node", &node, &label, "--overwrite"])?;
                contestant.wait_for_speaker(cluster, machine, &[])
            }
        }
    }
}

/// A fault that only has to be let go.
pub(super) type Prepared<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerCut => "power_cut",
            Self::CableCut => "cable_cut",
            Self::SpeakerKilled => "speaker_sigkill",
            Self::SpeakerStopped => "speaker_sigstop",
            Self::SpeakerEnded => "sigterm",
            Self::Drained => "drain",
            Self::Unlabelled => "label_removed",
        })
    }
}

fn kubectl(cluster: &Cluster<'_>, words: &[&str]) -> Result<()> {
    cluster.kubectl(words).map(drop)
}

const LABEL: &str = "baremetal.cluster.gke.io/lbnode";
