//! Machines come, go and change places.

use cluster_config::changes;

use super::{LIVE, cluster, refusals};

#[test]
fn machines_do_not_move_between_pools_and_control_planes_leave_one_by_one() {
    let old = cluster(LIVE);
    let moved = LIVE
        .replace("      - address: 10.0.0.13\n        k8sIP: 10.0.1.13\n", "")
        .replace(
            "  - address: 10.0.0.21\n",
            "  - address: 10.0.0.21\n  - address: 10.0.0.13\n    k8sIP: 10.0.1.13\n",
        );
    assert_eq!(refusals(&changes(&old, &cluster(&moved))), ["V16"]);
    let two = LIVE
        .replace("      - address: 10.0.0.13\n        k8sIP: 10.0.1.13\n", "")
        .replace("      - address: 10.0.0.12\n        k8sIP: 10.0.1.12\n", "");
    assert_eq!(refusals(&changes(&old, &cluster(&two))), ["E09", "E09"]);
}

#[test]
fn an_address_is_free_after_its_node_has_left() {
    let without = "      - address: 10.0.0.13\n        k8sIP: 10.0.1.13\n";
    let other = "      - address: 10.0.0.14\n        k8sIP: 10.0.1.13\n";
    let old = cluster(LIVE);
    assert_eq!(
        refusals(&changes(&old, &cluster(&LIVE.replace(without, other)))),
        ["V16"]
    );
    let left = cluster(&LIVE.replace(without, ""));
    let again = cluster(&LIVE.replace(without, other));
    for (old, new) in [(&old, &left), (&left, &again)] {
        assert_eq!(refusals(&changes(old, new)), [""; 0]);
    }
}
