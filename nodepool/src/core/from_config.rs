//! Cluster file → [`Desired`].

use std::net::IpAddr;

use cluster_config::Cluster;
use cluster_config::derive::{self, Pool};
use cluster_config::model::Mode;

use super::desired::{Desired, LoadBalancer, Machine, Role, Taint};

/// What the file asks for; control planes first, all in the file's order.
pub fn desired(cluster: &Cluster) -> Desired {
    let placement = derive::placement(cluster);
    let mut machines: Vec<Machine> = cluster
        .nodes()
        .filter_map(|node| {
            let place = placement.role(node.address())?;
            let files = derive::vrrp(cluster, node).zip(derive::proxy(cluster, node));
            let taints = place.taints.iter().map(|taint| Taint {
                key: taint.key.clone(),
                value: taint.value.clone(),
                effect: taint.effect.as_str().to_owned(),
            });
            Some(Machine {
                address: IpAddr::V4(node.address()),
                node_ip: IpAddr::V4(node.data_address()),
                role: match place.pool {
                    Pool::ControlPlane => Role::ControlPlane,
                    Pool::LoadBalancer => Role::LoadBalancer,
                    Pool::Worker(_) => Role::Worker,
                },
                load_balancer: files.map(|(vrrp, proxy)| LoadBalancer { vrrp, proxy }),
                lbnode: place.data_plane_load_balancer,
                maintenance: cluster.in_maintenance(node),
                labels: place.labels.clone(),
                taints: taints.collect(),
            })
        })
        .collect();
    machines.sort_by_key(|machine| machine.role);
    let balancer = cluster.load_balancer();
    Desired {
        name: cluster.name().to_owned(),
        vip: IpAddr::V4(balancer.vips().control_plane()),
        vip6: balancer.vips().control_plane_v6().map(IpAddr::V6),
        vip_port: balancer.control_plane_port(),
        api_port: balancer.api_server_port(),
        external: balancer.mode() == Mode::Manual,
        pod_cidrs: cluster.network().pod_cidrs().collect(),
        service_cidrs: cluster.network().service_cidrs().collect(),
        add_package_repo: cluster.add_package_repo(),
        extra_sans: cluster.control_plane().extra_sans().to_vec(),
        machines,
        data_plane: derive::data_plane(cluster),
    }
}
