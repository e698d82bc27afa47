//! The registry behind `/metrics`: one per process, with build and process facts in it.
//!
//! A role registers its own under its prefix: `registry.lock()…sub_registry_with_prefix("vrrp")`. Names
//! end in their unit, labels are bounded sets.

mod process;

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::build_info;

/// A registry that the admin server and the role share.
pub type SharedRegistry = Arc<Mutex<Registry>>;

/// A registry with `lbnode_build_info{role,version,commit,target} 1` and `process_*`.
#[must_use]
pub fn new_registry(role: &str) -> SharedRegistry {
    let build = build_info::current();
    let labels = vec![
        ("role".to_owned(), role.to_owned()),
        ("version".to_owned(), build.version.to_owned()),
        ("commit".to_owned(), build.commit.to_owned()),
        ("target".to_owned(), build.target.to_owned()),
    ];
    let info = Family::<Vec<(String, String)>, Gauge>::default();
    info.get_or_create(&labels).set(1);
    let mut registry = Registry::default();
    registry.register("lbnode_build_info", "Which build is running", info);
    registry.register_collector(Box::new(process::ProcessCollector));
    Arc::new(Mutex::new(registry))
}

/// The registry in the OpenMetrics text form.
#[must_use]
pub fn encode_text(registry: &SharedRegistry) -> String {
    let registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = String::new();
    // Writing to a String cannot fail; an encoder that refuses leaves what it has written.
    let _ = encode(&mut text, &registry);
    text
}

/// Content type of [`encode_text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_registry_tells_build_and_process() {
        let registry = new_registry("vrrp");
        let text = encode_text(&registry);
        assert!(
            text.contains("lbnode_build_info{role=\"vrrp\",version=\""),
            "{text}"
        );
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
        assert!(text.contains("process_cpu_seconds_total "), "{text}");
        assert!(text.contains("process_open_fds "), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
