//! What is written to the API. Every write names the version it is on top of, and has a limited time.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::core::v1::{Event as ApiEvent, EventSource, ObjectReference, Secret, Service},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use ring::rand::SecureRandom as _;
use serde_json::{Value, json};

use super::{
    convert::{self, FINALIZER},
    crd::{AddressBlock, AddressBlockSpec, AddressPool, Speaker, SpeakerStatus},
};
use crate::core::{
    allocator::PoolReport,
    condition::Condition,
    ledger::{BlockWrite, Entries},
    registrar::{Event, ServiceWrite},
};

/// Who we are in `managedFields` and in events.
pub const MANAGER: &str = "lbnode-controller";
/// A request that takes longer counts as failed; less than the margin a leader leaves before its time is up.
pub const PATIENCE: Duration = Duration::from_millis(2500);
/// How often what is there is asked for after a write of which that is unknown.
const PAUSE: Duration = Duration::from_millis(200);

/// How the write of a Service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceWritten {
    /// It has this version now.
    Done(String),
    /// It does not exist any more, at least not this incarnation of it.
    Gone,
    /// Somebody else wrote in between.
    Conflict,
    /// It is unknown whether it was written.
    Failed,
}

/// How the write of a block ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockWritten {
    /// It has this version now; `None`: it was deleted.
    Done(Option<String>),
    /// It was not written, as far as is known; this is there.
    Failed(Option<(String, Entries)>),
}

/// Writes a Service's finalizer and status.
pub async fn service(client: Client, write: &ServiceWrite, now: Timestamp) -> ServiceWritten {
    let api: Api<Service> = Api::namespaced(client, &write.key.namespace);
    let name = &write.key.name;
    let request = async {
        if write.finalize {
            // Over the object itself: the server only cleans up what a Service had when it goes that way.
            let patch = Patch::Strategic(finalize(write));
            api.patch(name, &PatchParams::default(), &patch).await
        } else {
            let params = PatchParams::apply(MANAGER).force();
            api.patch_status(name, &params, &Patch::Apply(status(write, now)))
                .await
        }
    };
    match tokio::time::timeout(PATIENCE, request).await {
        // Others may keep it a little longer; what becomes of it is seen.
        Ok(Ok(_)) if write.finalize => ServiceWritten::Gone,
        Ok(Ok(service)) => {
            ServiceWritten::Done(service.metadata.resource_version.unwrap_or_default())
        }
        Ok(Err(kube::Error::Api(answer))) if answer.code == 404 => ServiceWritten::Gone,
        Ok(Err(kube::Error::Api(answer))) if answer.code == 409 => ServiceWritten::Conflict,
        Ok(Err(error)) => {
            tracing::warn!(service = %write.key, %error, "a Service was not written");
            ServiceWritten::Failed
        }
        Err(_) => ServiceWritten::Failed,
    }
}

fn identity(write: &ServiceWrite) -> Value {
    json!({
        "name": write.key.name,
        "namespace": write.key.namespace,
        "uid": write.uid,
        "resourceVersion": write.version,
    })
}

fn finalize(write: &ServiceWrite) -> Value {
    let mut metadata = identity(write);
    metadata["$deleteFromPrimitiveList/finalizers"] = json!([FINALIZER]);
    json!({ "metadata": metadata })
}

fn status(write: &ServiceWrite, now: Timestamp) -> Value {
    let mut metadata = identity(write);
    let mut status = json!({});
    if write.finalizer {
        metadata["finalizers"] = json!([FINALIZER]);
        let entry = |address: &IpAddr| json!({ "ip": address.to_string(), "ipMode": "VIP" });
        let ingress: Vec<Value> = write.addresses.iter().map(entry).collect();
        let one = |one: &Condition| condition(one.kind.as_str(), one, now);
        let conditions: Vec<Value> = write.conditions.iter().map(one).collect();
        status = json!({ "loadBalancer": { "ingress": ingress }, "conditions": conditions });
    }
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "status": status })
}

fn condition(kind: &str, condition: &Condition, now: Timestamp) -> Value {
    let since = condition
        .since
        .and_then(|since| Timestamp::from_second(since).ok());
    json!({
        "type": kind,
        "status": if condition.holds { "True" } else { "False" },
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": Time(since.unwrap_or(now)),
    })
}

/// Writes a block of the ledger.
pub async fn block(client: Client, write: &BlockWrite) -> BlockWritten {
    let api: Api<AddressBlock> = Api::all(client);
    let name = write.id.name();
    match tokio::time::timeout(PATIENCE, try_block(&api, &name, write)).await {
        Ok(Ok(version)) => return BlockWritten::Done(version),
        Ok(Err(error)) => tracing::debug!(block = name, %error, "a block was not written"),
        Err(_) => tracing::debug!(block = name, "a block was not written in time"),
    }
    loop {
        match tokio::time::timeout(PATIENCE, api.get_opt(&name)).await {
            Ok(Ok(found)) => return BlockWritten::Failed(found.as_ref().map(seen_block)),
            Ok(Err(_)) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// A block as the ledger knows it.
pub fn seen_block(block: &AddressBlock) -> (String, Entries) {
    let version = block.metadata.resource_version.clone().unwrap_or_default();
    (version, convert::block(block))
}

async fn try_block(
    api: &Api<AddressBlock>,
    name: &str,
    write: &BlockWrite,
) -> kube::Result<Option<String>> {
    if write.entries.is_empty() {
        let preconditions = Preconditions {
            resource_version: write.version.clone(),
            uid: None,
        };
        api.delete(name, &DeleteParams::default().preconditions(preconditions))
            .await?;
        return Ok(None);
    }
    let mut object = AddressBlock::new(
        name,
        AddressBlockSpec {
            allocations: allocations(&write.entries),
        },
    );
    let params = PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    };
    object.metadata.resource_version.clone_from(&write.version);
    let written = match write.version {
        Some(_) => api.replace(name, &params, &object).await?,
        None => api.create(&params, &object).await?,
    };
    Ok(written.metadata.resource_version)
}

fn allocations(entries: &Entries) -> BTreeMap<String, BTreeMap<String, String>> {
    let named = entries.iter().map(|(address, holders)| {
        let holders = holders
            .iter()
            .map(|(key, version)| (key.to_string(), version.clone()));
        (address.to_string(), holders.collect())
    });
    named.collect()
}

/// What is to be said of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolStatus {
    /// Name of the AddressPool.
    pub name: String,
    /// `metadata.generation` this is about.
    pub generation: i64,
    /// How full it is; `None`: it is not in force.
    pub report: Option<PoolReport>,
    /// Reason and message of its condition `Ready`, and whether that holds.
    pub ready: (bool, &'static str, String),
}

/// Writes the status of a pool of ours.
pub async fn pool(client: Client, status: PoolStatus, since: Timestamp) {
    let api: Api<AddressPool> = Api::all(client);
    let usage = |usage: Option<crate::core::allocator::Usage>| {
        let usage = usage.unwrap_or_default();
        json!({
            "total": usage.total.to_string(),
            "assigned": usage.assigned.to_string(),
            "available": usage.available.to_string(),
        })
    };
    let (holds, reason, message) = &status.ready;
    let patch = json!({
        "apiVersion": "bundledlb.io/v1",
        "kind": "AddressPool",
        "metadata": { "name": status.name },
        "status": {
            "observedGeneration": status.generation,
            "ipv4": usage(status.report.as_ref().map(|report| report.v4)),
            "ipv6": usage(status.report.as_ref().map(|report| report.v6)),
            "conditions": [{
                "type": "Ready",
                "status": if *holds { "True" } else { "False" },
                "reason": reason,
                "message": message,
                "observedGeneration": status.generation,
                "lastTransitionTime": Time(since),
            }],
        },
    });
    let params = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(patch);
    let request = api.patch_status(&status.name, &params, &patch);
    if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, request).await {
        tracing::debug!(pool = status.name, %error, "the status of a pool was not written");
    }
}

/// Posts an event about a Service; an event that cannot be posted is lost.
pub async fn event(client: Client, event: Event, now: Timestamp) {
    let api: Api<ApiEvent> = Api::namespaced(client, &event.key.namespace);
    let object = ApiEvent {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}.", event.key.name)),
            namespace: Some(event.key.namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            name: Some(event.key.name.clone()),
            namespace: Some(event.key.namespace.clone()),
            uid: Some(event.uid),
            ..ObjectReference::default()
        },
        type_: Some(if event.warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(event.reason),
        message: Some(event.message),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        source: Some(EventSource {
            component: Some(MANAGER.to_owned()),
            host: None,
        }),
        ..ApiEvent::default()
    };
    let params = PostParams::default();
    match tokio::time::timeout(PATIENCE, api.create(&params, &object)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an event was not posted"),
        Err(_) => tracing::debug!("an event was not posted in time"),
    }
}

/// Makes the Secret with the keys of the heartbeats, unless there is one; whether there is one now.
pub async fn speaker_keys(client: &Client, namespace: &str, name: &str) -> bool {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut key = [0; 32];
    if ring::rand::SystemRandom::new().fill(&mut key).is_err() {
        tracing::error!("the system gives no random numbers: there is no key for the heartbeats");
        return false;
    }
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(
            "0001".to_owned(),
            ByteString(key.to_vec()),
        )])),
        ..Secret::default()
    };
    match tokio::time::timeout(PATIENCE, api.create(&PostParams::default(), &secret)).await {
        Ok(Ok(_)) => {
            tracing::info!(
                namespace,
                name,
                "made a key for the heartbeats of the speakers"
            );
            true
        }
        Ok(Err(kube::Error::Api(answer))) if answer.is_already_exists() => true,
        Ok(Err(error)) => {
            tracing::warn!(namespace, name, %error, "cannot make a key for the heartbeats");
            false
        }
        Err(_) => {
            tracing::warn!(
                namespace,
                name,
                "cannot make a key for the heartbeats in time"
            );
            false
        }
    }
}

/// Writes what the speaker of `node` does; whether that worked.
pub async fn speaker(client: Client, node: &str, status: SpeakerStatus) -> bool {
    let api: Api<Speaker> = Api::all(client);
    let manager = "lbnode-speaker";
    let object = json!({
        "apiVersion": "bundledlb.io/v1", "kind": "Speaker", "metadata": { "name": node }, "spec": {},
    });
    let status = json!({
        "apiVersion": "bundledlb.io/v1", "kind": "Speaker", "metadata": { "name": node },
        "status": status,
    });
    let params = PatchParams::apply(manager).force();
    let request = async {
        let (object, status) = (Patch::Apply(object), Patch::Apply(status));
        match api.patch_status(node, &params, &status).await {
            Err(kube::Error::Api(answer)) if answer.code == 404 => {
                api.patch(node, &params, &object).await?;
                api.patch_status(node, &params, &status).await
            }
            result => result,
        }
    };
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the report was not written");
            false
        }
        Err(_) => false,
    }
}
