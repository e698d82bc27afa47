//! HTTP connections to servers elsewhere that notice when the other end is gone.

use std::time::Duration;

use hyper::body::Body;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;

/// A connection that is not there after so long will not be.
const CONNECT: Duration = Duration::from_secs(2);
/// When a server loses its power, its connections are dead for good: a watch on one would tell nothing for more than a
/// minute. The kernel asks such a silent peer, and this is how long it may take to answer.
const PROBE_AFTER: Duration = Duration::from_secs(3);
const PROBE_EVERY: Duration = Duration::from_secs(1);
const PROBES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(6);

/// Opens such connections; also below TLS.
pub fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_keepalive(Some(PROBE_AFTER));
    connector.set_keepalive_interval(Some(PROBE_EVERY));
    connector.set_keepalive_retries(Some(PROBES));
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    connector
}

/// A client that keeps connections of this connector for its next requests.
pub fn client<C, B>(connector: C) -> Client<C, B>
where
    C: Connect + Clone,
    B: Body + Send,
    B::Data: Send,
{
    Client::builder(TokioExecutor::new()).build(connector)
}
