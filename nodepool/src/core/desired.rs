//! What the cluster file asks for, in the terms of the planner.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use cluster_config::derive::DataPlane;
use cluster_config::node::{ProxyConfig, VrrpConfig};
use ipnet::IpNet;

/// A cluster as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Its name.
    pub name: String,
    /// Virtual IP of the API.
    pub vip: IpAddr,
    /// Second virtual IP of the API, of the other family.
    pub vip6: Option<IpAddr>,
    /// Port of the API on the virtual IP.
    pub vip_port: u16,
    /// Port of every API server.
    pub api_port: u16,
    /// The load balancers are somebody else's (`loadBalancer.mode: manual`).
    pub external: bool,
    /// Pod ranges, one per family.
    pub pod_cidrs: Vec<IpNet>,
    /// Service ranges, one per family.
    pub service_cidrs: Vec<IpNet>,
    /// Further names and addresses in the API servers' certificates.
    pub extra_sans: Vec<String>,
    /// Kubernetes' package repository may be added to machines (`osEnvironmentConfig.addPackageRepo`).
    pub add_package_repo: bool,
    /// Machines: control planes first, in the file's order.
    pub machines: Vec<Machine>,
    /// Addresses for Services.
    pub data_plane: DataPlane,
}

/// A machine as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Where SSH reaches it; its key everywhere.
    pub address: IpAddr,
    /// Address of the node inside the cluster.
    pub node_ip: IpAddr,
    /// What it is in the cluster.
    pub role: Role,
    /// Configuration of the API load balancer, on machines that run it.
    pub load_balancer: Option<LoadBalancer>,
    /// It announces Service addresses (label `baremetal.cluster.gke.io/lbnode`).
    pub lbnode: bool,
    /// It is in one of the file's `maintenanceBlocks`.
    pub maintenance: bool,
    /// Labels of its pool.
    pub labels: BTreeMap<String, String>,
    /// Taints of its pool.
    pub taints: Vec<Taint>,
}

/// What a machine is in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// API server, etcd, controllers.
    ControlPlane,
    /// Load balancing only.
    LoadBalancer,
    /// Workloads.
    Worker,
}

/// The two node files of the API load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancer {
    /// `/etc/lbnode/vrrp.yaml`.
    pub vrrp: VrrpConfig,
    /// `/etc/lbnode/proxy.yaml`.
    pub proxy: ProxyConfig,
}

/// A taint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value; empty when there is none.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// Label of the nodes that announce Service addresses.
pub const LBNODE_LABEL: &str = "baremetal.cluster.gke.io/lbnode";
/// UDP port of the speakers' heartbeats.
pub const HEARTBEAT_PORT: u16 = 7946;

impl Desired {
    /// Machines that run API servers, in the file's order.
    pub fn control_planes(&self) -> impl Iterator<Item = &Machine> {
        self.machines
            .iter()
            .filter(|machine| machine.role == Role::ControlPlane)
    }

    /// No machine is left for workloads but the control planes.
    pub fn control_planes_take_workloads(&self) -> bool {
        self.machines
            .iter()
            .all(|machine| machine.role == Role::ControlPlane)
    }

    /// `ADDRESS:PORT` of the API, as in kubeconfigs.
    pub fn endpoint(&self) -> String {
        SocketAddr::new(self.vip, self.vip_port).to_string()
    }

    /// Where the API server of a control plane listens.
    pub fn api_server(&self, machine: &Machine) -> SocketAddr {
        SocketAddr::new(machine.node_ip, self.api_port)
    }

    /// A control plane has this address inside the cluster.
    pub fn has_api_server_at(&self, address: IpAddr) -> bool {
        self.control_planes()
            .any(|machine| machine.node_ip == address)
    }

    /// The proxy and the API server of this machine have the same port: the API server keeps to the node's own address.
    pub fn shares_port(&self, machine: &Machine) -> bool {
        let both = machine.is_control_plane() && machine.load_balancer.is_some();
        both && self.api_port == self.vip_port
    }

    /// The same with routers that wait until nobody has the virtual IPs.
    #[must_use]
    pub fn standing_back(&self) -> Self {
        let mut desired = self.clone();
        for machine in &mut desired.machines {
            if let Some(files) = &mut machine.load_balancer {
                files.vrrp.stand_back = true;
            }
        }
        desired
    }

    /// URL of the API.
    pub fn server_url(&self) -> String {
        format!("https://{}", self.endpoint())
    }

    /// The virtual IPs.
    pub fn vips(&self) -> impl Iterator<Item = IpAddr> {
        std::iter::once(self.vip).chain(self.vip6)
    }

    /// The same without the machines in maintenance.
    #[must_use]
    pub fn in_service(&self) -> Self {
        let mut desired = self.clone();
        desired.machines.retain(|machine| !machine.maintenance);
        desired
    }

    /// The virtual IPs that machines of the cluster have: none where the load balancer is somebody else's.
    pub fn own_vips(&self) -> impl Iterator<Item = IpAddr> {
        let ours = !self.external;
        self.vips().filter(move |_| ours)
    }

    /// The machine at `address`.
    pub fn machine(&self, address: IpAddr) -> Option<&Machine> {
        self.machines
            .iter()
            .find(|machine| machine.address == address)
    }
}

impl Machine {
    /// Others depend on it: it runs an API server, carries a virtual IP, or answers for Service addresses.
    pub fn serves(&self) -> bool {
        self.is_control_plane() || self.load_balancer.is_some() || self.lbnode
    }

    /// It has the API load balancer and is no control plane: it must run before there is a cluster to join.
    pub fn is_dedicated_balancer(&self) -> bool {
        self.load_balancer.is_some() && !self.is_control_plane()
    }

    /// Runs an API server.
    pub fn is_control_plane(&self) -> bool {
        self.role == Role::ControlPlane
    }
}

impl Role {
    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::LoadBalancer => "load-balancer",
            Self::Worker => "worker",
        }
    }

    /// What the membership record says (see `script/kubeadm_join.sh`).
    pub fn membership(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::LoadBalancer | Self::Worker => "worker",
        }
    }
}
