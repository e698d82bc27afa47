//! Several trials side by side, each in an arena of its own: they wait most of the time.

use std::thread;

use anyhow::{Result, anyhow};

/// What each of the trials comes to, in their order. All of them are waited for, whatever became of the first.
pub(crate) fn at_once<T: Send, R: Send>(
    trials: impl IntoIterator<Item = T>,
    run: impl Fn(T) -> Result<R> + Sync,
) -> Vec<Result<R>> {
    thread::scope(|scope| {
        let trials: Vec<_> = trials
            .into_iter()
            .map(|trial| scope.spawn(|| run(trial)))
            .collect();
        trials
            .into_iter()
            .map(|trial| trial.join().map_err(|_| anyhow!("it panicked"))?)
            .collect()
    })
}
