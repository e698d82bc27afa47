//! A layer-4 proxy with health checks, made for API servers.
//!
//! Two halves that share counters and little else: the data path (`engine`), threads with an epoll loop each that
//! accept, choose a server and move bytes; and the control thread (`control`), which checks servers, watches the
//! configuration, listens for signals. What either decides is decided in `core`, without sockets or clock.
//!
//! It refuses to be: a TLS terminator, an HTTP proxy, a resolver of names.

pub mod cli;
mod config;
mod control;
mod core;
mod engine;
mod metrics;
mod page;
mod status;

pub use crate::config::{LoadError, check};
pub use crate::core::proxy_protocol;
