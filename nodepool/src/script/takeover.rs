//! Scripts that take a cluster over from load balancers of others.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::text;
use crate::core::facts::{OtherBalancer, RunsAs};
use crate::remote::Script;

/// Longest restart of an API server.
const RESTART: Duration = Duration::from_secs(300);

/// Notes that the machine is in a cluster that exists.
pub fn adopt(cluster: &str, role: &str) -> Script {
    Script::change("adopt", text::ADOPT).arg(cluster).arg(role)
}

/// Stops others in their order. `owner`: the virtual IP is here; else it must not be.
pub fn stop_others(others: &[OtherBalancer], vips: &[IpAddr], owner: bool) -> Script {
    let script = Script::change("stop-others", text::STOP_OTHERS)
        .arg(if owner { "owner" } else { "backup" })
        .arg(vips.len().to_string());
    let script = vips
        .iter()
        .fold(script, |script, vip| script.arg(vip.to_string()));
    let item = |other: &OtherBalancer| match &other.runs {
        RunsAs::Unit(unit) => format!("unit:{unit}"),
        RunsAs::Pod(file) => format!("pod:{file}"),
    };
    others
        .iter()
        .fold(script, |script, other| script.arg(item(other)))
}

/// Has the API server listen on this address alone.
pub fn keep_to_address(address: SocketAddr) -> Script {
    Script::change("keep-to-address", text::KEEP_TO_ADDRESS)
        .arg(address.ip().to_string())
        .arg(address.port().to_string())
        .timeout(RESTART)
}
