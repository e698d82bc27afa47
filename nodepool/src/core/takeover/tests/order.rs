//! What comes after what.

use super::*;

#[test]
fn a_cluster_without_any_load_balancer_is_left_to_the_update() {
    let mut scene = scene(EXAMPLE);
    scene.note();
    assert_eq!(scene.next(), Next::Done);
}

#[test]
fn backups_stop_first_then_each_makes_room_and_the_holder_lets_go_last() {
    for holder in 0..3 {
        let mut scene = Scene::keepalived(EXAMPLE, holder);
        let done = scene.play();
        let mut backups: Vec<IpAddr> = (0..3).filter(|i| *i != holder).map(at).collect();
        let mut expected: Vec<(StageName, IpAddr)> = backups
            .iter()
            .map(|address| (StageName::StandDown, *address))
            .collect();
        // Lowest priority first.
        backups.reverse();
        expected.extend(backups.iter().map(|address| (StageName::Place, *address)));
        expected.extend([
            (StageName::HandOver, at(holder)),
            (StageName::Place, at(holder)),
        ]);
        let order: Vec<_> = done.iter().map(|(name, at, _)| (*name, *at)).collect();
        assert_eq!(order, expected);
        let words: Vec<Vec<String>> = done.iter().map(|(_, _, steps)| titles(steps)).collect();
        assert_eq!(words[0], ["stop keepalived (unit keepalived)"]);
        assert_eq!(
            words[2],
            [
                "stop haproxy (unit haproxy)",
                "write /etc/lbnode/vrrp.yaml",
                "write /etc/lbnode/proxy.yaml",
                "write /etc/kubernetes/manifests/lb-vrrp.yaml",
                "write /etc/kubernetes/manifests/lb-proxy.yaml",
            ]
        );
        assert_eq!(words[4], ["stop keepalived (unit keepalived)"]);
        // What it runs with comes with the update.
        assert_eq!(words[5], ["stop haproxy (unit haproxy)"]);
        let owners = done.iter().filter_map(|(_, _, steps)| match steps.first() {
            Some(Step::StopOthers(stop)) => Some(stop.owner),
            _ => None,
        });
        let owners: Vec<bool> = owners.collect();
        assert_eq!(owners, [false, false, false, false, true, false]);
        assert_eq!(scene.holder(), None);
    }
}

#[test]
fn routers_are_placed_so_that_they_stand_back() {
    let mut scene = Scene::keepalived(EXAMPLE, 0);
    let done = scene.play();
    let (_, _, steps) = &done[2];
    let vrrp = steps.iter().find_map(|step| match step {
        Step::PutFile(file) if file.path == manifest::VRRP_CONFIG => Some(&file.content),
        _ => None,
    });
    let vrrp = vrrp.expect("settings of the router");
    assert!(vrrp.contains("standBack: true"), "{vrrp}");
}

#[test]
fn api_servers_of_kube_vip_leave_the_port_one_after_the_other() {
    let mut scene = Scene::kube_vip(1);
    let done = scene.play();
    let words: Vec<(StageName, IpAddr, Vec<String>)> = done
        .iter()
        .map(|(name, at, steps)| (*name, *at, titles(steps)))
        .collect();
    let stop = "stop kube-vip (static pod kube-vip.yaml)".to_owned();
    assert_eq!(words[0], (StageName::StandDown, at(0), vec![stop.clone()]));
    assert_eq!(words[1], (StageName::StandDown, at(2), vec![stop.clone()]));
    let keep = |index: usize| {
        format!(
            "have the API server listen on {}:6443 and on no other address",
            at(index)
        )
    };
    let patch = format!("write {}", kubeadm::API_SERVER_PATCH);
    assert_eq!(words[2].2[..2], [patch.clone(), keep(2)]);
    assert_eq!(words[3].2[..2], [patch.clone(), keep(0)]);
    assert_eq!(words[4], (StageName::HandOver, at(1), vec![stop]));
    assert_eq!(words[5], (StageName::Place, at(1), vec![patch, keep(1)]));
}

#[test]
fn api_servers_leave_the_port_also_where_nobody_had_the_virtual_ip() {
    let mut scene = scene(&shared());
    scene.note();
    let done = scene.play();
    assert_eq!(done.len(), 3);
    assert!(done.iter().all(|(_, _, steps)| steps.len() == 2));
    scene.balancers.clear();
    assert_eq!(scene.next(), Next::Done);
}

/// Wherever it stops, looking again leads to the same end, and the holder is the last who lets go.
#[test]
fn it_goes_on_from_every_step() {
    for make in [
        (|| Scene::keepalived(EXAMPLE, 1)) as fn() -> Scene,
        || Scene::kube_vip(1),
        || Scene::keepalived(&shared(), 2),
    ] {
        let whole = make().play();
        let count: usize = whole.iter().map(|(_, _, steps)| steps.len()).sum();
        for stop in 0..count {
            let mut scene = make();
            let mut left = stop;
            'interrupted: while left > 0 {
                let next = scene.next();
                let stage = scene.stage(&next);
                for (address, steps) in stage.machines {
                    for step in steps {
                        if left == 0 {
                            break 'interrupted;
                        }
                        step.applied(scene.facts.get_mut(&address).expect("a machine"));
                        left -= 1;
                    }
                }
                scene.settle();
            }
            scene.settle();
            let holder = scene.holder();
            let rest = scene.play();
            let hand_over = rest
                .iter()
                .position(|(name, ..)| *name == StageName::HandOver);
            assert_eq!(hand_over.is_some(), holder.is_some(), "after {stop} steps");
            let stand_down = rest
                .iter()
                .rposition(|(name, ..)| *name == StageName::StandDown);
            assert!(stand_down < hand_over || stand_down.is_none());
            let nobody = |facts: &Facts| in_the_way(&scene.desired, facts).is_empty();
            assert!(scene.facts.values().all(nobody), "after {stop} steps");
        }
    }
}

#[test]
fn nothing_goes_on_while_one_of_ours_is_not_well() {
    let mut scene = Scene::keepalived(EXAMPLE, 0);
    let stand_down = scene.next();
    assert_eq!(stand_down, Next::StandDown(vec![at(1), at(2)]));
    for address in [at(1), at(2)] {
        let facts = scene.facts.get_mut(&address).expect("a machine");
        facts
            .others
            .retain(|other| !other.program.keeps_addresses());
    }
    let place = scene.next();
    assert_eq!(place, Next::Place(at(2)));
    let stage = scene.stage(&place);
    for step in &stage.machines[&at(2)] {
        step.applied(scene.facts.get_mut(&at(2)).expect("a machine"));
    }
    let waits = |scene: &Scene| match scene.next() {
        Next::Wait(waiting) => waiting.why,
        other => panic!("{other:?}"),
    };
    assert_eq!(waits(&scene), "m2: was not asked");
    for (balancer, why) in [
        (
            balancer("initialize", false, "up"),
            "m2: its router is in state initialize: why",
        ),
        (
            balancer("fault", false, "up"),
            "m2: its router is in state fault: why",
        ),
        (
            balancer("initialize", true, "down"),
            "m2: its proxy has the API server 10.10.0.11 down: connection refused",
        ),
        (
            Balancer {
                pages: Err("gone".to_owned()),
                pods: Vec::new(),
            },
            "m2: cannot be asked: gone",
        ),
        (
            Balancer {
                pages: Ok(Pages::default()),
                pods: Vec::new(),
            },
            "m2: its proxy says nothing",
        ),
    ] {
        scene.balancers.insert(at(2), balancer);
        assert_eq!(waits(&scene), why);
    }
    scene.settle();
    assert_eq!(scene.next(), Next::Place(at(1)));
    for name in ["m0", "m1"] {
        scene.view.nodes.get_mut(name).expect("a node").ready = false;
    }
    assert!(matches!(scene.next(), Next::Stop(why) if why.contains("no majority")));
}

#[test]
fn one_of_ours_that_has_begun_ends_the_others_at_once() {
    let mut scene = Scene::keepalived(EXAMPLE, 0);
    for address in [at(1), at(2)] {
        let facts = scene.facts.get_mut(&address).expect("a machine");
        facts.others.clear();
    }
    let file = FileFact {
        sha256: "any".to_owned(),
        mode: "600".to_owned(),
        inode: 1,
    };
    let facts = scene.facts.get_mut(&at(2)).expect("a machine");
    facts.files.insert(static_pod::VRRP.path(), file);
    let active = balancer("active", false, "up");
    scene.balancers.insert(at(2), active);
    assert_eq!(scene.next(), Next::HandOver(at(0)));
}

#[test]
fn a_virtual_ip_that_nobody_has_is_waited_for() {
    let mut scene = Scene::keepalived(EXAMPLE, 0);
    let facts = scene.facts.get_mut(&at(0)).expect("a machine");
    facts
        .addresses
        .retain(|(_, net)| net.addr() != IpAddr::from(VIP));
    assert!(matches!(scene.next(), Next::Wait(waiting) if waiting.why.contains("nobody has")));
}
