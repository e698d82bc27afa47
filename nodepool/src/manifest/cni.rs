//! The routed pod network: a point-to-point link per pod, a static route per node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::json;

use super::NodeFile;

/// Path of the network's configuration.
pub const CONFLIST: &str = "/etc/cni/net.d/10-lbctl.conflist";
/// Name of the unit that sets the routes at boot.
pub const ROUTES_UNIT: &str = "lbctl-pod-routes.service";
/// Its path.
pub const ROUTES: &str = "/etc/systemd/system/lbctl-pod-routes.service";
/// Plugins that must be on a machine.
pub const PLUGINS: [&str; 4] = ["loopback", "ptp", "host-local", "portmap"];

/// The network of one node's pods.
pub fn conflist(pod_cidrs: &[IpNet]) -> NodeFile {
    let ranges: Vec<_> = pod_cidrs
        .iter()
        .map(|cidr| json!([{"subnet": cidr}]))
        .collect();
    let defaults: Vec<_> = pod_cidrs
        .iter()
        .map(|cidr| json!({"dst": if cidr.addr().is_ipv4() { "0.0.0.0/0" } else { "::/0" }}))
        .collect();
    let network = json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipam": {"type": "host-local", "ranges": ranges, "routes": defaults}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    let text = serde_json::to_string_pretty(&network).expect("plain JSON has a text form");
    NodeFile::public(CONFLIST, text + "\n")
}

/// Routes from one node to the pods of the others. `peers`: node address → pod ranges.
pub fn routes(peers: &BTreeMap<IpAddr, Vec<IpNet>>) -> NodeFile {
    let mut text = String::from(
        "# written by lbctl: routes to the pods of the other nodes\n[Unit]\nDescription=routes to the pods of the other nodes\n\
         Wants=network-online.target\nAfter=network-online.target\nBefore=kubelet.service\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n",
    );
    let mut stops = String::new();
    for (gateway, cidrs) in peers {
        for cidr in cidrs
            .iter()
            .filter(|cidr| cidr.addr().is_ipv4() == gateway.is_ipv4())
        {
            let family = if gateway.is_ipv4() { "-4" } else { "-6" };
            text.push_str(&format!(
                "ExecStart=ip {family} route replace {cidr} via {gateway}\n"
            ));
            stops.push_str(&format!(
                "ExecStop=-ip {family} route del {cidr} via {gateway}\n"
            ));
        }
    }
    text.push_str(&stops);
    text.push_str("\n[Install]\nWantedBy=multi-user.target\n");
    NodeFile::public(ROUTES, text)
}
