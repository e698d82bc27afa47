//! The cluster against the networks that its machines really have: what a file alone cannot tell.
//!
//! V12, V13, V14, V18 and V34 with netmasks, gateways and name servers; asked by the machine checks.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::code::Code;
use crate::derive::{Placement, placement};
use crate::diagnostic::Severity;
use crate::model::{Announcement, Cluster, Mode, Node};
use crate::net::{IpRange, IpSet};

/// What one machine says about its networks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeNetworks {
    /// Interface name and prefix of each address: `("eth0", 10.0.0.11/24)`.
    pub addresses: Vec<(String, IpNet)>,
    /// Gateways of its routes.
    pub gateways: Vec<IpAddr>,
    /// Name servers and time servers.
    pub servers: Vec<IpAddr>,
}

/// One finding; there is no place in a file to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkFinding {
    /// Rule.
    pub code: Code,
    /// Weight.
    pub severity: Severity,
    /// SSH address of the node that shows it.
    pub node: Ipv4Addr,
    /// What is wrong, in one sentence without period.
    pub message: String,
    /// How to put it right.
    pub hint: &'static str,
}

/// Judges a cluster by the networks of its machines, by SSH address. Machines without an entry are skipped.
pub fn check_networks(
    cluster: &Cluster,
    networks: &BTreeMap<Ipv4Addr, NodeNetworks>,
) -> Vec<NetworkFinding> {
    let mut judge = Judge {
        cluster,
        placement: placement(cluster),
        networks,
        findings: Vec::new(),
    };
    judge.cluster_ranges();
    let load_balancer = cluster.load_balancer();
    let layer2 = load_balancer.announcement() == Announcement::Layer2;
    if load_balancer.mode() == Mode::Bundled && layer2 {
        judge.vips();
        judge.pools();
        judge.one_network();
    }
    judge.findings
}

struct Judge<'c> {
    cluster: &'c Cluster,
    placement: Placement,
    networks: &'c BTreeMap<Ipv4Addr, NodeNetworks>,
    findings: Vec<NetworkFinding>,
}

impl Judge<'_> {
    fn error(&mut self, code: Code, node: &Node, message: String, hint: &'static str) {
        self.findings.push(NetworkFinding {
            code,
            severity: Severity::Error,
            node: node.address(),
            message,
            hint,
        });
    }

    /// The nets on the interface that holds a node's data address, or on the named one.
    fn nets(&self, node: &Node, interface: Option<&str>) -> Vec<IpNet> {
        let Some(networks) = self.networks.get(&node.address()) else {
            return Vec::new();
        };
        let data = IpAddr::from(node.data_address());
        let own = networks
            .addresses
            .iter()
            .find(|(_, net)| net.addr() == data);
        let name = interface.or_else(|| own.map(|(name, _)| name.as_str()));
        networks
            .addresses
            .iter()
            .filter(|(other, _)| Some(other.as_str()) == name)
            .map(|(_, net)| net.trunc())
            .collect()
    }

    fn vips(&mut self) {
        let vips = self.cluster.load_balancer().vips();
        let interface = self.cluster.load_balancer().vrrp().interface();
        let api: Vec<Node> = self
            .placement
            .control_plane_load_balancers()
            .cloned()
            .collect();
        let services: Vec<Node> = self
            .placement
            .data_plane_load_balancers()
            .cloned()
            .collect();
        let control_plane = Some(vips.control_plane().into());
        for (key, vip, nodes, interface) in [
            ("controlPlaneVIP", control_plane, &api, interface),
            (
                "controlPlaneVIPv6",
                vips.control_plane_v6().map(IpAddr::from),
                &api,
                interface,
            ),
            (
                "ingressVIP",
                vips.ingress().map(IpAddr::from),
                &services,
                None,
            ),
        ] {
            let Some(vip) = vip else { continue };
            for node in nodes {
                self.vip(key, vip, node, interface);
            }
        }
    }

    fn vip(&mut self, key: &str, vip: IpAddr, node: &Node, interface: Option<&str>) {
        let nets = self.nets(node, interface);
        if nets.is_empty() {
            return;
        }
        let Some(net) = nets.iter().find(|net| net.contains(&vip)) else {
            let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
            // A pool with interfaces of its own may hold the ingress VIP.
            if key == "ingressVIP" && self.lies_in_pool_with_interfaces(vip) {
                return;
            }
            self.error(
                Code::V13,
                node,
                format!("`{key}` {vip} lies outside the node's subnet {}", nets.join(", ")),
                "choose an address of that subnet, or set `k8sIP` to the node's address in the VIP's subnet",
            );
            return;
        };
        let wide = net.prefix_len() < net.max_prefix_len() - 1;
        let edge = [net.network(), net.broadcast()].contains(&vip) && vip.is_ipv4() && wide;
        if edge {
            self.error(
                Code::V34,
                node,
                format!("`{key}` {vip} is the network or broadcast address of {net}"),
                "choose another address of the subnet",
            );
        }
        let gateway = self
            .networks
            .get(&node.address())
            .is_some_and(|networks| networks.gateways.contains(&vip));
        if gateway {
            self.error(
                Code::V34,
                node,
                format!("`{key}` {vip} is the node's gateway"),
                "choose an address that nobody has",
            );
        }
    }

    fn lies_in_pool_with_interfaces(&self, vip: IpAddr) -> bool {
        self.cluster
            .load_balancer()
            .address_pools()
            .iter()
            .filter(|pool| !pool.interfaces().is_empty())
            .any(|pool| pool.ranges().any(|range| range.contains(vip)))
    }

    fn pools(&mut self) {
        let nodes: Vec<Node> = self
            .placement
            .data_plane_load_balancers()
            .cloned()
            .collect();
        for pool in self.cluster.load_balancer().address_pools() {
            if !pool.interfaces().is_empty() {
                continue;
            }
            for node in &nodes {
                let nets: IpSet = self
                    .nets(node, None)
                    .into_iter()
                    .map(IpRange::from)
                    .collect();
                let has = |ipv4: bool| nets.ranges().any(|net| net.is_ipv4() == ipv4);
                // Without an address of a family nothing is known about its subnet.
                let ranges: IpSet = pool.ranges().filter(|range| has(range.is_ipv4())).collect();
                let outside = ranges.subtract(&nets);
                if let Some(range) = outside.ranges().next() {
                    self.error(
                        Code::V12,
                        node,
                        format!(
                            "{range} of the pool `{}` lies outside the node's subnet {nets}",
                            pool.name()
                        ),
                        "use addresses of that subnet, or name the pool's `interfaces`",
                    );
                }
            }
        }
    }

    fn one_network(&mut self) {
        let roles = self.placement.roles().to_vec();
        let carriers = roles.iter().filter(|role| {
            role.control_plane_load_balancer || role.pool == crate::derive::Pool::ControlPlane
        });
        let mut first: Option<(Node, IpNet)> = None;
        for role in carriers {
            let data = IpAddr::from(role.node.data_address());
            let own = self
                .nets(&role.node, None)
                .into_iter()
                .find(|net| net.contains(&data));
            let Some(net) = own else { continue };
            match &first {
                None => first = Some((role.node.clone(), net)),
                Some((_, common)) if *common == net => {}
                Some((other, common)) => {
                    let message = format!(
                        "the node is in {net}, {} is in {common}: load balancer and control-plane nodes need one layer-2 network",
                        other.data_address()
                    );
                    self.error(
                        Code::V14,
                        &role.node,
                        message,
                        "ARP does not cross routers: set `k8sIP` to an address in the common network, or correct the netmask",
                    );
                }
            }
        }
    }

    fn cluster_ranges(&mut self) {
        let network = self.cluster.network();
        let named = network.pod_cidrs().map(|net| ("Pod", net));
        let ranges: Vec<(&str, IpNet)> = named
            .chain(network.service_cidrs().map(|net| ("Service", net)))
            .collect();
        let nodes: Vec<Node> = self.cluster.nodes().cloned().collect();
        for node in &nodes {
            let Some(networks) = self.networks.get(&node.address()) else {
                continue;
            };
            let subnets = networks
                .addresses
                .iter()
                .map(|(name, net)| (format!("{net} on {name}"), net.trunc()));
            let servers = networks
                .servers
                .iter()
                .map(|server| (format!("the server {server}"), IpNet::from(*server)));
            let taken: Vec<(String, IpNet)> = subnets.chain(servers).collect();
            for (kind, range) in &ranges {
                let hit = taken
                    .iter()
                    .find(|(_, net)| IpRange::from(*net).overlaps(&IpRange::from(*range)));
                if let Some((what, _)) = hit {
                    self.error(
                        Code::V18,
                        node,
                        format!("the {kind} range {range} overlaps {what}"),
                        "packets to that network would stay inside the cluster: choose a range that nothing else uses",
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    fn judged(
        change: impl Fn(&mut BTreeMap<Ipv4Addr, NodeNetworks>),
        edit: (&str, &str),
    ) -> Vec<(Code, u8)> {
        let text = include_str!("../../examples/three-control-planes.yaml").replace(edit.0, edit.1);
        let cluster = load(&text, "test.yaml").cluster.expect("valid");
        let mut networks: BTreeMap<Ipv4Addr, NodeNetworks> = cluster
            .nodes()
            .map(|node| {
                let net = IpNet::new(node.data_address().into(), 24).expect("prefix");
                let networks = NodeNetworks {
                    addresses: vec![("eth0".to_owned(), net)],
                    gateways: vec![[10, 10, 0, 1].into()],
                    servers: vec![[192, 0, 2, 53].into()],
                };
                (node.address(), networks)
            })
            .collect();
        change(&mut networks);
        check_networks(&cluster, &networks)
            .into_iter()
            .map(|finding| (finding.code, finding.node.octets()[3]))
            .collect()
    }

    fn first(networks: &mut BTreeMap<Ipv4Addr, NodeNetworks>) -> &mut NodeNetworks {
        networks.values_mut().next().expect("a node")
    }

    #[test]
    fn a_fitting_cluster_has_no_findings_and_unknown_machines_are_skipped() {
        assert_eq!(judged(|_| {}, ("", "")), []);
        assert_eq!(judged(BTreeMap::clear, ("", "")), []);
    }

    #[test]
    fn netmasks_gateways_and_servers_decide() {
        let all = |code| [(code, 11), (code, 12), (code, 13)];
        let vip = "controlPlaneVIP: 10.10.0.100";
        assert_eq!(
            judged(|_| {}, (vip, "controlPlaneVIP: 10.10.1.100")),
            all(Code::V13)
        );
        assert_eq!(
            judged(|_| {}, (vip, "controlPlaneVIP: 10.10.0.255")),
            all(Code::V34)
        );
        assert_eq!(
            judged(|_| {}, (vip, "controlPlaneVIP: 10.10.0.1")),
            all(Code::V34)
        );
        let pool = ("- 10.10.0.200-10.10.0.239", "- 10.10.0.200-10.10.1.9");
        assert_eq!(judged(|_| {}, pool), all(Code::V12));
        let elsewhere = (
            "- 10.10.0.200-10.10.0.239",
            "- 10.10.0.200-10.10.1.9\n      interfaces: [eth1]",
        );
        assert_eq!(judged(|_| {}, elsewhere), []);
        let narrow = |networks: &mut BTreeMap<Ipv4Addr, NodeNetworks>| {
            first(networks).addresses[0].1 = "10.10.0.11/16".parse().expect("net");
        };
        assert_eq!(judged(narrow, ("", "")), [(Code::V14, 12), (Code::V14, 13)]);
        let docker = |networks: &mut BTreeMap<Ipv4Addr, NodeNetworks>| {
            let net = "10.244.7.1/24".parse().expect("net");
            first(networks).addresses.push(("docker0".to_owned(), net));
        };
        assert_eq!(judged(docker, ("", "")), [(Code::V18, 11)]);
        let dns = |networks: &mut BTreeMap<Ipv4Addr, NodeNetworks>| {
            first(networks).servers.push([10, 96, 0, 53].into());
        };
        assert_eq!(judged(dns, ("", "")), [(Code::V18, 11)]);
    }
}
