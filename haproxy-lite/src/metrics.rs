//! The metrics of the proxy, read from the [`Board`] when somebody scrapes.
//!
//! Names and labels are those of HAProxy's exporter where the meaning is the same, so that dashboards go on working;
//! what HAProxy does not have is called `lbnode_proxy_…`. `docs/proxy.md` lists them.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::core::fleet::Wish;
use crate::core::health::State;
use crate::core::termination::Termination;
use crate::status::{Board, Rows, ServerRow, state_word};

/// Feeds `/metrics`.
pub(crate) struct ProxyMetrics(pub(crate) Board);

impl fmt::Debug for ProxyMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyMetrics")
    }
}

impl Collector for ProxyMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let rows = self.0.rows();
        let mut page = Page(&mut encoder);
        process(&mut page, &rows)?;
        frontends(&mut page, &rows)?;
        servers(&mut page, &rows)
    }
}

fn process(page: &mut Page<'_, '_>, rows: &Rows) -> fmt::Result {
    let totals = &rows.shared.totals;
    page.gauge(
        "haproxy_process_max_connections",
        "Sessions at the same time, at most",
        [(NONE, u64::from(rows.max_sessions))],
    )?;
    page.gauge(
        "haproxy_process_current_connections",
        "Sessions at the moment",
        [(NONE, totals.sessions.load(Relaxed).into())],
    )?;
    page.gauge(
        "haproxy_process_stopping",
        "1 while the proxy stops",
        [(NONE, u64::from(rows.stopping))],
    )?;
    page.gauge(
        "haproxy_backend_current_queue",
        "Sessions that wait for a server with room",
        [(
            labels([("proxy", BACKEND)]),
            totals.waiting.load(Relaxed).into(),
        )],
    )?;
    page.counter(
        "lbnode_proxy_session_log_lost",
        "Lines of the session log that were lost",
        [(NONE, totals.log_lost.load(Relaxed))],
    )?;
    page.counter(
        "lbnode_proxy_sessions_ended",
        "Ended sessions by reason",
        Termination::ALL.map(|why| (labels([("reason", why.name())]), totals.ended(why))),
    )?;
    page.counter(
        "lbnode_proxy_accept_paused",
        "Times accepting stopped for a moment, by reason",
        [
            (
                labels([("reason", "max_connections")]),
                totals.accept_paused_full.load(Relaxed),
            ),
            (
                labels([("reason", "resources")]),
                totals.accept_paused_resources.load(Relaxed),
            ),
        ],
    )?;
    page.counter(
        "lbnode_proxy_hedges",
        "Second servers asked because the first was silent, by what it was silent to",
        [
            (
                labels([("phase", "connect")]),
                totals.hedged_connects.load(Relaxed),
            ),
            (
                labels([("phase", "hello")]),
                totals.hedged_hellos.load(Relaxed),
            ),
        ],
    )?;
    page.counter(
        "lbnode_proxy_config_reloads",
        "Changes of the file taken over",
        [(NONE, rows.config.reloads)],
    )?;
    page.counter(
        "lbnode_proxy_config_refusals",
        "Changes of the file refused",
        [(NONE, rows.config.refusals)],
    )?;
    page.gauge(
        "lbnode_proxy_config_valid",
        "1 while the file on disk is the one in force",
        [(NONE, u64::from(rows.config.error.is_none()))],
    )
}

fn frontends(page: &mut Page<'_, '_>, rows: &Rows) -> fmt::Result {
    let of = |value: fn(&crate::engine::table::FrontendCounters) -> u64| {
        rows.frontends
            .iter()
            .map(|row| {
                let frontend = &row.frontend;
                (
                    labels([("proxy", frontend.name.as_str())]),
                    value(&frontend.counters),
                )
            })
            .collect::<Vec<_>>()
    };
    page.gauge(
        "haproxy_frontend_current_sessions",
        "Sessions at the moment",
        of(|c| c.current.load(Relaxed).into()),
    )?;
    page.counter(
        "haproxy_frontend_connections",
        "Connections accepted",
        of(|c| c.accepted.load(Relaxed)),
    )?;
    page.counter(
        "haproxy_frontend_bytes_in",
        "Bytes from clients",
        of(|c| c.bytes_in.load(Relaxed)),
    )?;
    page.counter(
        "haproxy_frontend_bytes_out",
        "Bytes to clients",
        of(|c| c.bytes_out.load(Relaxed)),
    )?;
    page.gauge(
        "lbnode_proxy_frontend_listening",
        "1 while the front end is listened on",
        rows.frontends
            .iter()
            .map(|row| {
                let name = labels([("proxy", row.frontend.name.as_str())]);
                (name, u64::from(row.listening))
            })
            .collect::<Vec<_>>(),
    )
}

fn servers(page: &mut Page<'_, '_>, rows: &Rows) -> fmt::Result {
    let of = |value: fn(&ServerRow) -> u64| {
        rows.servers
            .iter()
            .map(|row| (server_labels(row), value(row)))
            .collect::<Vec<_>>()
    };
    let up = |row: &&ServerRow| row.state == State::Up && row.wish == Wish::Ready;
    page.gauge(
        "haproxy_backend_active_servers",
        "Servers that get sessions",
        [(
            labels([("proxy", BACKEND)]),
            rows.servers.iter().filter(up).count() as u64,
        )],
    )?;
    let states = rows.servers.iter().flat_map(|row| {
        let is = state_word(row);
        ["up", "down", "unknown", "drain"].map(|state| {
            let mut labels = server_labels(row);
            labels.push(("state".to_owned(), state.to_ascii_uppercase()));
            (labels, u64::from(state == is))
        })
    });
    page.gauge(
        "haproxy_server_status",
        "1 for the state it is in",
        states.collect::<Vec<_>>(),
    )?;
    page.gauge(
        "haproxy_server_current_sessions",
        "Sessions and connection attempts at the moment",
        of(|row| row.server.sessions().into()),
    )?;
    page.counter(
        "haproxy_server_sessions",
        "Sessions it was given",
        of(|row| row.server.counters.sessions.load(Relaxed)),
    )?;
    page.counter(
        "haproxy_server_bytes_in",
        "Bytes from clients",
        of(|row| row.server.counters.bytes_in.load(Relaxed)),
    )?;
    page.counter(
        "haproxy_server_bytes_out",
        "Bytes to clients",
        of(|row| row.server.counters.bytes_out.load(Relaxed)),
    )?;
    page.counter(
        "haproxy_server_connection_errors",
        "Connects that it refused or broke",
        of(|row| row.server.counters.refused.load(Relaxed)),
    )?;
    page.counter(
        "haproxy_server_check_up_down",
        "Times it went down",
        of(|row| row.downs),
    )?;
    page.counter(
        "lbnode_proxy_server_hedged",
        "Sessions it lost to a server that answered sooner",
        of(|row| row.server.counters.hedged.load(Relaxed)),
    )?;
    let failures = rows.servers.iter().flat_map(|row| {
        row.failures.iter().map(|(kind, count)| {
            let mut labels = server_labels(row);
            labels.push(("reason".to_owned(), (*kind).to_owned()));
            (labels, *count)
        })
    });
    page.counter(
        "haproxy_server_check_failures",
        "Checks that failed, by reason",
        failures.collect::<Vec<_>>(),
    )
}

type Labels = Vec<(String, String)>;

/// There is one backend; HAProxy's metrics want a name for it.
const BACKEND: &str = "servers";
const NONE: Labels = Vec::new();

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn server_labels(row: &ServerRow) -> Labels {
    labels([
        ("proxy", BACKEND),
        ("server", row.server.facts.name.as_str()),
    ])
}

/// Writes one metric after the other.
struct Page<'p, 'e>(&'p mut DescriptorEncoder<'e>);

impl Page<'_, '_> {
    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let kind = ConstGauge::new(0_i64).metric_type();
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            if labels.is_empty() {
                return value.encode(metric);
            }
            value.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in values {
            let value = ConstCounter::new(value);
            if labels.is_empty() {
                return value.encode(metric);
            }
            value.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
