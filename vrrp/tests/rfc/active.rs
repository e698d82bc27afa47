//! Rows A: being Active, and yielding.

use std::net::IpAddr;

use vrrp::proto::{Action, Alarm, Health, Input, Link, State, Why};

use crate::rig::{HIGHER_ADDRESS, LOWER_ADDRESS, OURS, Rig, VIP, centis, ms, settings, v4};

fn bursts(actions: &[Action]) -> usize {
    actions
        .iter()
        .filter(|action| matches!(action, Action::Announce { .. }))
        .count()
}

#[test]
fn a01_adverts_at_every_interval() {
    let mut rig = Rig::active(100, 100);
    rig.advance(ms(1000));
    assert_eq!(rig.sent(), [100; 10]);
}

#[test]
fn a02_priority_zero_of_another_is_answered_at_once() {
    let mut rig = Rig::active(100, 100);
    rig.advance(ms(50));
    rig.take();
    rig.hear(HIGHER_ADDRESS, 0);
    assert_eq!(rig.sent(), [100]);
    rig.advance(ms(99));
    assert!(rig.sent().is_empty());
    rig.advance(ms(1));
    assert_eq!(rig.sent(), [100]);
}

#[test]
fn a03_yields_to_a_higher_priority_with_one_last_word() {
    let mut rig = Rig::active(100, 1000);
    rig.hear_every(LOWER_ADDRESS, 200, centis(10));
    let actions = rig.take();
    let own_word = actions
        .iter()
        .position(|action| matches!(action, Action::Send { priority: 100, .. }))
        .expect("a last advert");
    let release = actions
        .iter()
        .position(|action| *action == Action::Release)
        .expect("released");
    assert!(own_word < release);
    assert_eq!(
        rig.why(),
        &Why::Outbid {
            by: LOWER_ADDRESS,
            priority: 200
        }
    );
    assert_eq!(
        rig.run_until(State::Active).as_micros(),
        360_937,
        "from the new interval"
    );
}

#[test]
fn a04_yields_to_a_greater_address_of_the_same_priority() {
    let mut rig = Rig::active(100, 100);
    rig.hear(HIGHER_ADDRESS, 100);
    assert_eq!((rig.sent(), rig.state()), (vec![100], State::Backup));
}

#[test]
fn a05_answers_a_lower_address_of_the_same_priority() {
    let mut rig = Rig::active(100, 100);
    rig.hear(LOWER_ADDRESS, 100);
    assert_eq!((rig.sent(), rig.state()), (vec![100], State::Active));
}

#[test]
fn a06_and_a23_answers_a_lower_priority_with_advert_and_burst() {
    let mut rig = Rig::active(100, 100);
    rig.advance(ms(20_000));
    rig.take();
    rig.hear(HIGHER_ADDRESS, 99);
    let actions = rig.take();
    assert!(matches!(actions[0], Action::Send { priority: 100, .. }));
    assert_eq!(bursts(&actions), 5);
    assert_eq!(rig.state(), State::Active);
}

#[test]
fn a07_a_storm_gets_two_answers_an_interval_and_one_burst_a_second() {
    let mut rig = Rig::active(100, 100);
    rig.advance(ms(20_000));
    rig.take();
    for _ in 0..3000 {
        rig.hear(HIGHER_ADDRESS, 99);
        rig.advance(ms(1));
    }
    let actions = rig.take();
    let adverts = actions
        .iter()
        .filter(|action| matches!(action, Action::Send { .. }))
        .count()
        / 3;
    assert!((55..=61).contains(&adverts), "{adverts} adverts in 3 s");
    assert!(
        (15..=20).contains(&bursts(&actions)),
        "{} frames in 3 s",
        bursts(&actions)
    );
}

#[test]
fn a07_a_burst_put_off_is_not_forgotten() {
    let mut rig = Rig::active(100, 100);
    rig.advance(ms(20_000));
    rig.hear(HIGHER_ADDRESS, 99);
    rig.advance(ms(500));
    rig.take();
    rig.hear(HIGHER_ADDRESS, 99);
    assert_eq!(bursts(&rig.take()), 0);
    rig.advance(ms(500));
    assert_eq!(bursts(&rig.take()), 5);
}

#[test]
fn a08_addresses_are_compared_as_numbers() {
    let ten: IpAddr = "10.0.0.10".parse().unwrap();
    let nine: IpAddr = "10.0.0.9".parse().unwrap();
    for (ours, theirs, expected) in [(nine, ten, State::Backup), (ten, nine, State::Active)] {
        let mut own = settings(100, 100);
        own.members[0].peers = vec![theirs];
        let mut rig = Rig::new(own);
        rig.input(Input::Start);
        rig.input(Input::Link {
            member: 0,
            link: Link::Up { source: ours },
        });
        rig.become_active();
        rig.hear(theirs, 100);
        assert_eq!(rig.state(), expected, "{ours} hears {theirs}");
    }
}

#[test]
fn a14_an_address_that_somebody_removed_is_put_back_and_announced() {
    let mut rig = Rig::active(100, 100);
    rig.advance(ms(10_000));
    rig.take();
    rig.input(Input::AddressLost);
    let actions = rig.take();
    assert_eq!(actions[0], Action::Own { confirm: true });
    assert_eq!(bursts(&actions), 5);
    assert_eq!(rig.group.members()[0].counters().addresses_restored, 1);
}

#[test]
fn a15_a_lost_link_is_a_fault_and_the_addresses_go() {
    let mut rig = Rig::active(100, 100);
    let lost = Link::Lost {
        detail: "interface `eth0` is down".to_owned(),
    };
    rig.input(Input::Link {
        member: 0,
        link: lost,
    });
    assert!(rig.take().contains(&Action::Release));
    assert_eq!(rig.state(), State::Fault);
    assert!(rig.sent().is_empty(), "nothing can be sent without a link");
    rig.links_up();
    assert_eq!(rig.state(), State::Backup);
}

#[test]
fn a16_a_short_flap_changes_nothing_but_is_announced() {
    let mut bouncy = settings(100, 100);
    bouncy.link_debounce = ms(150);
    let mut rig = Rig::started(bouncy);
    rig.become_active();
    rig.advance(ms(20_000));
    rig.take();
    let lost = Link::Lost {
        detail: "no carrier".to_owned(),
    };
    rig.input(Input::Link {
        member: 0,
        link: lost.clone(),
    });
    rig.advance(ms(100));
    assert_eq!(rig.state(), State::Active);
    rig.take();
    rig.links_up();
    assert_eq!((rig.state(), bursts(&rig.take())), (State::Active, 5));
    rig.input(Input::Link {
        member: 0,
        link: lost,
    });
    rig.advance(ms(150));
    assert_eq!(rig.state(), State::Fault);
}

#[test]
fn a17_failing_health_is_priority_zero_and_fault_and_not_a_lower_priority() {
    let mut rig = Rig::active(100, 100);
    rig.unhealthy();
    let actions = rig.take();
    assert!(matches!(actions[0], Action::Send { priority: 0, .. }));
    assert!(actions.contains(&Action::Release));
    assert_eq!(rig.state(), State::Fault);
    rig.hear(HIGHER_ADDRESS, 1);
    rig.advance(ms(10_000));
    assert_eq!((rig.state(), rig.sent().len()), (State::Fault, 0));
}

#[test]
fn a19_after_a_long_freeze_it_lets_go_first_and_says_nothing() {
    let mut rig = Rig::active(100, 100);
    rig.freeze(ms(301));
    rig.wake();
    let actions = rig.take();
    assert_eq!(actions[0], Action::Release);
    assert!(
        !actions
            .iter()
            .any(|action| matches!(action, Action::Send { .. })),
        "{actions:?}"
    );
    assert_eq!(rig.state(), State::Backup);
    assert!(matches!(rig.why(), Why::Frozen { .. }));
    assert_eq!(
        rig.run_until(State::Active).as_micros(),
        160_937,
        "only if nobody is there"
    );
}

#[test]
fn a19_the_successors_advert_in_the_queue_keeps_it_backup() {
    let mut rig = Rig::active(240, 100);
    rig.freeze(ms(6000));
    rig.hear(LOWER_ADDRESS, 80);
    assert_eq!(rig.state(), State::Backup);
    assert!(rig.sent().is_empty());
}

#[test]
fn a20_after_a_short_freeze_it_goes_on_at_once() {
    let mut rig = Rig::active(100, 100);
    rig.freeze(ms(299));
    rig.wake();
    assert_eq!((rig.sent(), rig.state()), (vec![100], State::Active));
}

#[test]
fn addresses_are_renewed_long_before_they_expire() {
    let mut rig = Rig::active(100, 100);
    let mut last = rig.now;
    rig.advance(ms(10_000));
    let mut renewals = 0;
    for (at, action) in &rig.log {
        if *action == (Action::Own { confirm: false }) {
            assert!(at.since(last) <= ms(700));
            (last, renewals) = (*at, renewals + 1);
        }
    }
    assert!(renewals >= 14);
}

#[test]
fn addresses_that_the_kernel_refuses_are_a_fault_that_is_tried_again() {
    let mut rig = Rig::backup(100, 100);
    rig.confirms = false;
    rig.run_until(State::Active);
    rig.input(Input::OwnRefused {
        detail: "IPv6 is disabled".to_owned(),
    });
    assert_eq!(rig.state(), State::Fault);
    assert!(matches!(rig.why(), Why::AddressesRefused { .. }));
    let again = rig.run_until(State::Backup);
    assert_eq!(again, ms(5000));
}

#[test]
fn a_claim_of_another_station_is_contradicted_once_a_second() {
    let mut rig = Rig::active(100, 100);
    rig.advance(ms(20_000));
    rig.take();
    let mac = "02:00:00:00:00:99".parse().unwrap();
    for _ in 0..100 {
        rig.input(Input::Claimed { address: VIP, mac });
        rig.advance(ms(10));
    }
    let actions = rig.take();
    assert_eq!(bursts(&actions), 10);
    let alarms = actions
        .iter()
        .filter(|action| matches!(action, Action::Alarm(_)))
        .count();
    assert_eq!(alarms, 1);
    assert!(actions.contains(&Action::Alarm(Alarm::Conflict { address: VIP, mac })));
    assert_eq!(rig.state(), State::Active);
}

#[test]
fn recovery_after_a_fault_does_not_take_back_what_another_has() {
    let mut modest = settings(240, 100);
    modest.preempt = false;
    let mut rig = Rig::started(modest);
    rig.become_active();
    rig.unhealthy();
    rig.input(Input::Health(Health::Good));
    for _ in 0..50 {
        rig.advance(ms(100));
        rig.hear(v4(9), 80);
    }
    assert_eq!(rig.state(), State::Backup);
    assert_eq!(rig.group.members()[0].source(), Some(OURS));
}

#[test]
fn a_burst_owed_before_the_addresses_are_there_waits_without_spinning() {
    let mut rig = Rig::backup(200, 100);
    rig.confirms = false;
    rig.run_until(State::Active);
    rig.hear(HIGHER_ADDRESS, 100);
    assert!(rig.group.poll_timeout().unwrap() > rig.now);
    rig.take();
    rig.advance(ms(30));
    rig.input(Input::Owned);
    assert_eq!(bursts(&rig.take()), 5);
}
