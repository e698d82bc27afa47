//! [`ClusterApi`] over kube's client.

#![expect(clippy::disallowed_methods, reason = "driver: reads the clock")]

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Node, Secret};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use super::etcd::Gateway;
use super::nodes::node_view;
use super::{ApiConnector, ApiFailure, ClusterApi, EtcdApi};
use crate::core::cluster_view::{BalancerPod, ClusterView, Drain, Maintain};
use crate::core::service_view::Objects;
use crate::core::snapshot::Collected;
use crate::core::step::Mark;
use crate::manifest::kubeadm::JoinSecrets;

/// Connects with kube's client. Proxy environment variables are ignored: the API is on the operator's network.
#[derive(Debug, Clone, Copy, Default)]
pub struct KubeConnector;

/// Pause between two tries of one call.
const PAUSE: Duration = Duration::from_millis(300);
/// Longest single try.
const TRY: Duration = Duration::from_secs(5);
/// Life of a join token; a finished run removes it itself.
const TOKEN_LIFE: jiff::SignedDuration = jiff::SignedDuration::from_hours(2);

impl ApiConnector for KubeConnector {
    fn connect<'a>(
        &'a self,
        kubeconfig: &'a str,
        server: Option<&'a str>,
        patience: Duration,
    ) -> BoxFuture<'a, Result<Box<dyn ClusterApi>, ApiFailure>> {
        async move {
            let client = client_of(kubeconfig, server).await?;
            let server = server.unwrap_or("its kubeconfig's server").to_owned();
            Ok(Box::new(KubeApi {
                client,
                server,
                patience,
            }) as Box<dyn ClusterApi>)
        }
        .boxed()
    }

    fn etcd<'a>(
        &'a self,
        credentials: &'a str,
        address: SocketAddr,
    ) -> BoxFuture<'a, Result<Box<dyn EtcdApi>, ApiFailure>> {
        async move {
            let gateway = Gateway::connect(credentials, address).await?;
            Ok(Box::new(gateway) as Box<dyn EtcdApi>)
        }
        .boxed()
    }
}

/// A client with the identity in `kubeconfig`, to `server` or to the one it names.
pub(super) async fn client_of(
    kubeconfig: &str,
    server: Option<&str>,
) -> Result<Client, ApiFailure> {
    let unusable = ApiFailure::Kubeconfig;
    let parsed = Kubeconfig::from_yaml(kubeconfig).map_err(|error| unusable(error.to_string()))?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(parsed, &options)
        .await
        .map_err(|error| unusable(error.to_string()))?;
    if let Some(server) = server {
        config.cluster_url = server
            .parse()
            .map_err(|_| unusable(format!("`{server}` is no URL")))?;
    }
    config.proxy_url = None;
    config.connect_timeout = Some(TRY);
    config.read_timeout = Some(TRY);
    config.write_timeout = Some(TRY);
    Client::try_from(config).map_err(|error| unusable(error.to_string()))
}

pub(super) struct KubeApi {
    pub(super) client: Client,
    server: String,
    patience: Duration,
}

impl KubeApi {
    /// Repeats `call` while the API does not answer or is not able to yet.
    pub(super) async fn patiently<T, F>(
        &self,
        what: &str,
        call: impl Fn() -> F,
    ) -> Result<T, ApiFailure>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let deadline = Instant::now() + self.patience;
        loop {
            let failure = match tokio::time::timeout(TRY, call()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(kube::Error::Api(status))) => {
                    let failure = ApiFailure::Refused {
                        what: what.to_owned(),
                        reason: status.message.clone(),
                        code: status.code,
                    };
                    // 409: somebody changed the object meanwhile; the call reads it again.
                    if !(matches!(status.code, 409 | 429) || status.code >= 500) {
                        return Err(failure);
                    }
                    failure
                }
                Ok(Err(error)) => self.silent(chain(&error)),
                Err(_) => self.silent(format!("no answer within {} s", TRY.as_secs())),
            };
            if Instant::now() >= deadline {
                return Err(failure);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn silent(&self, reason: String) -> ApiFailure {
        ApiFailure::Silent {
            server: self.server.clone(),
            reason,
        }
    }

    async fn delete_secret(&self, name: &str) -> Result<(), kube::Error> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), "kube-system");
        gone(
            secrets
                .delete(name, &DeleteParams::default())
                .await
                .map(|_| ()),
        )
    }
}

/// Deleting what is not there is success.
pub(super) fn gone(result: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}

impl ClusterApi for KubeApi {
    fn view(&self) -> BoxFuture<'_, Result<ClusterView, ApiFailure>> {
        async move {
            let nodes: Api<Node> = Api::all(self.client.clone());
            let params = ListParams::default();
            let list = self.patiently("list nodes", || nodes.list(&params)).await?;
            let named = list
                .items
                .into_iter()
                .filter_map(|node| Some((node.metadata.name.clone()?, node_view(node))));
            Ok(ClusterView {
                nodes: named.collect(),
                etcd: BTreeSet::new(),
            })
        }
        .boxed()
    }

    fn service_objects(&self) -> BoxFuture<'_, Result<Objects, ApiFailure>> {
        self.list_service_objects().boxed()
    }

    fn pool_objects(&self) -> BoxFuture<'_, Result<Vec<Value>, ApiFailure>> {
        self.list_pool_objects().boxed()
    }

    fn delete_pool_object<'a>(
        &'a self,
        kind: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), ApiFailure>> {
        self.delete_pool(kind, name).boxed()
    }

    fn balancer_pods(&self) -> BoxFuture<'_, Result<Vec<BalancerPod>, ApiFailure>> {
        self.list_balancer_pods().boxed()
    }

    fn collect(&self) -> BoxFuture<'_, Vec<Collected>> {
        self.collect_objects().boxed()
    }

    fn cluster_configuration(&self) -> BoxFuture<'_, Result<Value, ApiFailure>> {
        self.read_cluster_configuration().boxed()
    }

    fn retire<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<(), ApiFailure>> {
        self.retire_node(node).boxed()
    }

    fn withdraw<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<(), ApiFailure>> {
        self.withdraw_node(node).boxed()
    }

    fn evict<'a>(
        &'a self,
        node: &'a str,
        drain: Drain,
    ) -> BoxFuture<'a, Result<Vec<String>, ApiFailure>> {
        self.evict_pods(node, drain).boxed()
    }

    fn losses<'a>(
        &'a self,
        node: &'a str,
        drain: Drain,
    ) -> BoxFuture<'a, Result<Vec<String>, ApiFailure>> {
        self.list_losses(node, drain).boxed()
    }

    fn maintain<'a>(
        &'a self,
        node: &'a str,
        change: Maintain,
    ) -> BoxFuture<'a, Result<(), ApiFailure>> {
        self.maintain_node(node, change).boxed()
    }

    fn delete_node<'a>(&'a self, node: &'a str) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            let nodes: Api<Node> = Api::all(self.client.clone());
            self.patiently(&format!("delete node {node}"), || async {
                gone(
                    nodes
                        .delete(node, &DeleteParams::default())
                        .await
                        .map(|_| ()),
                )
            })
            .await
        }
        .boxed()
    }

    fn mark<'a>(&'a self, mark: &'a Mark) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            let what = format!("label node {}", mark.node);
            self.patiently(&what, || self.try_mark(mark)).await
        }
        .boxed()
    }

    fn add_join_token<'a>(
        &'a self,
        secrets: &'a JoinSecrets,
    ) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            let (id, secret) = secrets.token_parts();
            let expiration = jiff::Timestamp::now() + TOKEN_LIFE;
            let object: Secret = serde_json::from_value(json!({
                "metadata": {"name": format!("bootstrap-token-{id}"), "namespace": "kube-system"},
                "type": "bootstrap.kubernetes.io/token",
                "stringData": {
                    "token-id": id,
                    "token-secret": secret,
                    "expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                    "usage-bootstrap-authentication": "true",
                    "usage-bootstrap-signing": "true",
                    "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
                },
            }))
            .map_err(|error| ApiFailure::Kubeconfig(error.to_string()))?;
            let api: Api<Secret> = Api::namespaced(self.client.clone(), "kube-system");
            let params = PostParams::default();
            self.patiently("create a join token", || async {
                match api.create(&params, &object).await {
                    // An earlier try got through after all.
                    Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
                    other => other.map(|_| ()),
                }
            })
            .await
        }
        .boxed()
    }

    fn remove_join_secrets<'a>(
        &'a self,
        secrets: &'a JoinSecrets,
    ) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            let token = format!("bootstrap-token-{}", secrets.token_parts().0);
            for name in [token.as_str(), "kubeadm-certs"] {
                self.patiently("remove join secrets", || self.delete_secret(name))
                    .await?;
            }
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
            let changed = self.each_object(text, file, false).await?;
            Ok(!changed.is_empty())
        }
        .boxed()
    }

    fn rehearse_manifest<'a>(
        &'a self,
        text: &'a str,
        file: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>, ApiFailure>> {
        self.each_object(text, file, true).boxed()
    }
}

/// The whole chain of causes: the outermost alone ("service error") helps nobody.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A proxy of the operator's does not know the machines' network; here it is named where kube looks first.
    #[tokio::test]
    async fn the_api_is_asked_without_a_proxy() {
        let listen = || TcpListener::bind("127.0.0.1:0");
        let (api, proxy) = (
            listen().await.expect("a port"),
            listen().await.expect("a port"),
        );
        let port = |one: &TcpListener| one.local_addr().expect("an address").port();
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters:\n- name: c\n  cluster:\n    server: https://127.0.0.1:{}\n    proxy-url: http://127.0.0.1:{}\n\
             users:\n- name: u\n  user: {{token: t}}\n\
             contexts:\n- name: c\n  context: {{cluster: c, user: u}}\n",
            port(&api),
            port(&proxy)
        );
        let client = client_of(&kubeconfig, None).await.expect("a client");
        let asking = tokio::spawn(async move { client.apiserver_version().await });
        let asked = tokio::time::timeout(TRY, async {
            tokio::select! {
                asked = api.accept() => asked.map(|_| "the API"),
                asked = proxy.accept() => asked.map(|_| "the proxy"),
            }
        });
        let asked = asked
            .await
            .expect("somebody is asked")
            .expect("a connection");
        assert_eq!(asked, "the API");
        asking.abort();
    }
}
