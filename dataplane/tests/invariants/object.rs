// Objects that users wrote, as JSON: no panic, and what makes no sense is said or left out.

use std::collections::BTreeMap;

use dataplane::{
    core::{family::Family, request::Request},
    k8s::{
        convert::{self, Classes},
        crd::{AddressBlock, AddressPool, L2Advertisement, Speaker},
        metallb::{IPAddressPool, MetalLbAdvertisement},
    },
};
use k8s_openapi::api::{
    core::v1::{Node, Service},
    discovery::v1::EndpointSlice,
};
use serde::de::DeserializeOwned;

fn read<K: DeserializeOwned, T>(bytes: &[u8], convert: impl Fn(&K) -> T) -> Option<T> {
    serde_json::from_slice(bytes)
        .ok()
        .map(|object| convert(&object))
}

pub(crate) fn hold(bytes: &[u8]) {
    let classes = Classes { class: None };
    if let Some(seen) = read(bytes, |one| convert::seen_service(one, &classes)) {
        assert!(seen.wants.is_none() || !seen.deleting);
        // The same object is the same again, or every look at it would be a change.
        assert_eq!(
            Some(seen),
            read(bytes, |one: &Service| convert::seen_service(one, &classes))
        );
    }
    read(bytes, |one: &Service| {
        convert::announced_service(one, &classes)
    });
    read(bytes, |one: &Node| convert::node(one));
    read(bytes, |one: &EndpointSlice| convert::endpoints(one));
    read(bytes, |one: &AddressPool| convert::pool(one));
    read(bytes, |one: &L2Advertisement| convert::advertisement(one));
    read(bytes, |one: &AddressBlock| convert::block(one));
    read(bytes, |one: &Speaker| convert::report(one));
    read(bytes, |one: &IPAddressPool| convert::metallb_pool(one));
    read(bytes, |one: &MetalLbAdvertisement| {
        convert::metallb_advertisement(one)
    });
}

/// Lines of `annotation=value`.
pub(crate) fn annotations_hold(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let annotations: BTreeMap<String, String> = lines
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let asked = annotations.get("loadBalancerIP").map(String::as_str);
    for families in [
        &[Family::V4][..],
        &[Family::V6],
        &[Family::V4, Family::V6],
        &[],
    ] {
        let request = Request::read(&annotations, asked, families);
        for family in Family::ALL {
            if let Some(address) = request.address(family) {
                assert_eq!(Family::of(address), family);
                assert!(families.contains(&family), "nobody asked for {family:?}");
            }
        }
    }
}
