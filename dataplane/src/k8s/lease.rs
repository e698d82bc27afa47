//! The Lease object: read as a [`Record`], written with optimistic locking.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};

use crate::core::lease::{Record, Written};

/// The Lease of the controllers.
#[derive(Clone)]
pub struct LeaseObject {
    api: Api<Lease>,
    name: String,
}

/// What to write into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseWrite {
    /// Who holds it; empty: nobody.
    pub holder: String,
    /// The version that must still be there; `None`: there must be no Lease.
    pub version: Option<String>,
    /// How often it changed hands.
    pub term: u64,
    /// How long it is good for.
    pub duration: Duration,
    /// Now, for those who read it; nobody judges by it.
    pub at: Timestamp,
}

impl LeaseObject {
    /// The Lease `name` in `namespace`.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
        }
    }

    /// To follow it.
    pub fn api(&self) -> Api<Lease> {
        self.api.clone()
    }

    /// Writes it.
    pub async fn write(&self, write: LeaseWrite) -> Written {
        let at = MicroTime(write.at);
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: write.version.clone(),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(write.holder),
                lease_duration_seconds: i32::try_from(write.duration.as_secs()).ok(),
                lease_transitions: i32::try_from(write.term).ok(),
                acquire_time: Some(at.clone()),
                renew_time: Some(at),
                ..LeaseSpec::default()
            }),
        };
        let params = PostParams::default();
        let result = match write.version {
            Some(_) => self.api.replace(&self.name, &params, &lease).await,
            None => self.api.create(&params, &lease).await,
        };
        match result {
            Ok(lease) => Written::Done(lease.metadata.resource_version.unwrap_or_default()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Written::Conflict,
            Err(error) => {
                tracing::debug!(%error, "the Lease was not written");
                Written::Failed
            }
        }
    }
}

/// What a Lease says.
pub fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.unwrap_or_default();
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        term: u64::try_from(spec.lease_transitions.unwrap_or_default()).unwrap_or(0),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}
