//! The scripted cluster's API.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use nodepool::api::{ApiFailure, ClusterApi, EtcdApi, EtcdMember, MANAGER};
use nodepool::core::cluster_view::{
    BalancerPod, ClusterView, Drain, Maintain, Maintenance, NodeView,
};
use nodepool::core::desired::{Desired, LBNODE_LABEL, Taint};
use nodepool::core::service_view::Objects;
use nodepool::core::snapshot::Collected;
use nodepool::core::step::Mark;
use nodepool::manifest::kubeadm::JoinSecrets;
use serde_json::{Value, json};

use super::Site;

#[derive(Debug, Clone)]
pub(crate) struct FakeNode {
    pub(crate) cidr: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taints: Vec<Taint>,
    pub(crate) address: IpAddr,
    pub(crate) ready: bool,
    /// Nothing new is placed on it.
    pub(crate) retired: bool,
    /// Looks until its pods are gone.
    pub(crate) pods: u32,
    /// Looks until its speaker has handed its address over.
    pub(crate) held: u32,
    pub(crate) maintenance: Option<Maintenance>,
}

impl FakeNode {
    pub(crate) fn new(index: usize, role: &str, address: IpAddr) -> Self {
        let label = (role == "control-plane").then(|| {
            let key = "node-role.kubernetes.io/control-plane";
            (key.to_owned(), String::new())
        });
        Self {
            address,
            ready: true,
            retired: false,
            pods: 3,
            held: 2,
            maintenance: None,
            cidr: format!("10.244.{index}.0/24"),
            labels: label.into_iter().collect(),
            taints: Vec::new(),
        }
    }
}

pub(crate) struct FakeApi {
    pub(crate) site: Site,
}

impl ClusterApi for FakeApi {
    fn view(&self) -> BoxFuture<'_, Result<ClusterView, ApiFailure>> {
        async move {
            let inner = self.site.inner();
            let nodes = inner.nodes.iter().map(|(name, node)| {
                let view = NodeView {
                    ready: node.ready,
                    addresses: vec![node.address],
                    pod_cidrs: vec![node.cidr.parse().expect("a range")],
                    labels: node.labels.clone(),
                    taints: node.taints.clone(),
                    cordoned: node.retired,
                    maintenance: node.maintenance.clone(),
                    ..NodeView::default()
                };
                (name.clone(), view)
            });
            Ok(ClusterView {
                nodes: nodes.collect(),
                etcd: BTreeSet::new(),
            })
        }
        .boxed()
    }

    fn service_objects(&self) -> BoxFuture<'_, Result<Objects, ApiFailure>> {
        async move { Ok(self.site.inner().service_objects()) }.boxed()
    }

    fn pool_objects(&self) -> BoxFuture<'_, Result<Vec<Value>, ApiFailure>> {
        async move {
            let inner = self.site.inner();
            let pools = inner.applied.iter().filter(|(key, _)| {
                key.starts_with("AddressPool/") || key.starts_with("L2Advertisement/")
            });
            let pools = pools.map(|(_, object)| {
                let mut object = object.clone();
                object["metadata"]["managedFields"] =
                    json!([{ "manager": MANAGER, "fieldsV1": { "f:spec": {} } }]);
                object
            });
            Ok(pools.collect())
        }
        .boxed()
    }

    fn delete_pool_object<'a>(
        &'a self,
        kind: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            self.site.inner().applied.remove(&format!("{kind}/{name}"));
            Ok(())
        }
        .boxed()
    }

    fn balancer_pods(&self) -> BoxFuture<'_, Result<Vec<BalancerPod>, ApiFailure>> {
        async move { Ok(self.site.inner().balancer_pods()) }.boxed()
    }

    fn collect(&self) -> BoxFuture<'_, Vec<Collected>> {
        async move {
            let objects = Ok(self.site.inner().collected.clone());
            let kind = "events";
            vec![Collected { kind, objects }]
        }
        .boxed()
    }

    fn cluster_configuration(&self) -> BoxFuture<'_, Result<Value, ApiFailure>> {
        async move { Ok(self.site.inner().made.clone()) }.boxed()
    }

    fn retire<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            self.site.api_step(&format!("api retire {node}"), |inner| {
                let node = inner.nodes.get_mut(node).expect("a node of the cluster");
                node.retired = true;
                node.labels.remove(LBNODE_LABEL);
            })
        }
        .boxed()
    }

    fn withdraw<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            self.site
                .api_step(&format!("api withdraw {node}"), |inner| {
                    let serves = |node: &FakeNode| node.labels.contains_key(LBNODE_LABEL);
                    let others = inner.nodes.iter().filter(|(name, _)| *name != node);
                    let others = others.filter(|(_, other)| serves(other) && !other.retired);
                    assert!(others.count() > 0, "nobody is left when {node} withdraws");
                    assert_eq!(inner.slow_speakers, 0, "the others are not able to yet");
                    assert!(inner.has_speakers_image(node), "{node} had no speaker");
                    let node = inner.nodes.get_mut(node).expect("a node of the cluster");
                    assert_eq!(node.held, 0, "an address is in use there");
                    node.labels.remove(LBNODE_LABEL);
                })
        }
        .boxed()
    }

    fn evict<'a>(
        &'a self,
        node: &'a str,
        _: Drain,
    ) -> BoxFuture<'a, Result<Vec<String>, ApiFailure>> {
        async move {
            let mut inner = self.site.inner();
            let node = inner.nodes.get_mut(node).expect("a node of the cluster");
            assert!(node.retired, "new pods would be placed on it");
            node.pods = node.pods.saturating_sub(1);
            let left = (node.pods > 0).then(|| "default/web is ending".to_owned());
            Ok(left.into_iter().collect())
        }
        .boxed()
    }

    fn losses<'a>(
        &'a self,
        _: &'a str,
        _: Drain,
    ) -> BoxFuture<'a, Result<Vec<String>, ApiFailure>> {
        async move { Ok(vec!["the files of the pod default/web on it".to_owned()]) }.boxed()
    }

    fn maintain<'a>(
        &'a self,
        node: &'a str,
        change: Maintain,
    ) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            let what = format!("api maintain {node} {change:?}");
            self.site.api_step(&what, |inner| {
                let node = inner.nodes.get_mut(node).expect("a node of the cluster");
                let noted = node.maintenance.get_or_insert_default();
                match change {
                    Maintain::Begin => (node.retired, noted.drained) = (true, false),
                    Maintain::Drained => {
                        assert_eq!((node.pods, node.held), (0, 0), "something is in use");
                        noted.drained = true;
                    }
                    Maintain::End => (node.retired, node.maintenance) = (false, None),
                }
            })
        }
        .boxed()
    }

    fn delete_node<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            self.site.api_step(&format!("api delete {node}"), |inner| {
                inner.nodes.remove(node);
            })
        }
        .boxed()
    }

    fn mark<'a>(&'a self, mark: &'a Mark) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            let mut inner = self.site.inner();
            let node = inner
                .nodes
                .get_mut(&mark.node)
                .expect("a node of the cluster");
            node.labels.extend(mark.labels.clone());
            node.taints
                .retain(|taint| !mark.remove_taints.contains(&taint.key));
            node.taints.extend(mark.add_taints.clone());
            Ok(())
        }
        .boxed()
    }

    fn add_join_token<'a>(
        &'a self,
        secrets: &'a JoinSecrets,
    ) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            self.site.inner().token_secrets.push(secrets.token.clone());
            Ok(())
        }
        .boxed()
    }

    fn remove_join_secrets<'a>(
        &'a self,
        _: &'a JoinSecrets,
    ) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            self.site.inner().token_secrets.clear();
            Ok(())
        }
        .boxed()
    }

    fn apply_manifest<'a>(
        &'a self,
        text: &'a str,
        file: &'a str,
    ) -> BoxFuture<'a, Result<bool, ApiFailure>> {
        async move {
            if self.site.inner().refuses.as_deref() == Some(file) {
                return Err(ApiFailure::Refused {
                    what: format!("apply {file}"),
                    reason: "spec.addresses: Invalid value".to_owned(),
                    code: 422,
                });
            }
            let before = self
                .site
                .inner()
                .texts
                .insert(file.to_owned(), text.to_owned());
            if before.as_deref() == Some(text) {
                return Ok(false);
            }
            let mut inner = self.site.inner();
            let mut changed = false;
            for (key, object) in named_objects(text) {
                changed |= inner.applied.get(&key) != Some(&object);
                inner.applied.insert(key, object);
            }
            Ok(changed)
        }
        .boxed()
    }

    fn rehearse_manifest<'a>(
        &'a self,
        text: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>, ApiFailure>> {
        async move {
            let applied = &self.site.inner().applied;
            let differs = |(key, object): &(String, Value)| applied.get(key) != Some(object);
            let objects = named_objects(text).into_iter().filter(differs);
            Ok(objects.map(|(key, _)| key).collect())
        }
        .boxed()
    }
}

/// The objects of a manifest, as `Kind/name`.
fn named_objects(text: &str) -> Vec<(String, Value)> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text).expect("a manifest");
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let named = |object: Value| {
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        (format!("{kind}/{name}"), object)
    };
    objects.into_iter().map(named).collect()
}

/// What kubeadm writes down of a cluster.
pub(crate) fn made(desired: &Desired) -> Value {
    let joined = |cidrs: &[ipnet::IpNet]| {
        let cidrs = cidrs.iter().map(ToString::to_string);
        cidrs.collect::<Vec<_>>().join(",")
    };
    json!({
        "clusterName": desired.name,
        "controlPlaneEndpoint": desired.endpoint(),
        "kubernetesVersion": "v1.36.3",
        "networking": {
            "podSubnet": joined(&desired.pod_cidrs),
            "serviceSubnet": joined(&desired.service_cidrs),
        },
        "apiServer": {"certSANs": desired.extra_sans},
    })
}

/// The members are the machines whose kubeadm went far enough.
pub(crate) struct FakeEtcd {
    pub(crate) site: Site,
}

impl EtcdApi for FakeEtcd {
    fn members(&self) -> BoxFuture<'_, Result<Vec<EtcdMember>, ApiFailure>> {
        async move {
            let inner = self.site.inner();
            let members = inner.etcd.iter().map(|address| EtcdMember {
                id: address.to_string(),
                peers: vec![*address],
            });
            Ok(members.collect())
        }
        .boxed()
    }

    fn remove<'a>(&'a self, member: &'a EtcdMember) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            let address = member.peers[0];
            self.site
                .api_step(&format!("etcd remove {address}"), |inner| {
                    inner.etcd.remove(&address);
                })
        }
        .boxed()
    }
}
