//! Rows A09–A11: the graceful stop.

use vrrp::proto::{Action, Input, State, Why};

use crate::rig::{HIGHER_ADDRESS, Rig, VIP, ms};

fn mac() -> l2::wire::MacAddr {
    "02:00:00:00:00:30".parse().unwrap()
}

#[test]
fn a09_the_addresses_stay_until_the_successor_has_announced_itself() {
    let mut rig = Rig::active(100, 100);
    rig.input(Input::Stop);
    assert!(matches!(
        rig.take()[..],
        [Action::Send { priority: 0, .. }, ..]
    ));
    assert!(rig.group.is_leaving());
    rig.advance(ms(40));
    rig.hear(HIGHER_ADDRESS, 80);
    assert!(
        !rig.take().contains(&Action::Release),
        "the successor only spoke"
    );
    rig.advance(ms(2));
    rig.input(Input::Claimed {
        address: VIP,
        mac: mac(),
    });
    assert!(
        !rig.take().contains(&Action::Release),
        "frames may still be on their way"
    );
    rig.advance(ms(20));
    let actions = rig.take();
    let release = actions
        .iter()
        .position(|action| *action == Action::Release)
        .unwrap();
    let stopped = actions
        .iter()
        .position(|action| *action == Action::Stopped)
        .unwrap();
    assert!(release < stopped);
    assert_eq!(rig.why(), &Why::HandedOver { to: HIGHER_ADDRESS });
}

#[test]
fn a09_priority_zero_is_said_again_until_somebody_answers() {
    let mut rig = Rig::active(100, 100);
    rig.input(Input::Stop);
    rig.advance(ms(160));
    assert_eq!(rig.sent(), [0, 0, 0, 0]);
    rig.hear(HIGHER_ADDRESS, 80);
    rig.advance(ms(90));
    assert!(rig.sent().is_empty());
}

#[test]
fn a09_a_successor_whose_announcement_is_lost_is_waited_for_a_tenth_of_a_second() {
    let mut rig = Rig::active(100, 100);
    rig.input(Input::Stop);
    rig.hear(HIGHER_ADDRESS, 80);
    rig.advance(ms(99));
    assert!(rig.group.is_leaving());
    rig.advance(ms(1));
    assert_eq!(rig.state(), State::Initialize);
}

#[test]
fn a09_without_a_successor_the_wait_is_bounded() {
    for (millis, bound) in [(10, 310), (100, 400), (1000, 1300), (40_000, 10_000)] {
        let mut rig = Rig::active(100, millis);
        rig.input(Input::Stop);
        rig.advance(ms(bound - 1));
        assert_eq!(rig.state(), State::Active);
        rig.advance(ms(1));
        assert_eq!((rig.state(), rig.why()), (State::Initialize, &Why::Stopped));
        assert!(rig.take().contains(&Action::Release));
    }
}

#[test]
fn while_leaving_other_actives_and_claims_are_not_contradicted() {
    let mut rig = Rig::active(240, 100);
    rig.input(Input::Stop);
    rig.take();
    rig.hear(HIGHER_ADDRESS, 80);
    rig.input(Input::Claimed {
        address: VIP,
        mac: mac(),
    });
    let actions = rig.take();
    assert!(actions.is_empty(), "{actions:?}");
}

#[test]
fn while_leaving_the_addresses_are_renewed() {
    let mut rig = Rig::active(100, 40_000);
    rig.input(Input::Stop);
    rig.advance(ms(5000));
    let renewals = rig
        .take()
        .iter()
        .filter(|one| **one == Action::Own { confirm: false })
        .count();
    assert!(renewals >= 7);
}

#[test]
fn a_link_lost_while_leaving_ends_it() {
    let mut rig = Rig::active(100, 100);
    rig.input(Input::Stop);
    rig.unhealthy();
    assert!(rig.take().contains(&Action::Stopped));
    assert_eq!(rig.state(), State::Initialize);
}
