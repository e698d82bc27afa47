//! Machines by themselves and beside each other.

use super::*;

#[test]
fn a_machine_that_does_not_answer_is_found_and_nothing_is_said_of_its_roles() {
    let row = only(Check::Ssh, Some("m2"), Fail, |scene| {
        let node = scene.node(2);
        node.unreachable = Some("no route to host".to_owned());
        node.vrrp = None;
        node.proxy = None;
        node.drift = None;
    });
    let rows = [row];
    assert_eq!(judge(&rows, 3), Judgement::Partial);
    assert_eq!(judge(&rows, 1), Judgement::Broken, "there is no other");
}

#[test]
fn a_node_is_ready() {
    let row = only(Check::Ready, Some("m1"), Fail, |scene| {
        let node = scene.node(1);
        node.ready = Some(false);
        node.why = Some("KubeletStopped".to_owned());
    });
    assert_eq!(row.since.as_deref(), Some(SINCE));
    assert!(row.detail.contains("KubeletStopped"));
    only(Check::Ready, Some("m1"), Fail, |scene| {
        scene.node(1).ready = None;
    });
}

#[test]
fn versions_agree() {
    let mut scene = scene();
    scene.node(2).kubelet = Some("v1.35.0".to_owned());
    scene.node(2).lbnode = Some("lbnode 0.2.0 (commit b, x)".to_owned());
    scene.picture.count_versions();
    let rows = scene.rows();
    let mixed = rows.iter().filter(|row| row.result == Warn);
    let mixed: Vec<(Check, &str)> = mixed.map(|row| (row.check, row.detail.as_str())).collect();
    assert_eq!(
        mixed,
        [
            (
                Check::Versions,
                "lbnode: 0.1.0 (commit a) on m0, m1; 0.2.0 (commit b) on m2"
            ),
            (Check::Versions, "kubelet: v1.35.0 on m2; v1.36.3 on m0, m1"),
        ]
    );
    let problems = scene.picture.problems().join("\n");
    assert!(
        problems.contains("lbnode is not the same everywhere"),
        "{problems}"
    );
}

#[test]
fn certificates_can_be_read_and_are_valid_for_a_while() {
    let ends = |result, after: i64| {
        only(Check::Certificates, Some("m1"), result, |scene| {
            scene.certificate(1).not_after = Some(NOW + after);
        })
    };
    assert!(
        ends(Fail, 0)
            .detail
            .contains("apiserver.crt has ended on 2027-01-15")
    );
    assert!(ends(Fail, 7 * DAY - 1).detail.contains("in 6 days"));
    ends(Warn, 7 * DAY);
    ends(Warn, 30 * DAY - 1);
    let odd = only(Check::Certificates, Some("m1"), Fail, |scene| {
        scene.certificate(1).not_after = None;
    });
    assert!(odd.detail.contains("holds no certificate"), "{odd:?}");
    let hidden = only(Check::Certificates, Some("m1"), Fail, |scene| {
        let all = scene.certificates.get_mut(&at(1)).expect("a machine");
        all[0].mode = 0o600;
    });
    assert!(hidden.detail.contains("mode 600"), "{hidden:?}");
    let missing = only(Check::Certificates, Some("m1"), Fail, |scene| {
        let all = scene.certificates.get_mut(&at(1)).expect("a machine");
        all.remove(0);
    });
    assert!(missing.detail.contains("is missing"), "{missing:?}");
    // Who was not asked lacks nothing.
    only(Check::Certificates, Some("m1"), Warn, |scene| {
        scene.certificates.remove(&at(1));
    });
}

#[test]
fn clocks_agree() {
    let apart = |result, seconds: i64| {
        only(Check::Clock, Some("m2"), result, |scene| {
            scene.clocks.insert(at(2), NOW + seconds);
        })
    };
    apart(Warn, 11);
    apart(Fail, -31);
    let late = found(|scene| {
        scene.clocks.insert(at(2), NOW + 10);
    });
    assert_eq!(late, []);
}

#[test]
fn who_is_out_of_service_is_so_by_the_file() {
    let left_over = only(Check::Maintenance, Some("m1"), Fail, |scene| rest(scene, 1));
    assert_eq!(left_over.since.as_deref(), Some(SINCE));
    assert_eq!(judge(&[left_over], 3), Judgement::Differs);
    only(Check::Maintenance, Some("m1"), Warn, |scene| {
        scene.desired.machines[1].maintenance = true;
    });
    only(Check::Maintenance, Some("m1"), Warn, |scene| {
        rest(scene, 1);
        scene.desired.machines[1].maintenance = true;
        let noted = scene.node(1).maintenance.as_mut().expect("it is noted");
        noted.drained = false;
    });
    only(Check::Maintenance, Some("m1"), Warn, |scene| {
        scene.node(1).cordoned = true;
    });
}

#[test]
fn what_differs_from_the_file_is_drift() {
    let row = only(Check::Drift, Some("m1"), Fail, |scene| {
        scene.node(1).drift = Some(vec!["write a".to_owned(), "write b".to_owned()]);
    });
    assert_eq!(row.detail, "an update would write a; write b");
    assert_eq!(judge(&[row], 3), Judgement::Differs);
    let row = only(Check::Drift, None, Fail, |scene| {
        scene.picture.drift = vec!["remove the node m9".to_owned()];
    });
    assert_eq!(row.detail, "an update would remove the node m9");
    let row = only(Check::Drift, None, Warn, |scene| {
        scene.unknown = Some("timed out".to_owned());
    });
    assert!(row.detail.contains("timed out"), "{row:?}");
    let row = only(Check::Drift, None, Warn, |scene| {
        scene.picture.other_release = true;
    });
    let hint = row.hint.as_deref();
    assert!(hint.is_some_and(|hint| hint.contains("--lbnode")));
}
