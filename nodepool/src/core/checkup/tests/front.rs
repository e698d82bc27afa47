//! The way to the API.

use super::*;

#[test]
fn an_api_that_does_not_answer_is_one_row_and_the_nodes_are_judged() {
    let row = only(Check::Api, None, Fail, |scene| {
        scene.picture.api_error = Some("timed out".to_owned());
        scene.picture.data_plane = None;
        for node in &mut scene.picture.nodes {
            node.ready = None;
        }
    });
    assert!(row.detail.contains("timed out"));
}

#[test]
fn the_virtual_ip_has_one_owner() {
    let nobody = only(Check::VipOwner, None, Fail, |scene| {
        scene.picture.vip.owners.clear();
    });
    assert!(nobody.detail.contains("nobody has"));
    let two = only(Check::VipOwner, None, Fail, |scene| {
        scene.picture.vip.owners.push("m2".to_owned());
    });
    assert!(two.detail.contains("m0, m2"));
}

#[test]
fn a_load_balancer_of_somebody_else_is_none_of_ours() {
    let rows = found(|scene| {
        scene.picture.vip.external = true;
        scene.picture.vip.owners.clear();
        scene.node(0).vrrp = None;
        scene.node(0).proxy = None;
    });
    assert_eq!(rows, []);
}

#[test]
fn a_router_can_take_the_virtual_ip_and_hears_who_has_it() {
    let spoil = |scene: &mut Scene, state: &str| {
        let router = scene.node(2).vrrp.as_mut().expect("a router");
        router.state = state.to_owned();
    };
    let row = only(Check::Router, Some("m2"), Fail, |scene| {
        spoil(scene, "fault")
    });
    assert!(row.detail.contains("fault: why"), "{row:?}");
    only(Check::Router, Some("m2"), Fail, |scene| {
        spoil(scene, "unreachable");
    });
    only(Check::Router, Some("m2"), Fail, |scene| {
        scene.node(2).vrrp = None
    });
    let row = only(Check::Router, Some("m2"), Fail, |scene| {
        spoil(scene, "initialize");
        let router = scene.node(2).vrrp.as_mut().expect("a router");
        router.health.verdict = Some("standing-back".to_owned());
    });
    let hint = row.hint.as_deref();
    assert!(hint.is_some_and(|hint| hint.contains("lbctl install")));
    let hears = |peer: Option<IpAddr>| {
        only(Check::Adverts, Some("m2"), Fail, |scene| {
            let router = scene.node(2).vrrp.as_mut().expect("a router");
            router.routers[0].active_peer = peer;
        })
    };
    assert!(hears(None).detail.contains("hears nobody"));
    let other = hears(Some(at(1))).detail;
    assert!(
        other.contains("10.10.0.12") && other.contains("10.10.0.11"),
        "{other}"
    );
}

#[test]
fn a_proxy_sees_every_api_server_that_is_in_service() {
    let server = |scene: &mut Scene, state: Option<&str>| {
        let proxy = scene.node(0).proxy.as_mut().expect("a proxy");
        match state {
            Some(state) => proxy.servers[1].state = state.to_owned(),
            None => drop(proxy.servers.remove(1)),
        }
    };
    let down = only(Check::Proxy, Some("m0"), Fail, |scene| {
        server(scene, Some("down"));
    });
    assert!(down.detail.contains("10.10.0.12"), "{down:?}");
    assert_eq!(down.since.as_deref(), Some(SINCE));
    let unknown = only(Check::Proxy, Some("m0"), Fail, |scene| server(scene, None));
    assert!(unknown.detail.contains("does not know"), "{unknown:?}");
    only(Check::Proxy, Some("m0"), Fail, |scene| {
        scene.node(0).proxy = None
    });
    // Its machine is off on purpose; the file says so.
    let rows = found(|scene| {
        server(scene, Some("down"));
        rest(scene, 1);
        scene.desired.machines[1].maintenance = true;
    });
    assert_eq!(rows, []);
}
