// Annotations that users wrote: no panic, and no address of a family that nobody asked for.

use std::collections::BTreeMap;

use dataplane::core::{family::Family, request::Request};

/// Lines of `annotation=value`.
pub(crate) fn hold(bytes: &[u8]) {
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
