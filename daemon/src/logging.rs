//! Logs: one subscriber per process, on standard error, with a level that can be changed while running.
//!
//! | level | for |
//! |---|---|
//! | ERROR | something is broken |
//! | WARN | worth a look |
//! | INFO | a change of state that an operator wants to know |
//! | DEBUG | small conditions |
//! | TRACE | per packet or byte |
//!
//! Lines go through a bounded queue to a thread of their own: a reader of standard error that stalls must
//! not stall the process that renews a virtual address.

mod queue;

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt as format, reload};

pub use crate::cli::{LogArgs, LogFormat};
use queue::LineQueue;

/// Starts logging as the arguments say. A second call changes nothing.
pub fn init(args: &LogArgs) {
    let json = match args.log_format {
        LogFormat::Auto => !io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let (filter, handle) = reload::Layer::new(args.log_level.to_env_filter());
    let queue = LineQueue::start(io::stderr());
    let registry = tracing_subscriber::registry().with(filter);
    let started = if json {
        let lines = format::layer()
            .json()
            .flatten_event(true)
            .with_writer(queue.clone());
        registry.with(lines).try_init()
    } else {
        let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let lines = format::layer().with_ansi(color).with_writer(queue.clone());
        registry.with(lines).try_init()
    };
    if started.is_ok() {
        let _ = ACTIVE.set(Active { handle, queue });
    }
}

/// Waits until the lines logged so far are written, at most half a second. `main` calls it before it ends.
pub fn flush() {
    if let Some(active) = ACTIVE.get() {
        active.queue.flush(Duration::from_millis(500));
    }
}

/// The filter in force; `None` before [`init`].
#[must_use]
pub fn filter() -> Option<String> {
    ACTIVE.get()?.handle.with_current(ToString::to_string).ok()
}

/// Changes the filter of the running process.
///
/// # Errors
///
/// When `text` is not a filter, or logging was never started.
pub fn set_filter(text: &str) -> Result<(), LogFilterError> {
    let filter: LogFilter = text.parse()?;
    let active = ACTIVE.get().ok_or(LogFilterError::NotStarted)?;
    active
        .handle
        .reload(filter.to_env_filter())
        .map_err(|_| LogFilterError::NotStarted)
}

/// A level (`info`) or a list of levels per module (`warn,vrrp=debug`), checked when parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    text: String,
}

impl LogFilter {
    fn to_env_filter(&self) -> EnvFilter {
        EnvFilter::new(&self.text)
    }
}

impl FromStr for LogFilter {
    type Err = LogFilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let invalid = |reason: String| LogFilterError::Invalid {
            text: text.to_owned(),
            reason,
        };
        if text.is_empty() {
            return Err(invalid("it is empty".to_owned()));
        }
        // A bare unknown word would be taken for the name of a module: a typo in a level would silence nothing and say nothing.
        for directive in text.split(',').map(str::trim) {
            if !directive.contains(['=', '[', ':'])
                && !LEVELS.contains(&&*directive.to_ascii_lowercase())
            {
                return Err(invalid(format!("`{directive}` is not a level")));
            }
        }
        EnvFilter::try_new(text).map_err(|error| invalid(error.to_string()))?;
        Ok(Self {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a log filter was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogFilterError {
    /// The text is not a filter.
    #[error(
        "`{text}` is not a log filter: {reason}; use one of off, error, warn, info, debug, trace, or a list like `warn,vrrp=debug`"
    )]
    Invalid {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no subscriber whose filter could be changed.
    #[error("logging was not started by this process")]
    NotStarted,
}

struct Active {
    handle: reload::Handle<EnvFilter, Registry>,
    queue: LineQueue,
}

static ACTIVE: OnceLock<Active> = OnceLock::new();

const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked_when_parsed() {
        for good in [
            "info",
            "WARN",
            "warn,vrrp=debug",
            "off",
            " debug ",
            "vrrp::proto=trace",
        ] {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for bad in ["", "infos", "warn,debgu", "vrrp=loud"] {
            let error = bad.parse::<LogFilter>().unwrap_err().to_string();
            assert!(error.contains("is not a log filter"), "{bad}: {error}");
            assert!(
                error.contains("off, error, warn, info, debug, trace"),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn the_filter_cannot_be_changed_before_logging_started() {
        if ACTIVE.get().is_none() {
            assert_eq!(set_filter("debug"), Err(LogFilterError::NotStarted));
        }
    }
}
