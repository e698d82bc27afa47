//! Arguments that every role takes.

use clap::{Args, ValueEnum};

use crate::logging::LogFilter;

/// `--log-format` and `--log-level`; embed it with `#[command(flatten)]`.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// Form of the log lines on standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Auto, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Level or filter, for example `info` or `warn,vrrp=debug`.
    #[arg(
        long,
        env = "LBNODE_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub log_level: LogFilter,
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for a terminal, JSON otherwise.
    Auto,
    /// One readable line per event.
    Text,
    /// One JSON object per event.
    Json,
}
