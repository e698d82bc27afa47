//! Rows I.

use vrrp::proto::{Action, Group, Health, Input, Link, State, Why};

use crate::rig::{HIGHER_ADDRESS, Rig, ms, settings};

#[test]
fn i01_the_owner_of_the_addresses_is_active_at_once() {
    let mut rig = Rig::started(settings(255, 100));
    assert_eq!(rig.state(), State::Active);
    let kinds: Vec<_> = rig
        .take()
        .into_iter()
        .map(|action| match action {
            Action::Send { .. } => "advert",
            Action::Own { .. } => "addresses",
            Action::Announce { .. } => "announcement",
            _ => "other",
        })
        .collect();
    let place = |kind| kinds.iter().position(|one| *one == kind).unwrap();
    assert!(place("advert") < place("addresses") && place("addresses") < place("announcement"));
    assert_eq!(rig.why(), &Why::AddressOwner);
}

#[test]
fn i02_everybody_else_listens_first() {
    let mut rig = Rig::backup(100, 100);
    assert!(rig.sent().is_empty());
    let took = rig.run_until(State::Active);
    assert_eq!(took.as_micros(), 360_937);
}

#[test]
fn i03_adverts_before_the_start_are_ignored() {
    let mut rig = Rig::new(settings(100, 100));
    rig.hear(HIGHER_ADDRESS, 200);
    rig.hear(HIGHER_ADDRESS, 0);
    assert_eq!((rig.state(), rig.take().len()), (State::Initialize, 0));
}

#[test]
fn i05_without_another_active_it_takes_over_normally_after_a_crash() {
    let mut rig = Rig::backup(100, 100);
    rig.advance(ms(361));
    assert_eq!(rig.state(), State::Active);
}

#[test]
fn i06_waits_in_fault_until_the_interface_is_there() {
    let mut rig = Rig::new(settings(100, 100));
    rig.input(Input::Start);
    let lost = Link::Lost {
        detail: "interface `eth7` does not exist".to_owned(),
    };
    rig.input(Input::Link {
        member: 0,
        link: lost,
    });
    assert_eq!(rig.state(), State::Fault);
    assert_eq!(rig.group.poll_timeout(), None);
    rig.advance(ms(10_000));
    rig.links_up();
    assert_eq!(rig.state(), State::Backup);
    rig.advance(ms(361));
    assert_eq!(rig.state(), State::Active);
}

#[test]
fn i07_in_the_quiet_time_it_only_listens() {
    let mut quiet = settings(100, 100);
    quiet.startup_quiet = ms(4000);
    let mut rig = Rig::started(quiet);
    rig.advance(ms(3999));
    assert_eq!((rig.state(), rig.sent().len()), (State::Backup, 0));
    rig.advance(ms(1));
    assert_eq!(rig.state(), State::Active);
}

#[test]
fn i08_the_first_advert_after_a_slow_port_opens_ends_a_double_active() {
    // The port forwards nothing for half a minute: this node took over alone.
    let mut rig = Rig::active(100, 100);
    rig.advance(ms(30_000));
    rig.take();
    rig.hear(HIGHER_ADDRESS, 200);
    assert_eq!(rig.state(), State::Backup);
}

#[test]
fn i09_of_two_that_start_together_only_the_higher_becomes_active() {
    let (mut high, mut low) = (Rig::backup(200, 100), Rig::backup(100, 100));
    high.run_until(State::Active);
    low.advance(high.now.since(low.now));
    assert_eq!(low.state(), State::Backup);
    for _ in 0..20 {
        low.hear(HIGHER_ADDRESS, 200);
        low.advance(ms(100));
    }
    assert_eq!((low.state(), low.sent().len()), (State::Backup, 0));
}

#[test]
fn i10_with_unknown_health_it_is_never_active() {
    let mut rig = Rig::new(settings(255, 100));
    rig.group = Group::new(settings(255, 100), true);
    rig.input(Input::Start);
    rig.links_up();
    assert_eq!(
        (rig.state(), rig.why()),
        (State::Initialize, &Why::HealthUnknown)
    );
    rig.advance(ms(60_000));
    assert_eq!((rig.state(), rig.sent().len()), (State::Initialize, 0));
    rig.input(Input::Health(Health::Good));
    assert_eq!(rig.state(), State::Active);
}
