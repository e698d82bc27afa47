//! Addresses of Services.

use super::*;
use crate::core::rivals;

#[test]
fn a_controller_runs() {
    let row = only(Check::Controller, None, Fail, |scene| {
        let pod = &mut scene.view().controllers[0];
        (pod.ready, pod.why) = (false, Some("CrashLoopBackOff".to_owned()));
    });
    assert!(row.detail.contains("CrashLoopBackOff"), "{row:?}");
    only(Check::Controller, None, Fail, |scene| {
        scene.view().controllers.clear();
    });
}

#[test]
fn a_speaker_runs_is_ready_and_serves() {
    only(Check::Speaker, Some("m1"), Fail, |scene| {
        scene.view().speakers.remove(1);
    });
    let row = only(Check::Speaker, Some("m1"), Fail, |scene| {
        let speaker = &mut scene.view().speakers[1];
        (speaker.ready, speaker.why) = (Some(false), Some("ContainersNotReady".to_owned()));
    });
    assert!(
        row.hint
            .as_deref()
            .is_some_and(|hint| hint.contains("lb-speaker-keys"))
    );
    for (phase, result) in [("Leaving", Warn), ("Listening", Warn), ("", Fail)] {
        only(Check::Speaker, Some("m1"), result, |scene| {
            scene.view().speakers[1].phase = phase.to_owned();
        });
    }
    only(Check::Speaker, None, Warn, |scene| {
        let gone = SpeakerState {
            node: "m9".to_owned(),
            lost: true,
            ..speaker(0)
        };
        scene.view().speakers.push(gone);
    });
}

#[test]
fn speakers_hear_each_other() {
    let silent = |scene: &mut Scene| {
        scene.view().speakers[0].silent = vec!["m2".to_owned()];
    };
    let row = only(Check::Heartbeats, Some("m0"), Fail, silent);
    assert!(row.detail.contains("does not hear m2"), "{row:?}");
    // Who most of the others do not hear is the one to look at.
    only(Check::Heartbeats, Some("m2"), Fail, |scene| {
        silent(scene);
        scene.view().speakers[2].lost = true;
    });
    let rows = found(|scene| {
        silent(scene);
        rest(scene, 2);
        scene.desired.machines[2].maintenance = true;
    });
    assert_eq!(rows, [], "it is off on purpose");
}

#[test]
fn an_address_is_announced_by_one_and_can_be_reached() {
    let service = |result, spoil: fn(&mut ServiceState)| {
        only(Check::Services, None, result, |scene| {
            spoil(&mut scene.view().services[0]);
        })
    };
    let row = service(Fail, |service| service.owner = None);
    assert!(
        row.detail.contains("shop/web (10.10.0.200): no speaker"),
        "{row:?}"
    );
    service(Fail, |service| {
        let owner = service.owner.as_mut().expect("an owner");
        owner.conflict = Some("02:00:00:00:00:99".to_owned());
    });
    let row = service(Fail, |service| {
        service.problem = Some("AddressConflict: a machine".to_owned());
        service.since = Some(SINCE.to_owned());
    });
    assert_eq!(row.since.as_deref(), Some(SINCE));
    service(Warn, |service| {
        service.problem = Some("NoEndpoints: no pod is ready".to_owned());
    });
    service(Fail, |service| {
        service.address = None;
        service.owner = None;
        service.problem = Some("no address yet".to_owned());
    });
    let rows = found(|scene| {
        let service = &mut scene.view().services[0];
        (service.ours, service.owner) = (false, None);
    });
    assert_eq!(rows, [], "another program serves it");
}

#[test]
fn a_pool_is_in_force_and_has_addresses_left() {
    only(Check::Pools, None, Fail, |scene| {
        scene.view().pools[0].ready = false;
    });
    let fill = |scene: &mut Scene, assigned: &str| {
        scene.view().pools[0].ipv4.assigned = assigned.to_owned();
    };
    assert_eq!(found(|scene| fill(scene, "35")), []);
    let row = only(Check::Pools, None, Warn, |scene| fill(scene, "36"));
    assert!(row.detail.contains("36 of 40 IPv4"), "{row:?}");
    only(Check::Pools, None, Warn, |scene| fill(scene, "40"));
    let rows = found(|scene| {
        fill(scene, "40");
        scene.view().services.push(ServiceState {
            service: "shop/waits".to_owned(),
            problem: Some("PoolExhausted: default is full".to_owned()),
            ours: true,
            ..ServiceState::default()
        });
    });
    let checks: Vec<_> = rows.iter().map(|row| (row.check, row.result)).collect();
    assert_eq!(checks, [(Check::Services, Fail), (Check::Pools, Fail)]);
    let rows = found(|scene| {
        fill(scene, "40");
        scene.view().pools[0].manual = true;
    });
    assert_eq!(rows, [], "its addresses are given by name");
}

#[test]
fn another_program_that_serves_services_is_a_warning() {
    let metallb = serde_json::json!({
        "kind": "DaemonSet",
        "metadata": {"namespace": "metallb-system", "name": "speaker"},
        "spec": {"template": {"spec": {"containers": [{"image": "quay.io/metallb/speaker:v0.15.2"}]}}},
        "status": {"desiredNumberScheduled": 3},
    });
    let row = only(Check::OtherBalancer, None, Warn, |scene| {
        scene.view().rivals = rivals::rivals(&[metallb], &[]);
    });
    assert!(row.detail.contains("MetalLB"), "{row:?}");
}
