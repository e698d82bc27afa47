//! The static pods `lb-vrrp` and `lb-proxy`.

use serde_json::{Value, json};

use super::{NodeFile, PROXY_CONFIG, VRRP_CONFIG, yaml};
use crate::{lbnode, oci};

/// A static pod of the API load balancer.
#[derive(Debug, Clone, Copy)]
pub struct StaticPod {
    name: &'static str,
    role: &'static str,
    config: &'static str,
    capabilities: &'static [&'static str],
    /// Requested of the processors: more than is used. The kernel makes a weight of it, and whoever has a small one waits
    /// long for its turn on a busy node. A router without realtime scheduling that misses three adverts loses the VIP.
    cpu: &'static str,
    admin: Admin,
}

#[derive(Debug, Clone, Copy)]
struct Admin {
    port: u16,
    memory: &'static str,
}

/// The virtual routers. SYS_NICE and IPC_LOCK are for the real-time path; it does without when they are refused.
pub const VRRP: StaticPod = StaticPod {
    name: "lb-vrrp",
    role: "vrrp",
    config: VRRP_CONFIG,
    capabilities: &["NET_ADMIN", "NET_RAW", "SYS_NICE", "IPC_LOCK"],
    cpu: "250m",
    admin: Admin {
        port: 11003,
        memory: "32Mi",
    },
};

/// The TCP proxy in front of the API servers.
pub const PROXY: StaticPod = StaticPod {
    name: "lb-proxy",
    role: "proxy",
    config: PROXY_CONFIG,
    capabilities: &["NET_BIND_SERVICE"],
    cpu: "100m",
    admin: Admin {
        port: 11000,
        memory: "64Mi",
    },
};

/// CA of the API servers; kubeadm writes it before it starts the kubelet.
pub const CA: &str = "/etc/kubernetes/pki/ca.crt";
/// Who the pods run as: a user that owns nothing on a node.
const NOBODY: u32 = 65534;
/// What `system-node-critical` stands for; static pods are read before that class exists.
const NODE_CRITICAL: u32 = 2_000_001_000;

impl StaticPod {
    /// Name of the pod; the node's name is added by the kubelet.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Path of its manifest.
    pub fn path(&self) -> String {
        format!("/etc/kubernetes/manifests/{}.yaml", self.name)
    }

    /// Its manifest. `ca`: where the CA's certificate is on the node.
    pub fn file(&self, config_sha256: &str, image_digest: &str, ca: &str) -> NodeFile {
        let pod = self.pod(config_sha256, image_digest, ca);
        NodeFile::private(self.path(), yaml(&pod))
    }

    fn pod(&self, config_sha256: &str, image_digest: &str, ca: &str) -> Value {
        let probe = |path: &str, period: u32, failures: u32| {
            json!({
                "httpGet": {"host": "127.0.0.1", "port": self.admin.port, "path": path},
                "periodSeconds": period,
                "timeoutSeconds": 2,
                "failureThreshold": failures,
            })
        };
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self.name,
                "namespace": "kube-system",
                "labels": {"app.kubernetes.io/name": self.name, "app.kubernetes.io/part-of": "lbnode", "tier": "control-plane"},
                "annotations": {
                    "bundledlb.io/config-sha256": config_sha256,
                    "bundledlb.io/image-digest": image_digest,
                },
            },
            "spec": {
                "hostNetwork": true,
                "priorityClassName": "system-node-critical",
                "priority": NODE_CRITICAL,
                "terminationGracePeriodSeconds": 20,
                "tolerations": [{"operator": "Exists"}],
                "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": self.role,
                    "image": lbnode::IMAGE,
                    "imagePullPolicy": "Never",
                    "command": [oci::PROGRAM, self.role, "--config", self.config],
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"], "add": self.capabilities},
                        "runAsNonRoot": true,
                        "runAsUser": NOBODY,
                        "runAsGroup": NOBODY,
                    },
                    "resources": {"requests": {"cpu": self.cpu, "memory": self.admin.memory}},
                    "livenessProbe": probe("/livez", 5, 4),
                    "readinessProbe": probe("/readyz", 2, 2),
                    "volumeMounts": [
                        {"name": "config", "mountPath": self.config, "readOnly": true},
                        {"name": "ca", "mountPath": CA, "readOnly": true},
                    ],
                }],
                "volumes": [
                    {"name": "config", "hostPath": {"path": self.config, "type": "File"}},
                    {"name": "ca", "hostPath": {"path": ca, "type": "File"}},
                ],
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_has_one_capability_and_is_not_root() {
        let pod = PROXY.pod("config", "image", CA);
        let spec = &pod["spec"];
        let containers = spec["containers"].as_array().expect("containers");
        assert_eq!(containers.len(), 1);
        assert_eq!(
            containers[0]["securityContext"],
            json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
                "runAsNonRoot": true,
                "runAsUser": 65534,
                "runAsGroup": 65534,
            })
        );
        for mount in containers[0]["volumeMounts"].as_array().expect("mounts") {
            assert_eq!(mount["readOnly"], true, "{mount}");
        }
        assert_eq!(spec["initContainers"], Value::Null);
        assert_eq!(spec["hostPID"], Value::Null);
    }
}
