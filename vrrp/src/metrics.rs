//! Prometheus metrics, read from a fresh snapshot at every scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::proto::{PacketError, State};
use crate::status::Snapshot;

/// Encodes what `snapshot` gives.
pub(crate) struct Metrics {
    snapshot: Box<dyn Fn() -> Option<Snapshot> + Send + Sync>,
}

impl Metrics {
    /// Metrics of the router thread.
    pub(crate) fn new(snapshot: impl Fn() -> Option<Snapshot> + Send + Sync + 'static) -> Self {
        Self {
            snapshot: Box::new(snapshot),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let snapshot = (self.snapshot)();
        let up = ConstGauge::new(i64::from(snapshot.is_some()));
        let help = "Whether the router thread answers";
        up.encode(encoder.encode_descriptor("vrrp_router_up", help, None, MetricType::Gauge)?)?;
        let Some(snapshot) = snapshot else {
            return Ok(());
        };
        let help = "State of a group: 1 for the one it is in";
        let mut states =
            encoder.encode_descriptor("vrrp_group_state", help, None, MetricType::Gauge)?;
        for group in &snapshot.groups {
            for state in State::ALL {
                let labels = [("group", group.name.as_str()), ("state", state.name())];
                let value = ConstGauge::new(i64::from(group.state == state.name()));
                value.encode(states.encode_family(&labels)?)?;
            }
        }
        let help = "How long a group helps connections on after a planned move; 0: it is off, or the kernel cannot";
        let mut graces = encoder.encode_descriptor(
            "vrrp_group_hand_over_grace_milliseconds",
            help,
            None,
            MetricType::Gauge,
        )?;
        for group in &snapshot.groups {
            let labels = [("group", group.name.as_str())];
            let value = ConstGauge::new(group.hand_over_grace_millis);
            value.encode(graces.encode_family(&labels)?)?;
        }
        let help = "Events of a virtual router";
        let mut events =
            encoder.encode_descriptor("vrrp_events", help, None, MetricType::Counter)?;
        for router in &snapshot.routers {
            for (event, count) in router.counters.named() {
                let labels = [("router", router.name.as_str()), ("event", event)];
                ConstCounter::new(count).encode(events.encode_family(&labels)?)?;
            }
        }
        let help = "Received adverts that were not used";
        let mut dropped =
            encoder.encode_descriptor("vrrp_adverts_dropped", help, None, MetricType::Counter)?;
        for router in &snapshot.routers {
            for error in PacketError::ALL {
                let labels = [("router", router.name.as_str()), ("reason", error.kind())];
                let count = ConstCounter::new(router.counters.dropped_for(error));
                count.encode(dropped.encode_family(&labels)?)?;
            }
        }
        for (name, help, count) in [
            (
                "vrrp_send_errors",
                "Adverts and announcements the kernel refused",
                snapshot.send_errors,
            ),
            (
                "vrrp_unknown_virtual_router_id",
                "Received adverts of virtual routers that are not ours",
                snapshot.unknown_virtual_router_id,
            ),
        ] {
            let descriptor = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(count).encode(descriptor)?;
        }
        Ok(())
    }
}
