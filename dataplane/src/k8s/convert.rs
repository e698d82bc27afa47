//! Objects of the API to the core's own types. Whatever is in an object, conversion does not panic; what makes no
//! sense becomes an error in words or is left out.

mod pools;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use k8s_openapi::{
    api::{
        core::v1::{Node, Service as ApiService},
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

pub use self::pools::{advertisement, metallb_advertisement, metallb_pool, pool};
use super::crd::{AddressBlock, Speaker};
use crate::core::{
    LOAD_BALANCER_NODE_LABEL,
    atlas::{self, Exposed},
    condition::{Condition, ConditionType},
    family::Family,
    labels::Labels,
    ledger::Entries,
    range::AddressRange,
    registrar::SeenService,
    report::{Report, ReportedAddress},
    request::Request,
    segment::Interface,
    service::{FamilyPolicy, Port, Protocol, Service, ServiceKey, TrafficPolicy},
};

/// The finalizer that keeps a Service until its addresses are free again.
pub const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
/// The class of Services that are always ours.
pub const OWN_CLASS: &str = "bundledlb.io/l2";

const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const GOING_AWAY: &str = "ToBeDeletedByClusterAutoscaler";

/// Which Services are ours, by `spec.loadBalancerClass`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    /// The class we serve; `None`: Services without a class, and those of [`OWN_CLASS`].
    pub class: Option<String>,
}

impl Classes {
    /// Whether Services of `class` are ours.
    pub fn serve(&self, class: Option<&str>) -> bool {
        match (&self.class, class) {
            (Some(own), Some(class)) => own == class,
            (Some(_), None) => false,
            (None, class) => class.is_none_or(|class| class == OWN_CLASS),
        }
    }
}

/// Namespace and name of an object.
pub fn key_of(meta: &ObjectMeta) -> ServiceKey {
    ServiceKey::new(
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}

/// A Service for the controller.
pub fn seen_service(object: &ApiService, classes: &Classes) -> SeenService {
    let meta = &object.metadata;
    let deleting = meta.deletion_timestamp.is_some();
    let status = object.status.as_ref();
    let ingress = status.and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    let entries = ingress.map_or(&[][..], Vec::as_slice);
    let plain = entries.iter().all(|entry| {
        let vip = entry.ip_mode.as_deref().is_none_or(|mode| mode == "VIP");
        entry.hostname.is_none() && entry.ip.is_some() && vip
    });
    let addresses = entries
        .iter()
        .filter_map(|entry| parse_address(entry.ip.as_deref()?))
        .collect();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let mut conditions: Vec<Condition> = conditions
        .into_iter()
        .flatten()
        .filter_map(|condition| {
            Some(Condition {
                kind: ConditionType::parse(&condition.type_)?,
                holds: condition.status == "True",
                reason: condition.reason.clone(),
                message: condition.message.clone(),
                since: Some(condition.last_transition_time.0.as_second()),
            })
        })
        .collect();
    conditions.sort();
    let finalizers = meta.finalizers.as_ref();
    SeenService {
        uid: meta.uid.clone().unwrap_or_default(),
        version: meta.resource_version.clone().unwrap_or_default(),
        wants: if deleting {
            None
        } else {
            service(object, classes)
        },
        deleting,
        finalizer: finalizers.is_some_and(|all| all.iter().any(|one| one == FINALIZER)),
        addresses,
        plain,
        conditions,
    }
}

/// A Service that is ours; `None`: it is not.
fn service(object: &ApiService, classes: &Classes) -> Option<Service> {
    let spec = object.spec.as_ref()?;
    let ours = spec.type_.as_deref() == Some("LoadBalancer")
        && classes.serve(spec.load_balancer_class.as_deref());
    if !ours {
        return None;
    }
    let meta = &object.metadata;
    let empty = BTreeMap::new();
    let annotations = meta.annotations.as_ref().unwrap_or(&empty);
    let families = families(object);
    let seen = exposed(object);
    Some(Service {
        key: key_of(meta),
        uid: meta.uid.clone().unwrap_or_default(),
        created: created(meta),
        labels: seen.labels,
        policy: match spec.ip_family_policy.as_deref() {
            Some("PreferDualStack") => FamilyPolicy::PreferDual,
            Some("RequireDualStack") => FamilyPolicy::RequireDual,
            _ => FamilyPolicy::Single,
        },
        ports: seen.ports,
        traffic_policy: seen.traffic_policy,
        selector: spec.selector.clone().unwrap_or_default(),
        request: Request::read(annotations, spec.load_balancer_ip.as_deref(), &families),
        families,
        source_ranges: seen.source_ranges,
        observed: seen.addresses,
    })
}

/// A Service for the speakers; `None`: nobody announces its addresses.
pub fn announced_service(object: &ApiService, classes: &Classes) -> Option<Exposed> {
    let spec = object.spec.as_ref()?;
    let ours = spec.type_.as_deref() == Some("LoadBalancer")
        && classes.serve(spec.load_balancer_class.as_deref())
        && object.metadata.deletion_timestamp.is_none();
    let exposed = ours.then(|| exposed(object))?;
    (!exposed.addresses.is_empty()).then_some(exposed)
}

fn exposed(object: &ApiService) -> Exposed {
    let spec = object.spec.as_ref();
    let local = spec.and_then(|spec| spec.external_traffic_policy.as_deref()) == Some("Local");
    let ingress = object
        .status
        .as_ref()
        .and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    Exposed {
        labels: object.metadata.labels.clone().unwrap_or_default(),
        traffic_policy: if local {
            TrafficPolicy::Local
        } else {
            TrafficPolicy::Cluster
        },
        ports: ports(object),
        source_ranges: source_ranges(object),
        addresses: ingress
            .into_iter()
            .flatten()
            .filter(|entry| entry.ip_mode.as_deref().is_none_or(|mode| mode == "VIP"))
            .filter_map(|entry| parse_address(entry.ip.as_deref()?))
            .collect(),
    }
}

/// Who may connect: a list that is there holds, also where nothing in it can be read.
fn source_ranges(object: &ApiService) -> Option<Vec<AddressRange>> {
    let spec = object.spec.as_ref();
    let listed = spec
        .and_then(|spec| spec.load_balancer_source_ranges.as_ref())
        .filter(|ranges| !ranges.is_empty());
    let read = |text: &str| plain(text).parse().ok();
    if let Some(ranges) = listed {
        return Some(ranges.iter().filter_map(|text| read(text)).collect());
    }
    let annotations = object.metadata.annotations.as_ref();
    let annotation = annotations.and_then(|all| all.get(SOURCE_RANGES));
    let text = annotation.filter(|text| !text.trim().is_empty())?;
    Some(text.split(',').filter_map(read).collect())
}

/// Without zeros in front of a number: API servers take `010.0.0.0/8` for `10.0.0.0/8`.
fn plain(range: &str) -> String {
    if range.contains(':') {
        return range.to_owned();
    }
    let part = |text: &str| match text.trim().trim_start_matches('0') {
        "" => "0".to_owned(),
        number => number.to_owned(),
    };
    let (address, prefix) = range.split_once('/').unwrap_or((range, "32"));
    let parts: Vec<String> = address.split('.').map(part).collect();
    format!("{}/{}", parts.join("."), prefix.trim())
}

/// Ports at its addresses.
fn ports(object: &ApiService) -> BTreeSet<Port> {
    let spec = object.spec.as_ref();
    let listed = spec.and_then(|spec| spec.ports.as_ref());
    let ports = listed.into_iter().flatten().filter_map(|port| {
        let protocol = match port.protocol.as_deref().unwrap_or("TCP") {
            "TCP" => Protocol::Tcp,
            "UDP" => Protocol::Udp,
            "SCTP" => Protocol::Sctp,
            _ => return None,
        };
        Some(Port {
            protocol,
            number: u16::try_from(port.port).ok()?,
        })
    });
    ports.collect()
}

/// `spec.ipFamilies`; from the cluster addresses where a server does not fill it in.
fn families(object: &ApiService) -> Vec<Family> {
    let spec = object.spec.as_ref();
    let named = spec
        .and_then(|spec| spec.ip_families.as_ref())
        .into_iter()
        .flatten();
    let mut families: Vec<Family> = named
        .filter_map(|name| {
            Family::ALL
                .into_iter()
                .find(|family| family.as_str() == name)
        })
        .collect();
    if families.is_empty() {
        let addresses = spec
            .and_then(|spec| spec.cluster_ips.as_ref())
            .into_iter()
            .flatten();
        families.extend(
            addresses
                .filter_map(|text| parse_address(text))
                .map(Family::of),
        );
    }
    families.dedup();
    families.truncate(2);
    if families.is_empty() {
        vec![Family::V4]
    } else {
        families
    }
}

/// A node.
pub fn node(object: &Node) -> atlas::Node {
    let labels = object.metadata.labels.clone().unwrap_or_default();
    let status = object.status.as_ref();
    let addresses = status
        .and_then(|status| status.addresses.as_ref())
        .into_iter()
        .flatten();
    let mut internal = addresses.filter(|address| address.type_ == "InternalIP");
    let unavailable = status
        .and_then(|status| status.conditions.as_ref())
        .is_some_and(|all| {
            all.iter()
                .any(|one| one.type_ == "NetworkUnavailable" && one.status == "True")
        });
    let spec = object.spec.as_ref();
    let taints = spec
        .and_then(|spec| spec.taints.as_ref())
        .into_iter()
        .flatten();
    let going_away = taints.into_iter().any(|taint| taint.key == GOING_AWAY);
    let labelled = labels
        .get(LOAD_BALANCER_NODE_LABEL)
        .is_some_and(|value| value == "true");
    atlas::Node {
        address: internal.find_map(|address| parse_address(&address.address)),
        may_serve: labelled && !unavailable,
        cordoned: going_away || spec.is_some_and(|spec| spec.unschedulable == Some(true)),
        labels,
    }
}

/// The Service of a slice, and its endpoints.
pub fn endpoints(slice: &EndpointSlice) -> Option<(ServiceKey, Vec<atlas::Endpoint>)> {
    let name = slice
        .metadata
        .labels
        .as_ref()?
        .get("kubernetes.io/service-name")?;
    let key = ServiceKey::new(slice.metadata.namespace.clone()?, name.clone());
    let endpoints = slice.endpoints.iter().flatten().map(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        let ready = conditions
            .and_then(|conditions| conditions.ready)
            .unwrap_or(true);
        let serving = conditions
            .and_then(|conditions| conditions.serving)
            .unwrap_or(ready);
        atlas::Endpoint {
            node: endpoint.node_name.clone(),
            ready,
            serving: ready || serving,
        }
    });
    Some((key, endpoints.collect()))
}

/// A block of the ledger; what makes no sense in it is left out.
pub fn block(object: &AddressBlock) -> Entries {
    let allocations = object.spec.allocations.iter();
    allocations
        .filter_map(|(address, services)| {
            let holder = |(text, version): (&String, &String)| {
                Some((ServiceKey::parse(text)?, version.clone()))
            };
            let services = services.iter().filter_map(holder).collect();
            Some((parse_address(address)?, services))
        })
        .collect()
}

/// What a speaker reports.
pub fn report(object: &Speaker) -> Report {
    let Some(status) = &object.status else {
        return Report::default();
    };
    let addresses = status.addresses.iter().filter_map(|one| {
        let reported = ReportedAddress {
            term: one.term,
            interface: one.interface.clone(),
            mac: one.mac.clone(),
            conflict: one.conflict.clone(),
        };
        Some((parse_address(&one.address)?, reported))
    });
    let interfaces = status.interfaces.iter().map(|one| Interface {
        index: 0,
        name: one.name.clone(),
        mac: [0; 6],
        up: one.up,
        networks: one
            .networks
            .iter()
            .filter_map(|network| {
                let (address, prefix) = network.split_once('/')?;
                Some((parse_address(address)?, prefix.parse().ok()?))
            })
            .collect(),
    });
    Report {
        addresses: addresses.collect(),
        interfaces: interfaces.collect(),
        silent: status.silent.iter().cloned().collect(),
    }
}

/// Labels of an object.
pub fn labels(meta: &ObjectMeta) -> Labels {
    meta.labels.clone().unwrap_or_default()
}

fn created(meta: &ObjectMeta) -> i64 {
    meta.creation_timestamp
        .as_ref()
        .map_or(0, |time| time.0.as_second())
}

fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests;
