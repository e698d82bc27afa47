//! What all roles of lbnode share: logs, admin HTTP, readiness, shutdown, metrics, TLS.
//!
//! Nothing here decides anything about virtual addresses, servers or Services; it is the shell around the
//! state machines of the roles. Every part works on a current-thread tokio runtime.
//!
//! | module | for |
//! |---|---|
//! | [`logging`] | one subscriber, text or JSON, with a level that can be changed while running |
//! | [`shutdown`] | SIGTERM and SIGINT as a cancellation token |
//! | [`ready`] | named latches behind `/readyz` |
//! | [`metrics`] | the registry behind `/metrics`, with build and process facts |
//! | [`admin`] | the HTTP server with `/livez /readyz /metrics /status /loglevel` and pages of the role |
//! | [`tls`] | the only place that constructs TLS configurations |
//! | [`probe`] | one bounded GET over HTTP or HTTPS, with the reason of a failure in plain words |
//! | [`outbound`] | HTTP connections to servers elsewhere that notice when the other end is gone |
//! | [`reload`] | notices that the content of a file changed |
//! | [`recorder`] | bounded JSON-lines record of what a state machine was fed, behind `/record` |
//! | [`build_info`] | which build is running |

pub mod admin;
pub mod build_info;
pub mod cli;
pub mod logging;
pub mod metrics;
pub mod outbound;
pub mod probe;
pub mod ready;
pub mod recorder;
pub mod reload;
pub mod shutdown;
pub mod tls;
