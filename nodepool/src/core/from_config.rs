//! Cluster file → [`Desired`].

use std::net::IpAddr;

use cluster_config::Cluster;
use cluster_config::derive::{self, Pool};
use cluster_config::model::Mode;

use super::desired::{Desired, LoadBalancer, Machine, Role, Taint};

/// A cluster file that is valid and asks for what `lbctl` cannot do yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// The API load balancer on machines of its own.
    #[error(
        "the API load balancer on a pool of its own (`loadBalancer.nodePoolSpec`) is not supported by `lbctl`"
    )]
    LoadBalancerPool,
    /// A load balancer of somebody else.
    #[error("`loadBalancer.mode: manual` is not supported by `lbctl`")]
    Manual,
}

impl Unsupported {
    /// What to do instead.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::LoadBalancerPool => {
                "set `controlPlane.loadBalancer.mode: bundled`: the API load balancer then runs on the control planes, Service addresses stay on the pool"
            }
            Self::Manual => "set `loadBalancer.mode: bundled`",
        }
    }
}

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
        pod_cidrs: cluster.network().pod_cidrs().collect(),
        service_cidrs: cluster.network().service_cidrs().collect(),
        extra_sans: cluster.control_plane().extra_sans().to_vec(),
        machines,
        data_plane: derive::data_plane(cluster),
    }
}

/// Whether `lbctl` can do what the file asks for.
///
/// # Errors
/// When it cannot.
pub fn supported(cluster: &Cluster, desired: &Desired) -> Result<(), Unsupported> {
    if cluster.load_balancer().mode() == Mode::Manual {
        return Err(Unsupported::Manual);
    }
    if desired
        .control_planes()
        .any(|machine| machine.load_balancer.is_none())
    {
        return Err(Unsupported::LoadBalancerPool);
    }
    Ok(())
}
