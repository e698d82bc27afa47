//! Readiness: every subsystem holds a named latch; the process is ready when all of them say so.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// The latches of a process. Clones share them.
///
/// Without any latch the process is *not* ready: whoever asks before the subsystems have registered
/// must not hear that all is well.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    latches: Arc<Mutex<Vec<Entry>>>,
}

impl Readiness {
    /// No latch yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a latch that is not ready (`starting`) until its holder says otherwise.
    #[must_use]
    pub fn latch(&self, name: impl Into<String>) -> Latch {
        let mut latches = self.latches.lock().unwrap_or_else(PoisonError::into_inner);
        latches.push(Entry {
            name: name.into(),
            missing: Some("starting".to_owned()),
        });
        Latch {
            latches: Arc::clone(&self.latches),
            index: latches.len() - 1,
        }
    }

    /// Whether there is a latch and none is missing.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let latches = self.latches.lock().unwrap_or_else(PoisonError::into_inner);
        !latches.is_empty() && latches.iter().all(|entry| entry.missing.is_none())
    }

    /// What is missing, in the order in which the latches were made; empty when ready.
    #[must_use]
    pub fn missing(&self) -> Vec<Missing> {
        let latches = self.latches.lock().unwrap_or_else(PoisonError::into_inner);
        if latches.is_empty() {
            return vec![Missing {
                name: "process".to_owned(),
                why: "starting".to_owned(),
            }];
        }
        latches
            .iter()
            .filter_map(|entry| {
                let why = entry.missing.clone()?;
                Some(Missing {
                    name: entry.name.clone(),
                    why,
                })
            })
            .collect()
    }
}

/// The handle of one subsystem. Clones speak for the same subsystem; dropping it changes nothing.
#[derive(Debug, Clone)]
pub struct Latch {
    latches: Arc<Mutex<Vec<Entry>>>,
    index: usize,
}

impl Latch {
    /// The subsystem does its work.
    pub fn ready(&self) {
        self.set(None);
    }

    /// The subsystem does not do its work; `why` is shown to people.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.set(Some(why.into()));
    }

    fn set(&self, missing: Option<String>) {
        let mut latches = self.latches.lock().unwrap_or_else(PoisonError::into_inner);
        latches[self.index].missing = missing;
    }
}

/// A subsystem that is not ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Name of the latch.
    pub name: String,
    /// Reason in words.
    pub why: String,
}

#[derive(Debug)]
struct Entry {
    name: String,
    missing: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_latches_is_not_ready() {
        assert!(!Readiness::new().is_ready());
        assert_eq!(Readiness::new().missing().len(), 1);
    }

    #[test]
    fn ready_needs_every_latch() {
        let readiness = Readiness::new();
        let config = readiness.latch("config");
        let servers = readiness.latch("servers");
        config.ready();
        assert!(!readiness.is_ready());
        servers.not_ready("no API server is healthy");
        assert_eq!(
            readiness.missing(),
            [Missing {
                name: "servers".into(),
                why: "no API server is healthy".into()
            }]
        );
        servers.ready();
        assert!(readiness.is_ready());
        let same = config.clone();
        config.ready();
        same.not_ready("file is invalid");
        assert!(!readiness.is_ready());
    }

    #[test]
    fn a_dropped_latch_keeps_its_word() {
        let readiness = Readiness::new();
        drop(readiness.latch("sockets"));
        assert!(!readiness.is_ready());
    }
}
