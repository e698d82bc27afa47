//! `process_*`: what Prometheus' own clients tell about their process, read from `/proc/self` on demand.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(stat) = fs::read_to_string("/proc/self/stat")
            .ok()
            .and_then(|text| Stat::parse(&text))
        {
            let cpu = ConstCounter::new(stat.cpu_seconds);
            let metric = encoder.encode_descriptor(
                "process_cpu_seconds",
                "User and system CPU time",
                None,
                cpu.metric_type(),
            )?;
            cpu.encode(metric)?;
            let memory = ConstGauge::new(stat.resident_bytes);
            let metric = encoder.encode_descriptor(
                "process_resident_memory_bytes",
                "Resident memory",
                None,
                memory.metric_type(),
            )?;
            memory.encode(metric)?;
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            let open = ConstGauge::new(i64::try_from(entries.count()).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(
                "process_open_fds",
                "Open file descriptors",
                None,
                open.metric_type(),
            )?;
            open.encode(metric)?;
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    resident_bytes: i64,
}

impl Stat {
    /// proc(5): fields after the command name, which may itself hold spaces and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let user: u32 = fields.get(11)?.parse().ok()?;
        let system: u32 = fields.get(12)?.parse().ok()?;
        let pages: i64 = fields.get(21)?.parse().ok()?;
        Some(Self {
            cpu_seconds: (f64::from(user) + f64::from(system)) / TICKS_PER_SECOND,
            resident_bytes: pages.saturating_mul(PAGE_BYTES),
        })
    }
}

/// USER_HZ: 100 on every architecture that lbnode is built for.
const TICKS_PER_SECOND: f64 = 100.0;
/// x86-64 always; on arm64 kernels with larger pages the figure is too small by that factor.
const PAGE_BYTES: i64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let text =
            "7 (lb) node (x)) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 4 0 99 1000 25 1844";
        assert_eq!(
            Stat::parse(text),
            Some(Stat {
                cpu_seconds: 2.0,
                resident_bytes: 25 * 4096
            })
        );
        assert_eq!(Stat::parse("7 (lbnode"), None);
        assert_eq!(Stat::parse("7 (lbnode) S 1"), None);
    }
}
