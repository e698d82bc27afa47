//! Waiting for something to become true.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks again every `pause` until the answer is `Some`; after `limit` the error names `what` was
/// waited for. An error of the question ends the wait at once.
#[expect(clippy::disallowed_methods, reason = "waits in real time")]
pub fn until<T>(
    what: &str,
    limit: Duration,
    pause: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() >= end {
            bail!("waited {} s in vain: {what}", limit.as_secs_f32());
        }
        thread::sleep(pause);
    }
}
