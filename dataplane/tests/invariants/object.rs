// Objects that users wrote, as JSON: no panic, and what makes no sense is said or left out.

use dataplane::k8s::{
    convert::{self, Classes},
    crd::{AddressBlock, AddressPool, L2Advertisement, Speaker},
    metallb::{IPAddressPool, MetalLbAdvertisement},
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
