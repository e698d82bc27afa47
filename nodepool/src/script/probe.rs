//! Scripts that ask `lbnode` on a machine.

use std::net::IpAddr;
use std::path::PathBuf;

use super::text;
use crate::remote::{Input, Script};

/// Asks whether somebody on the segment answers for `vip`.
pub fn probe_vip(vip: IpAddr, node_ip: IpAddr, lbnode: PathBuf, sha256: &str) -> Script {
    Script::query("probe-vip", text::PROBE_VIP)
        .arg(vip.to_string())
        .arg(node_ip.to_string())
        .arg(sha256)
        .input(Input::File(lbnode))
}

/// The status pages of the routers and of the proxy, a line each: `vrrp JSON`, `proxy JSON`, or `… unreachable`.
pub fn role_status() -> Script {
    Script::query(
        "role-status",
        "printf 'hostname %s\\n' \"$(hostname | tr 'A-Z' 'a-z')\"\n\
         for role in vrrp:11003 proxy:11000; do\n\
         page=$(timeout 5 lbnode get \"http://127.0.0.1:${role#*:}/status\" 2>/dev/null | tr '\\n' ' ') || page=\n\
         printf '%s %s\\n' \"${role%:*}\" \"${page:-unreachable}\"\n\
         done\n\
         printf 'version %s\\n' \"$(lbnode version 2>/dev/null | head -n 1)\"\n",
    )
}

/// Asks the segment who has `address`, pings it, and connects to each of the ports: a line each.
pub fn check_service(address: IpAddr, ports: &[u16]) -> Script {
    let script = Script::query("check-service", text::CHECK_SERVICE).arg(address.to_string());
    ports
        .iter()
        .fold(script, |script, port| script.arg(port.to_string()))
}
