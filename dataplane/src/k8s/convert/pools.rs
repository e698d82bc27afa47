//! Pools and advertisements of both APIs.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::{created, labels, parse_address};
use crate::{
    core::{
        atlas::Advertisement,
        labels::Selector,
        pool::{Pool, PoolApi, PoolId, Scope},
        range::AddressRange,
        segment::InterfaceFilter,
        service::ServiceKey,
    },
    k8s::{
        crd::{AddressPool, L2Advertisement},
        metallb::{IPAddressPool, MetalLbAdvertisement},
    },
};

/// A pool of ours.
///
/// # Errors
/// What is wrong with it, in words.
pub fn pool(object: &AddressPool) -> Result<Pool, String> {
    let spec = &object.spec;
    let mut reservations = BTreeMap::new();
    for reservation in &spec.reservations {
        let address = parse_address(&reservation.address)
            .ok_or_else(|| format!("reservation: `{}` is no IP address", reservation.address))?;
        let service = ServiceKey::new(reservation.namespace.clone(), reservation.service.clone());
        reservations.insert(address, service);
    }
    Ok(Pool {
        ranges: ranges(&spec.addresses)?,
        excluded: ranges(&spec.excluded)?,
        reservations,
        avoid_buggy: spec.avoid_buggy_ips,
        manual_assign: spec.manual_assign,
        disabled: spec.disabled,
        priority: NonZeroU32::new(spec.priority),
        scope: scope(
            &spec.namespaces,
            &spec.namespace_selectors,
            &spec.service_selectors,
        )?,
        ..empty_pool(&object.metadata, PoolApi::Bundled)
    })
}

/// A pool of MetalLB's.
///
/// # Errors
/// What is wrong with it, in words.
pub fn metallb_pool(object: &IPAddressPool) -> Result<Pool, String> {
    let spec = &object.spec;
    let allocation = spec.service_allocation.clone().unwrap_or_default();
    let scope = scope(
        &allocation.namespaces,
        &allocation.namespace_selectors,
        &allocation.service_selectors,
    )?;
    Ok(Pool {
        ranges: ranges(&spec.addresses)?,
        avoid_buggy: spec.avoid_buggy_ips,
        manual_assign: spec.auto_assign == Some(false),
        priority: u32::try_from(allocation.priority)
            .ok()
            .and_then(NonZeroU32::new),
        scope,
        ..empty_pool(&object.metadata, PoolApi::MetalLb)
    })
}

/// An advertisement of ours.
///
/// # Errors
/// What is wrong with it, in words.
pub fn advertisement(object: &L2Advertisement) -> Result<Advertisement, String> {
    let spec = &object.spec;
    let patterns = spec.interfaces.iter().map(String::as_str);
    Ok(Advertisement {
        api: PoolApi::Bundled,
        name: object.metadata.name.clone().unwrap_or_default(),
        pools: spec.pools.iter().cloned().collect(),
        pool_selectors: selectors(&spec.pool_selectors)?,
        service_selectors: selectors(&spec.service_selectors)?,
        node_selectors: selectors(&spec.node_selectors)?,
        interfaces: InterfaceFilter::new(patterns).map_err(|error| error.to_string())?,
    })
}

/// An advertisement of MetalLB's.
///
/// # Errors
/// What is wrong with it, in words.
pub fn metallb_advertisement(object: &MetalLbAdvertisement) -> Result<Advertisement, String> {
    let spec = &object.spec;
    let patterns = spec.interfaces.iter().map(String::as_str);
    Ok(Advertisement {
        api: PoolApi::MetalLb,
        name: object.metadata.name.clone().unwrap_or_default(),
        pools: spec.ip_address_pools.iter().cloned().collect(),
        pool_selectors: selectors(&spec.ip_address_pool_selectors)?,
        service_selectors: selectors(&spec.service_selectors)?,
        node_selectors: selectors(&spec.node_selectors)?,
        interfaces: InterfaceFilter::new(patterns).map_err(|error| error.to_string())?,
    })
}

fn empty_pool(meta: &ObjectMeta, api: PoolApi) -> Pool {
    let name = meta.name.clone().unwrap_or_default();
    Pool {
        created: created(meta),
        labels: labels(meta),
        ..Pool::empty(PoolId { name, api })
    }
}

fn ranges(texts: &[String]) -> Result<Vec<AddressRange>, String> {
    texts
        .iter()
        .map(|text| text.parse().map_err(|error| format!("`{text}`: {error}")))
        .collect()
}

fn scope(
    namespaces: &[String],
    namespace_selectors: &[LabelSelector],
    service_selectors: &[LabelSelector],
) -> Result<Scope, String> {
    Ok(Scope {
        namespaces: namespaces.iter().cloned().collect::<BTreeSet<_>>(),
        namespace_selectors: selectors(namespace_selectors)?,
        service_selectors: selectors(service_selectors)?,
    })
}

fn selectors(selectors: &[LabelSelector]) -> Result<Vec<Selector>, String> {
    let convert = |selector: &LabelSelector| {
        let labels = selector.match_labels.iter().flatten();
        let expressions = selector.match_expressions.iter().flatten().map(|one| {
            (
                one.key.as_str(),
                one.operator.as_str(),
                one.values.as_deref().unwrap_or(&[]),
            )
        });
        Selector::new(labels, expressions).map_err(|error| error.to_string())
    };
    selectors.iter().map(convert).collect()
}
