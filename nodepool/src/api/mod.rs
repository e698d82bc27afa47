//! The cluster's API as `lbctl` uses it: nodes, join secrets, manifests.

mod balancer;
mod client;
mod collect;
mod drain;
mod etcd;
mod maintenance;
mod manifests;
mod nodes;
mod objects;

pub use client::KubeConnector;
pub use etcd::{CLIENT_PORT, EtcdMember};
pub use manifests::MANAGER;

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::core::cluster_view::{BalancerPod, ClusterView, Drain, Maintain};
use crate::core::service_view::Objects;
use crate::core::snapshot::Collected;
use crate::core::step::Mark;
use crate::manifest::kubeadm::JoinSecrets;

/// Why the API did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiFailure {
    /// The kubeconfig cannot be used.
    #[error("the cluster's kubeconfig cannot be used: {0}")]
    Kubeconfig(String),
    /// No answer.
    #[error("the API at {server} does not answer: {reason}")]
    Silent {
        /// URL that was asked.
        server: String,
        /// Last reason.
        reason: String,
    },
    /// It refused.
    #[error("the API refused to {what}: {reason}")]
    Refused {
        /// What was asked.
        what: String,
        /// Its words.
        reason: String,
        /// The HTTP status.
        code: u16,
    },
    /// A manifest is no Kubernetes object.
    #[error("`{file}`: {reason}")]
    Manifest {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

/// An open way to the API. Every call tries again while the API does not answer, up to a bound.
pub trait ClusterApi: Send + Sync {
    /// Nodes as they are.
    fn view(&self) -> BoxFuture<'_, Result<ClusterView, ApiFailure>>;
    /// Pools, Services, speakers and workloads as they are.
    fn service_objects(&self) -> BoxFuture<'_, Result<Objects, ApiFailure>>;
    /// AddressPools and L2Advertisements of the data plane, whoever made them.
    fn pool_objects(&self) -> BoxFuture<'_, Result<Vec<Value>, ApiFailure>>;
    /// Removes one of them; what is not there is fine.
    fn delete_pool_object<'a>(
        &'a self,
        kind: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiFailure>>;
    /// Static pods of the API load balancer as they are.
    fn balancer_pods(&self) -> BoxFuture<'_, Result<Vec<BalancerPod>, ApiFailure>>;
    /// Objects that help to understand a trouble, kind by kind; what cannot be had says why.
    fn collect(&self) -> BoxFuture<'_, Vec<Collected>>;
    /// kubeadm's `ClusterConfiguration`, as the cluster was made; null when there is none.
    fn cluster_configuration(&self) -> BoxFuture<'_, Result<Value, ApiFailure>>;
    /// Takes a node out of service: nothing new is placed on it, and it hands its Service addresses over.
    fn retire<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<(), ApiFailure>>;
    /// Takes the label of load-balancer nodes from a node: its speaker ends.
    fn withdraw<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<(), ApiFailure>>;
    /// Asks every pod of a node to leave that does not belong to the node; names those that are still there, with the
    /// reason.
    fn evict<'a>(
        &'a self,
        node: &'a str,
        drain: Drain,
    ) -> BoxFuture<'a, Result<Vec<String>, ApiFailure>>;
    /// What is lost when a node is emptied: pods that nobody makes again, files.
    fn losses<'a>(
        &'a self,
        node: &'a str,
        drain: Drain,
    ) -> BoxFuture<'a, Result<Vec<String>, ApiFailure>>;
    /// Takes a node out of service for a while, or back.
    fn maintain<'a>(
        &'a self,
        node: &'a str,
        change: Maintain,
    ) -> BoxFuture<'a, Result<(), ApiFailure>>;
    /// Removes a node's object.
    fn delete_node<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<(), ApiFailure>>;
    /// Changes labels and taints of a node.
    fn mark<'a>(&'a self, mark: &'a Mark) -> BoxFuture<'a, Result<(), ApiFailure>>;
    /// Lets nodes in that know the token.
    fn add_join_token<'a>(
        &'a self,
        secrets: &'a JoinSecrets,
    ) -> BoxFuture<'a, Result<(), ApiFailure>>;
    /// Takes back what let nodes in: the token and the uploaded certificates.
    fn remove_join_secrets<'a>(
        &'a self,
        secrets: &'a JoinSecrets,
    ) -> BoxFuture<'a, Result<(), ApiFailure>>;
    /// Applies a manifest; true when something changed.
    fn apply_manifest<'a>(
        &'a self,
        text: &'a str,
        file: &'a str,
    ) -> BoxFuture<'a, Result<bool, ApiFailure>>;
    /// Names the objects of a manifest that applying it would change, as `Kind/name`.
    fn rehearse_manifest<'a>(
        &'a self,
        text: &'a str,
        file: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>, ApiFailure>>;
}

/// An open way to the cluster's etcd.
pub trait EtcdApi: Send + Sync {
    /// Members as they are.
    fn members(&self) -> BoxFuture<'_, Result<Vec<EtcdMember>, ApiFailure>>;
    /// Removes a member.
    fn remove<'a>(&'a self, member: &'a EtcdMember) -> BoxFuture<'a, Result<(), ApiFailure>>;
}

/// Opens ways to the API.
pub trait ApiConnector: Send + Sync {
    /// With the identity in `kubeconfig`, to `server` or to the one it names. `patience` bounds each call.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used; whether the API answers shows with the first call.
    fn connect<'a>(
        &'a self,
        kubeconfig: &'a str,
        server: Option<&'a str>,
        patience: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn ClusterApi>, ApiFailure>>;

    /// To etcd at `address`, with credentials as `script::read_etcd_credentials` prints them.
    ///
    /// # Errors
    /// When the credentials cannot be used.
    fn etcd<'a>(
        &'a self,
        credentials: &'a str,
        address: SocketAddr,
    ) -> BoxFuture<'a, Result<Box<dyn EtcdApi>, ApiFailure>>;
}
