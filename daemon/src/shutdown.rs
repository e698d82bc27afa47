//! SIGTERM and SIGINT: the first asks for a graceful stop, the second ends the process at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The stop request of the process.
#[derive(Debug, Clone)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// Takes over SIGTERM and SIGINT. Must be called inside a tokio runtime with I/O enabled.
    ///
    /// # Errors
    ///
    /// When the signal handlers cannot be installed.
    pub fn install() -> io::Result<Self> {
        let mut signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        let token = CancellationToken::new();
        let stop = token.clone();
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::info!(signal = name, "stop requested");
            stop.cancel();
            let name = signals.next().await;
            tracing::warn!(
                signal = name,
                "second signal: ends without finishing the stop"
            );
            crate::logging::flush();
            end_now();
        });
        Ok(Self { token })
    }

    /// Cancelled by the first signal.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

#[expect(clippy::exit, reason = "the operator asked twice")]
fn end_now() {
    std::process::exit(EXIT_AFTER_SECOND_SIGNAL);
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// What a shell shows for a process that SIGINT ended.
const EXIT_AFTER_SECOND_SIGNAL: i32 = 130;
