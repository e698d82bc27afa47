//! kubeadm's configuration (v1beta4).

use serde_json::{Value, json};

use super::{NodeFile, yaml};
use crate::core::desired::{Desired, Machine};
use crate::core::facts::Facts;

/// Secrets of one run; kubeadm lets joining nodes in by them.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinSecrets {
    /// Bootstrap token, `[a-z0-9]{6}.[a-z0-9]{16}`.
    pub token: String,
    /// Key of the uploaded certificates, 32 bytes in hex.
    pub certificate_key: String,
}

impl std::fmt::Debug for JoinSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JoinSecrets(…)")
    }
}

impl JoinSecrets {
    /// Public and secret part of the token.
    pub fn token_parts(&self) -> (&str, &str) {
        self.token.split_once('.').unwrap_or((&self.token, ""))
    }
}

/// Where Kubernetes' own software comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Software {
    /// `v1.36.3`.
    pub version: String,
    /// Registry of the images when they come from a bundle.
    pub image_repository: Option<String>,
}

/// What holds for the whole cluster because of some machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowances {
    /// A machine has cgroup v1.
    pub cgroup_v1: bool,
    /// A machine cannot write `nf_conntrack_max`.
    pub conntrack_read_only: bool,
}

impl Allowances {
    /// What the machines of a cluster need.
    pub fn of<'a>(facts: impl IntoIterator<Item = &'a Facts>) -> Self {
        facts.into_iter().fold(Self::default(), |all, facts| Self {
            cgroup_v1: all.cgroup_v1 || facts.cgroup == 1,
            conntrack_read_only: all.conntrack_read_only || !facts.conntrack_writable,
        })
    }
}

const CRI_SOCKET: &str = "unix:///run/containerd/containerd.sock";
const API: &str = "kubeadm.k8s.io/v1beta4";
/// The token is removed at the end of a run; this bounds its life when that end never comes.
const TOKEN_TTL: &str = "2h0m0s";

/// Patches for kubeadm on a node: `kubeadm upgrade node --patches` needs them too.
pub const PATCHES: &str = "/etc/lbnode/kubeadm-patches";
/// The one for the API server.
pub const API_SERVER_PATCH: &str = "/etc/lbnode/kubeadm-patches/kube-apiserver0+json.json";

/// The API server keeps to the address of its node: the proxy has the same port on the virtual IP. kubeadm knows arguments of
/// API servers for all of them only.
pub fn api_server_patch(machine: &Machine) -> NodeFile {
    let patch = json!([{
        "op": "add",
        "path": "/spec/containers/0/command/-",
        "value": format!("--bind-address={}", machine.node_ip),
    }]);
    NodeFile::public(API_SERVER_PATCH, format!("{patch}\n"))
}

/// Configuration of `kubeadm init`: four documents.
pub fn init(
    desired: &Desired,
    machine: &Machine,
    facts: &Facts,
    software: &Software,
    allowances: Allowances,
    secrets: &JoinSecrets,
) -> String {
    let mut first = json!({
        "apiVersion": API,
        "kind": "InitConfiguration",
        "bootstrapTokens": [{
            "token": secrets.token,
            "ttl": TOKEN_TTL,
            "groups": ["system:bootstrappers:kubeadm:default-node-token"],
            "usages": ["signing", "authentication"],
        }],
        "certificateKey": secrets.certificate_key,
        "localAPIEndpoint": {"advertiseAddress": machine.node_ip, "bindPort": desired.api_port},
        "nodeRegistration": registration(desired, machine, facts),
    });
    patched(desired, machine, &mut first);
    documents(&[
        first,
        cluster(desired, software),
        kubelet(allowances, software),
        kube_proxy(allowances),
    ])
}

/// Configuration of `kubeadm join`. `discovery` is the path of the discovery kubeconfig on the node.
pub fn join(
    desired: &Desired,
    machine: &Machine,
    facts: &Facts,
    secrets: &JoinSecrets,
    discovery: &str,
) -> String {
    let mut join = json!({
        "apiVersion": API,
        "kind": "JoinConfiguration",
        "discovery": {
            "file": {"kubeConfigPath": discovery},
            "tlsBootstrapToken": secrets.token,
        },
        "nodeRegistration": registration(desired, machine, facts),
    });
    if machine.is_control_plane() {
        join["controlPlane"] = json!({
            "certificateKey": secrets.certificate_key,
            "localAPIEndpoint": {"advertiseAddress": machine.node_ip, "bindPort": desired.api_port},
        });
    }
    patched(desired, machine, &mut join);
    documents(&[join])
}

fn patched(desired: &Desired, machine: &Machine, configuration: &mut Value) {
    if desired.shares_port(machine) {
        configuration["patches"] = json!({"directory": PATCHES});
    }
}

/// A kubeconfig that only says where the API is and which CA it has: joining nodes need not trust blindly.
pub fn discovery(desired: &Desired, certificate_authority_data: &str) -> String {
    documents(&[json!({
        "apiVersion": "v1",
        "kind": "Config",
        // As in the ConfigMap `cluster-info`: a context would have to name a user.
        "clusters": [{
            "name": "",
            "cluster": {
                "server": desired.server_url(),
                "certificate-authority-data": certificate_authority_data,
            },
        }],
        "contexts": [],
        "current-context": "",
        "users": [],
    })])
}

fn cluster(desired: &Desired, software: &Software) -> Value {
    let mut sans: Vec<String> = desired.vips().map(|vip| vip.to_string()).collect();
    for machine in desired.control_planes() {
        sans.extend([machine.node_ip.to_string(), machine.address.to_string()]);
    }
    sans.extend(desired.extra_sans.iter().cloned());
    let mut unique = Vec::with_capacity(sans.len());
    for san in sans {
        if !unique.contains(&san) {
            unique.push(san);
        }
    }
    let joined = |cidrs: &[ipnet::IpNet]| {
        cidrs
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    let mut cluster = json!({
        "apiVersion": API,
        "kind": "ClusterConfiguration",
        "clusterName": desired.name,
        "kubernetesVersion": software.version,
        "controlPlaneEndpoint": desired.endpoint(),
        "networking": {
            "podSubnet": joined(&desired.pod_cidrs),
            "serviceSubnet": joined(&desired.service_cidrs),
        },
        "apiServer": {"certSANs": unique},
    });
    if let Some(repository) = &software.image_repository {
        cluster["imageRepository"] = json!(repository);
    }
    cluster
}

fn kubelet(allowances: Allowances, software: &Software) -> Value {
    let mut kubelet = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        // A change of the node's state, such as a network that has become ready, is told after 2 s and not after
        // 10; without a change it is written as rarely as by default.
        "nodeStatusUpdateFrequency": "2s",
        "nodeStatusReportFrequency": "5m0s",
    });
    if allowances.cgroup_v1 {
        // Kubernetes 1.35 and later refuse cgroup v1 otherwise.
        kubelet["failCgroupV1"] = json!(false);
    }
    if software.image_repository.is_some() {
        // Images of a bundle cannot be pulled again once they were collected.
        kubelet["imageGCHighThresholdPercent"] = json!(100);
    }
    kubelet
}

fn kube_proxy(allowances: Allowances) -> Value {
    let mut proxy = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
    });
    if allowances.conntrack_read_only {
        proxy["conntrack"] = json!({"maxPerCore": 0});
    }
    proxy
}

fn registration(desired: &Desired, machine: &Machine, facts: &Facts) -> Value {
    let mut arguments = vec![json!({"name": "node-ip", "value": machine.node_ip})];
    if facts.cgroup == 1 {
        // The cluster's configuration allows it only if a machine had cgroup v1 when the cluster was made.
        arguments.push(json!({"name": "fail-cgroupv1", "value": "false"}));
    }
    let mut registration = json!({
        "name": facts.hostname,
        "criSocket": CRI_SOCKET,
        "imagePullPolicy": "IfNotPresent",
        "kubeletExtraArgs": arguments,
    });
    if !machine.is_control_plane() {
        let taints: Vec<_> = machine
            .taints
            .iter()
            .map(|taint| json!({"key": taint.key, "value": taint.value, "effect": taint.effect}))
            .collect();
        registration["taints"] = json!(taints);
    } else if desired.control_planes_take_workloads() {
        registration["taints"] = json!([]);
    }
    let mut ignored = Vec::new();
    if facts.system_verification_impossible() {
        ignored.push("SystemVerification");
    }
    if machine.is_dedicated_balancer() {
        // Its static pods are there, and go on.
        ignored.push("DirAvailable--etc-kubernetes-manifests");
    }
    if !ignored.is_empty() {
        registration["ignorePreflightErrors"] = json!(ignored);
    }
    registration
}

fn documents(values: &[Value]) -> String {
    values.iter().map(yaml).collect::<Vec<_>>().join("---\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::from_config;

    fn joined(cgroup: u8) -> String {
        let text = include_str!("../../../examples/three-control-planes.yaml");
        let loaded = cluster_config::load(text, "x");
        let desired = from_config::desired(&loaded.cluster.expect("the example is valid"));
        let facts = Facts {
            hostname: "m0".to_owned(),
            cgroup,
            ..Facts::default()
        };
        let secrets = JoinSecrets {
            token: "a.b".to_owned(),
            certificate_key: "c".to_owned(),
        };
        join(&desired, &desired.machines[0], &facts, &secrets, "/d")
    }

    /// The kubelet's configuration is the cluster's, and its other machines may have cgroup v2.
    #[test]
    fn a_kubelet_on_cgroup_v1_is_told_so_by_itself() {
        assert!(joined(1).contains("name: fail-cgroupv1"), "{}", joined(1));
        assert!(!joined(2).contains("fail-cgroupv1"));
        let mixed = [1, 2].map(|cgroup| Facts {
            cgroup,
            ..Facts::default()
        });
        assert!(Allowances::of(&mixed).cgroup_v1);
        assert!(!Allowances::of(&mixed[1..]).cgroup_v1);
    }
}
