//! Addresses for Services of `type: LoadBalancer`: the controller gives them, the speakers answer for them.
//!
//! The two are separate processes because they fail separately: addresses stay announced while no controller runs,
//! and move to another node while no API server answers.
//!
//! | module | |
//! |---|---|
//! | [`core`] | decides: allocator, ledger, ownership, peers, speaker; no I/O |
//! | [`k8s`] | types, conversion, watches, writes; no decisions |
//! | [`controller`], [`speaker`] | the two processes |
//! | [`simulation`] | speakers in virtual time |

pub mod controller;
pub mod core;
pub mod k8s;
pub mod simulation;
pub mod speaker;

use std::{future::Future, process::ExitCode};

/// Runs a role on a runtime of one thread; what it ends with is its exit code.
fn run_to_end(role: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(role));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
