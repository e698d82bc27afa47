//! Planned moves with a grace: the predecessor lingers, the successor passes on.

use std::net::IpAddr;
use std::time::Duration;

use vrrp::proto::packet::MAX_LEN;
use vrrp::proto::{Action, Destination, Family, Group, Health, Input, State, Version, Why};

use crate::rig::{Built, HIGHER_ADDRESS, LOWER_ADDRESS, Rig, THIRD, VIP, ms, settings};

const GRACE: Duration = Duration::from_secs(5);

fn with_grace() -> vrrp::proto::GroupSettings {
    vrrp::proto::GroupSettings {
        hand_over_grace: GRACE,
        ..settings(100, 100)
    }
}

fn active() -> Rig {
    let mut rig = Rig::started(with_grace());
    rig.become_active();
    rig
}

fn backup() -> Rig {
    let mut rig = Rig::started(with_grace());
    rig.hear(HIGHER_ADDRESS, 200);
    rig.take();
    rig
}

/// The successor speaks, announces itself, and what is on its way arrives.
fn succeed(rig: &mut Rig) {
    rig.advance(ms(40));
    rig.hear(HIGHER_ADDRESS, 80);
    let mac = "02:00:00:00:00:30".parse().unwrap();
    rig.input(Input::Claimed { address: VIP, mac });
    rig.advance(ms(20));
}

fn farewell(source: IpAddr, lingers: bool) -> Built {
    Built {
        source,
        priority: 0,
        lingers,
        ..Built::default()
    }
}

fn passes_on(actions: &[Action]) -> Vec<IpAddr> {
    let to = |action: &Action| match action {
        Action::PassOn { to, .. } => Some(*to),
        _ => None,
    };
    actions.iter().filter_map(to).collect()
}

fn draining(rig: &mut Rig) {
    let detail = "stopping".to_owned();
    rig.input(Input::Health(Health::Draining { detail }));
}

/// The byte with the reserved bits of an advert that the group would send now.
fn reserved(group: &Group, priority: u8, version: Version) -> u8 {
    let mut buffer = [0; MAX_LEN];
    let to = Destination::Peer(HIGHER_ADDRESS);
    let (bytes, ..) = group.encode(0, to, version, priority, &mut buffer).unwrap();
    bytes[4] & 0xf0
}

#[test]
fn a_planned_stop_lingers_once_the_successor_is_there() {
    let mut rig = active();
    rig.input(Input::Stop);
    rig.take();
    succeed(&mut rig);
    let actions = rig.take();
    let place = |wanted: &Action| actions.iter().position(|action| action == wanted);
    assert!(place(&Action::Linger).unwrap() < place(&Action::Stopped).unwrap());
    assert!(!actions.contains(&Action::Release));
    assert_eq!(rig.why(), &Why::HandedOver { to: HIGHER_ADDRESS });
}

#[test]
fn without_a_successor_nothing_lingers() {
    let mut rig = active();
    rig.input(Input::Stop);
    rig.advance(ms(400));
    let actions = rig.take();
    let released = actions.iter().position(|one| *one == Action::Release);
    let released = released.expect("the addresses go");
    assert!(!actions.contains(&Action::Linger));
    // What was promised is taken back.
    let again = |one: &Action| matches!(one, Action::Send { priority: 0, .. });
    assert!(actions[released..].iter().any(again));
    assert_eq!(reserved(&rig.group, 0, Version::V3), 0);
}

#[test]
fn nothing_is_passed_on_to_a_predecessor_that_took_its_promise_back() {
    let mut rig = backup();
    rig.hear_built(farewell(HIGHER_ADDRESS, true));
    rig.hear_built(farewell(HIGHER_ADDRESS, false));
    rig.run_until(State::Active);
    assert_eq!(passes_on(&rig.take()), [] as [IpAddr; 0]);
}

#[test]
fn only_a_planned_farewell_says_that_the_addresses_linger() {
    let mut rig = active();
    assert_eq!(reserved(&rig.group, 100, Version::V3), 0);
    // As in a Fault, where priority zero is said while Active and let go at once.
    assert_eq!(reserved(&rig.group, 0, Version::V3), 0);
    rig.input(Input::Stop);
    assert_eq!(reserved(&rig.group, 0, Version::V3), 0x10);
    assert_eq!(reserved(&rig.group, 0, Version::V2), 0);

    let mut off = Rig::active(100, 100);
    off.input(Input::Stop);
    assert_eq!(reserved(&off.group, 0, Version::V3), 0);
}

#[test]
fn a_fault_lets_go_at_once() {
    let mut rig = active();
    rig.unhealthy();
    let actions = rig.take();
    assert!(actions.contains(&Action::Release));
    assert!(!actions.contains(&Action::Linger));
    assert_eq!(reserved(&rig.group, 0, Version::V3), 0);
}

#[test]
fn the_successor_passes_on_before_it_owns() {
    let mut rig = backup();
    rig.hear_built(farewell(HIGHER_ADDRESS, true));
    rig.run_until(State::Active);
    let actions = rig.take();
    let to = Action::PassOn {
        member: 0,
        to: HIGHER_ADDRESS,
    };
    let pass_on = actions.iter().position(|action| *action == to);
    let own = actions
        .iter()
        .position(|action| matches!(action, Action::Own { .. }));
    assert!(pass_on.unwrap() < own.unwrap(), "{actions:?}");
    assert_eq!(passes_on(&actions), [HIGHER_ADDRESS]);
}

#[test]
fn nothing_is_passed_on_to_somebody_who_did_not_say_that_it_lingers() {
    let mut rig = backup();
    rig.hear_built(farewell(HIGHER_ADDRESS, false));
    rig.run_until(State::Active);
    assert_eq!(passes_on(&rig.take()), [] as [IpAddr; 0]);
}

#[test]
fn nothing_is_passed_on_after_a_failure() {
    let mut rig = backup();
    rig.run_until(State::Active);
    assert_eq!(passes_on(&rig.take()), [] as [IpAddr; 0]);
}

#[test]
fn nothing_is_passed_on_to_a_predecessor_that_stayed_after_all() {
    let mut rig = backup();
    rig.hear_built(farewell(HIGHER_ADDRESS, true));
    rig.hear(HIGHER_ADDRESS, 200);
    rig.run_until(State::Active);
    assert_eq!(passes_on(&rig.take()), [] as [IpAddr; 0]);
}

#[test]
fn nothing_is_passed_on_to_a_third_router_that_leaves() {
    let mut rig = backup();
    rig.hear_built(farewell(THIRD, true));
    rig.run_until(State::Active);
    assert_eq!(passes_on(&rig.take()), [] as [IpAddr; 0]);
}

#[test]
fn nothing_is_passed_on_when_the_farewell_was_found_late() {
    let mut rig = backup();
    rig.hear_built(farewell(HIGHER_ADDRESS, true));
    rig.freeze(ms(2000));
    rig.wake();
    assert_eq!(rig.state(), State::Backup, "it looks a second time");
    rig.run_until(State::Active);
    assert_eq!(passes_on(&rig.take()), [] as [IpAddr; 0]);
}

#[test]
fn nothing_is_passed_on_without_a_grace() {
    let mut rig = Rig::backup(100, 100);
    rig.hear(HIGHER_ADDRESS, 200);
    rig.hear_built(farewell(HIGHER_ADDRESS, true));
    rig.run_until(State::Active);
    assert_eq!(passes_on(&rig.take()), [] as [IpAddr; 0]);
}

#[test]
fn a_farewell_counts_for_one_move_only() {
    let mut rig = backup();
    rig.hear_built(farewell(HIGHER_ADDRESS, true));
    rig.run_until(State::Active);
    rig.hear(HIGHER_ADDRESS, 200);
    assert_eq!(rig.state(), State::Backup);
    rig.take();
    rig.run_until(State::Active);
    assert_eq!(passes_on(&rig.take()), [] as [IpAddr; 0]);
}

#[test]
fn each_family_has_a_predecessor_of_its_own() {
    const LOCAL: &str = "fe80::200:5eff:fe00:233";
    const THEIRS: &str = "fe80::30";
    let mut own = with_grace();
    let mut second = own.members[0].clone();
    second.family = Family::V6;
    second.peers.clear();
    second.addresses = vec![LOCAL.parse().unwrap(), "2001:db8::100".parse().unwrap()];
    own.members.push(second);
    let mut rig = Rig::started(own);
    rig.hear(HIGHER_ADDRESS, 200);
    let v6 = |priority, lingers| Built {
        source: THEIRS.parse().unwrap(),
        destination: "ff02::12".parse().unwrap(),
        addresses: vec![LOCAL.parse().unwrap(), "2001:db8::100".parse().unwrap()],
        priority,
        lingers,
        ..Built::default()
    };
    rig.hear_built(v6(200, false));
    rig.hear_built(farewell(HIGHER_ADDRESS, true));
    rig.hear_built(v6(0, true));
    rig.take();
    rig.run_until(State::Active);
    let expected = [HIGHER_ADDRESS, THEIRS.parse().unwrap()];
    assert_eq!(passes_on(&rig.take()), expected);
}

#[test]
fn a_draining_node_hands_over_as_planned_and_rests() {
    let mut rig = active();
    draining(&mut rig);
    assert!(rig.group.is_leaving());
    assert!(matches!(
        rig.take()[..],
        [Action::Send { priority: 0, .. }, ..]
    ));
    assert_eq!(reserved(&rig.group, 0, Version::V3), 0x10);
    succeed(&mut rig);
    let actions = rig.take();
    assert!(actions.contains(&Action::Linger), "{actions:?}");
    assert!(!actions.contains(&Action::Stopped));
    assert_eq!(rig.state(), State::Fault);
    assert!(matches!(rig.why(), Why::Draining { .. }));
    rig.hear(HIGHER_ADDRESS, 80);
    rig.input(Input::Health(Health::Good));
    assert_eq!(rig.state(), State::Backup);
    assert!(!rig.take().contains(&Action::Release));
}

#[test]
fn when_nothing_answers_here_any_more_nothing_lingers() {
    let mut rig = active();
    draining(&mut rig);
    succeed(&mut rig);
    rig.take();
    rig.advance(ms(1000));
    rig.unhealthy();
    assert_eq!(rig.take(), [Action::Release]);
    rig.unhealthy();
    assert!(rig.take().is_empty());
}

#[test]
fn what_is_gone_before_the_successor_is_there_ends_the_hand_over() {
    let mut rig = active();
    draining(&mut rig);
    rig.take();
    rig.unhealthy();
    let actions = rig.take();
    assert!(actions.contains(&Action::Release), "{actions:?}");
    assert!(!actions.contains(&Action::Stopped));
    assert_eq!(rig.state(), State::Fault);
}

#[test]
fn a_backup_that_drains_is_silent() {
    let mut rig = backup();
    draining(&mut rig);
    assert_eq!(rig.state(), State::Fault);
    assert!(rig.sent().is_empty());
}

#[test]
fn a_stop_while_draining_ends_it() {
    let mut rig = active();
    draining(&mut rig);
    rig.input(Input::Stop);
    succeed(&mut rig);
    let actions = rig.take();
    assert!(actions.contains(&Action::Linger));
    assert!(actions.contains(&Action::Stopped));
    assert_eq!(rig.state(), State::Initialize);
}

#[test]
fn a_node_that_is_well_again_before_the_move_is_over_takes_part_again() {
    let mut rig = active();
    draining(&mut rig);
    rig.input(Input::Health(Health::Good));
    succeed(&mut rig);
    assert_eq!(rig.state(), State::Backup);
    assert!(rig.take().contains(&Action::Linger));
    rig.hear(LOWER_ADDRESS, 50);
    rig.run_until(State::Active);
    assert!(!rig.take().contains(&Action::Release));
}

#[test]
fn moves_back_and_forth_within_one_grace_take_sides_in_turn() {
    let mut rig = active();
    for _ in 0..3 {
        draining(&mut rig);
        rig.take();
        succeed(&mut rig);
        assert_eq!(sides(&rig.take()), [Action::Linger]);
        rig.hear(HIGHER_ADDRESS, 200);
        rig.input(Input::Health(Health::Good));
        rig.hear(HIGHER_ADDRESS, 200);
        rig.hear_built(farewell(HIGHER_ADDRESS, true));
        assert_eq!(sides(&rig.take()), []);
        rig.run_until(State::Active);
        let to = HIGHER_ADDRESS;
        let both = [
            Action::PassOn { member: 0, to },
            Action::Own { confirm: true },
        ];
        assert_eq!(sides(&rig.take()), both);
    }
    // Whatever lingered before is answered for again.
    rig.unhealthy();
    assert_eq!(sides(&rig.take()), [Action::Release]);
    rig.unhealthy();
    assert_eq!(sides(&rig.take()), []);
}

fn sides(actions: &[Action]) -> Vec<Action> {
    let is_side = |action: &&Action| {
        matches!(
            action,
            Action::Linger
                | Action::Release
                | Action::PassOn { .. }
                | Action::Own { confirm: true }
        )
    };
    actions.iter().filter(is_side).cloned().collect()
}
