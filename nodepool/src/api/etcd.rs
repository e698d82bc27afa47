//! The members of a cluster's etcd, over its JSON gateway (etcd 3.6, `/v3/cluster/member/…`).
//!
//! `kubeadm reset` removes a member only when the node had become a full one. A control plane that lost its data
//! after etcd had taken it in would stop its etcd with "tocommit is out of range" for ever.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::client_of;
use super::{ApiFailure, EtcdApi};

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdMember {
    /// Its number, as the gateway writes it.
    pub id: String,
    /// Addresses where the other members reach it.
    pub peers: Vec<IpAddr>,
}

/// Port of etcd's clients.
pub const CLIENT_PORT: u16 = 2379;
/// Longest wait for one call.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "peerURLs", default)]
    peer_urls: Vec<String>,
}

pub(super) struct Gateway {
    client: Client,
    server: String,
}

impl Gateway {
    /// `credentials`: the lines CA, certificate, key, each a PEM file in base64.
    pub(super) async fn connect(
        credentials: &str,
        address: SocketAddr,
    ) -> Result<Self, ApiFailure> {
        let mut lines = credentials.lines();
        let mut next = || lines.next().unwrap_or_default();
        let (ca, certificate, key) = (next(), next(), next());
        let server = format!("https://{address}");
        let kubeconfig = json!({
            "clusters": [{"name": "etcd", "cluster": {"server": server, "certificate-authority-data": ca}}],
            "users": [{"name": "etcd", "user": {"client-certificate-data": certificate, "client-key-data": key}}],
            "contexts": [{"name": "etcd", "context": {"cluster": "etcd", "user": "etcd"}}],
            "current-context": "etcd",
        });
        let client = client_of(&kubeconfig.to_string(), None).await?;
        Ok(Self { client, server })
    }

    async fn call(&self, what: &str, body: Value) -> Result<Value, ApiFailure> {
        let silent = |reason: String| ApiFailure::Silent {
            server: self.server.clone(),
            reason,
        };
        let request = http::Request::post(format!("/v3/cluster/member/{what}"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body.to_string().into_bytes())
            .map_err(|error| silent(error.to_string()))?;
        match tokio::time::timeout(PATIENCE, self.client.request::<Value>(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(silent(super::client::chain(&error))),
            Err(_) => Err(silent(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }
}

impl EtcdApi for Gateway {
    fn members(&self) -> BoxFuture<'_, Result<Vec<EtcdMember>, ApiFailure>> {
        async move { Ok(members(self.call("list", json!({})).await?)) }.boxed()
    }

    fn remove<'a>(&'a self, member: &'a EtcdMember) -> BoxFuture<'a, Result<(), ApiFailure>> {
        async move {
            self.call("remove", json!({"ID": member.id}))
                .await
                .map(|_| ())
        }
        .boxed()
    }
}

fn members(answer: Value) -> Vec<EtcdMember> {
    let list: Members = serde_json::from_value(answer).unwrap_or(Members {
        members: Vec::new(),
    });
    let member = |member: Member| {
        // https://10.10.0.12:2380
        let address = |url: &String| {
            let host = url.split("//").nth(1)?.parse::<SocketAddr>().ok()?;
            Some(host.ip())
        };
        EtcdMember {
            id: member.id,
            peers: member.peer_urls.iter().filter_map(address).collect(),
        }
    };
    list.members.into_iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_answer_is_read() {
        let answer = json!({"header": {"raft_term": "2"}, "members": [
            {"ID": "10501334649042878790", "name": "cp1", "peerURLs": ["https://10.10.0.11:2380"]},
            {"ID": "6669986446470951644", "peerURLs": ["https://[fd00::12]:2380"], "isLearner": true},
        ]});
        let members = members(answer);
        assert_eq!(members[0].id, "10501334649042878790");
        assert_eq!(members[0].peers, [IpAddr::from([10, 10, 0, 11])]);
        assert_eq!(members[1].peers[0].to_string(), "fd00::12");
    }
}
