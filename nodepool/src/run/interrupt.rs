//! Ctrl-C: nothing further is begun, what runs on a machine ends in peace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Failure;
use crate::ui::Ui;

/// Whether the operator has asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens for SIGINT and SIGTERM; the second one ends the program at once.
    pub fn install(ui: Ui) -> Self {
        let interrupt = Self::default();
        let asked = Arc::clone(&interrupt.asked);
        tokio::spawn(async move {
            loop {
                signal().await;
                if asked.swap(true, Ordering::SeqCst) {
                    // Machines finish their step alone.
                    std::process::exit(1);
                }
                ui.say("stopping after the steps that run; once more to leave them alone at once");
            }
        });
        interrupt
    }

    /// Asks to stop, as Ctrl-C does.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
    }

    /// Whether to stop.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// An error when the operator has asked to stop.
    ///
    /// # Errors
    /// When the operator has asked to stop.
    pub fn check(&self) -> Result<(), Failure> {
        if self.asked() {
            return Err(Failure::failed("interrupted")
                .hint("run the same command again: it goes on where this one stopped"));
        }
        Ok(())
    }
}

async fn signal() {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    match terminate {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            tokio::signal::ctrl_c().await.ok();
        }
    }
}
