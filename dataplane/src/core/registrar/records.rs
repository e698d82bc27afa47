//! What the registrar sees and what it has written.

use std::net::IpAddr;

use crate::core::{
    condition::Condition,
    ledger::BlockWrite,
    service::{Service, ServiceKey},
};

/// A Service as the API holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenService {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub version: String,
    /// What it wants of us: it is of `type: LoadBalancer`, of a class we serve, and not being deleted.
    pub wants: Option<Service>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether the clean-up finalizer is on it.
    pub finalizer: bool,
    /// Addresses in its status.
    pub addresses: Vec<IpAddr>,
    /// Whether its status holds these addresses and nothing else, as we write them.
    pub plain: bool,
    /// Conditions of ours.
    pub conditions: Vec<Condition>,
}

impl SeenService {
    /// Whether this controller has written to it, or should.
    pub(super) fn is_ours(&self) -> bool {
        self.wants.is_some() || !self.conditions.is_empty()
    }
}

/// What a Service should become. Fields that are empty are given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceWrite {
    /// Which one.
    pub key: ServiceKey,
    /// Only this incarnation of it.
    pub uid: String,
    /// The version that must still be there.
    pub version: String,
    /// Whether the clean-up finalizer belongs on it.
    pub finalizer: bool,
    /// Whether to take the finalizer off a Service that is being deleted, and nothing else.
    pub finalize: bool,
    /// Addresses for its status.
    pub addresses: Vec<IpAddr>,
    /// Conditions for its status.
    pub conditions: Vec<Condition>,
}

/// A write of a Service that has not ended yet.
#[derive(Debug, Clone)]
pub(super) struct UnderWay {
    pub(super) write: ServiceWrite,
    /// What is told once it is done: not before, as it may fail, and whoever waits for the address should not wait for an event.
    pub(super) news: Vec<Event>,
}

/// A write to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A Service's finalizer and status.
    Service(ServiceWrite),
    /// A block of the ledger.
    Block(BlockWrite),
}

/// An event for a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which Service.
    pub key: ServiceKey,
    /// Its `metadata.uid`.
    pub uid: String,
    /// `Warning` instead of `Normal`.
    pub warning: bool,
    /// Machine-readable.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// Versions of one object grow (Kubernetes 1.35 says so; servers before it did the same).
pub(super) fn is_older(one: &str, other: &str) -> bool {
    matches!((one.parse::<u64>(), other.parse::<u64>()), (Ok(one), Ok(other)) if one < other)
}
