//! Rows B.

use vrrp::proto::{Action, Alarm, Health, Input, State, Why};

use crate::rig::{HIGHER_ADDRESS, LOWER_ADDRESS, Rig, THIRD, VIP, ms, settings};

#[test]
fn b01_takes_over_with_advert_then_addresses_then_announcement() {
    let mut rig = Rig::backup(100, 100);
    rig.confirms = false;
    rig.run_until(State::Active);
    let actions = rig.take();
    let advert = actions
        .iter()
        .position(|action| matches!(action, Action::Send { .. }));
    let own = actions
        .iter()
        .position(|action| *action == Action::Own { confirm: true });
    assert!(advert.unwrap() < own.unwrap());
    assert!(
        !actions
            .iter()
            .any(|action| matches!(action, Action::Announce { .. }))
    );
    rig.input(Input::Owned);
    let announced = rig.take();
    assert_eq!(announced.len(), 5);
    assert!(
        announced
            .iter()
            .all(|action| matches!(action, Action::Announce { address, .. } if *address == VIP))
    );
}

#[test]
fn b02_an_advert_of_at_least_our_priority_restarts_the_timer() {
    for priority in [100, 101, 255] {
        let mut rig = Rig::backup(100, 100);
        rig.advance(ms(300));
        rig.hear(HIGHER_ADDRESS, priority);
        assert_eq!(rig.run_until(State::Active).as_micros(), 360_937);
    }
}

#[test]
fn b03_a_backup_never_compares_addresses() {
    let mut rig = Rig::backup(100, 100);
    rig.advance(ms(300));
    rig.hear(LOWER_ADDRESS, 100);
    rig.advance(ms(300));
    assert_eq!(rig.state(), State::Backup);
}

#[test]
fn b04_with_preemption_a_lower_priority_is_not_heard() {
    let mut rig = Rig::backup(100, 100);
    for _ in 0..3 {
        rig.advance(ms(100));
        rig.hear(HIGHER_ADDRESS, 99);
    }
    rig.advance(ms(61));
    assert_eq!(rig.state(), State::Active);
}

#[test]
fn b05_without_preemption_a_lower_priority_is_obeyed() {
    let mut modest = settings(200, 100);
    modest.preempt = false;
    let mut rig = Rig::started(modest);
    for _ in 0..50 {
        rig.advance(ms(100));
        rig.hear(HIGHER_ADDRESS, 1);
    }
    assert_eq!((rig.state(), rig.sent().len()), (State::Backup, 0));
}

#[test]
fn b06_priority_zero_from_the_active_leaves_the_skew() {
    let mut rig = Rig::backup(100, 100);
    rig.hear(HIGHER_ADDRESS, 200);
    rig.advance(ms(50));
    rig.hear(HIGHER_ADDRESS, 0);
    assert_eq!(rig.run_until(State::Active).as_micros(), 60_937);
    assert_eq!(
        rig.why(),
        &Why::ActiveLeft {
            last: Some(HIGHER_ADDRESS)
        }
    );
}

#[test]
fn b07_priority_zero_from_a_third_router_says_nothing_about_the_active() {
    let mut rig = Rig::backup(100, 100);
    rig.hear(HIGHER_ADDRESS, 200);
    rig.hear(THIRD, 0);
    rig.advance(ms(100));
    rig.hear(HIGHER_ADDRESS, 200);
    assert_eq!(rig.run_until(State::Active).as_micros(), 360_937);
}

#[test]
fn b08_a_stop_is_silent() {
    let mut rig = Rig::backup(100, 100);
    rig.take();
    rig.input(Input::Stop);
    let actions = rig.take();
    assert!(
        matches!(actions[..], [Action::Transition { .. }, Action::Stopped]),
        "{actions:?}"
    );
    assert_eq!(
        (rig.state(), rig.group.poll_timeout()),
        (State::Initialize, None)
    );
}

#[test]
fn b12_a_preempt_delay_leaves_the_lower_active_alone_for_its_time() {
    let mut delayed = settings(200, 100);
    delayed.preempt_delay = ms(30_000);
    let mut rig = Rig::started(delayed);
    for _ in 0..299 {
        rig.advance(ms(100));
        rig.hear(HIGHER_ADDRESS, 50);
    }
    assert_eq!(rig.state(), State::Backup);
    for _ in 0..6 {
        rig.advance(ms(100));
        rig.hear(HIGHER_ADDRESS, 50);
    }
    assert_eq!(rig.state(), State::Active);
}

#[test]
fn b13_a_preempt_delay_does_not_keep_a_dead_active_alive() {
    let mut delayed = settings(200, 100);
    delayed.preempt_delay = ms(30_000);
    let mut rig = Rig::started(delayed);
    rig.hear(HIGHER_ADDRESS, 50);
    assert_eq!(rig.run_until(State::Active).as_micros(), 321_875);
}

#[test]
fn b14_without_preemption_a_raised_priority_changes_nothing() {
    let mut modest = settings(100, 100);
    modest.preempt = false;
    let mut rig = Rig::started(modest.clone());
    modest.priority = 254.try_into().unwrap();
    rig.hear(HIGHER_ADDRESS, 200);
    rig.input(Input::Reconfigure(Box::new(modest)));
    for _ in 0..20 {
        rig.advance(ms(100));
        rig.hear(HIGHER_ADDRESS, 200);
    }
    assert_eq!((rig.state(), rig.sent().len()), (State::Backup, 0));
}

#[test]
fn b15_failing_health_is_a_silent_fault() {
    let mut rig = Rig::backup(100, 100);
    rig.unhealthy();
    assert_eq!((rig.state(), rig.sent().len()), (State::Fault, 0));
    rig.advance(ms(60_000));
    assert_eq!(rig.state(), State::Fault);
    rig.input(Input::Health(Health::Good));
    assert_eq!(rig.state(), State::Backup);
}

#[test]
fn b16_of_two_backups_exactly_one_takes_over() {
    let (mut high, mut low) = (Rig::backup(160, 100), Rig::backup(80, 100));
    for rig in [&mut high, &mut low] {
        rig.hear(HIGHER_ADDRESS, 240);
    }
    let took = high.run_until(State::Active);
    low.advance(took);
    low.hear(HIGHER_ADDRESS, 160);
    low.advance(ms(100));
    assert_eq!(low.state(), State::Backup);
    assert!(ms(338) > took && took > ms(337), "{took:?}");
}

#[test]
fn b17_equal_priorities_end_with_the_highest_address() {
    let mut rig = Rig::active(100, 100);
    rig.hear(LOWER_ADDRESS, 100);
    assert_eq!(rig.state(), State::Active);
    rig.hear(HIGHER_ADDRESS, 100);
    assert_eq!(rig.state(), State::Backup);
}

#[test]
fn b18_two_lost_adverts_change_nothing() {
    let mut rig = Rig::backup(100, 100);
    rig.hear(HIGHER_ADDRESS, 200);
    rig.advance(ms(300));
    rig.hear(HIGHER_ADDRESS, 200);
    assert_eq!((rig.state(), rig.sent().len()), (State::Backup, 0));
}

#[test]
fn b19_three_lost_adverts_are_a_takeover_that_the_next_advert_ends() {
    let mut rig = Rig::backup(100, 100);
    rig.hear(HIGHER_ADDRESS, 200);
    rig.advance(ms(400));
    assert_eq!(rig.state(), State::Active);
    rig.hear(HIGHER_ADDRESS, 200);
    assert_eq!(rig.state(), State::Backup);
}

#[test]
fn b21_another_owner_is_obeyed_and_alarmed() {
    let mut rig = Rig::backup(100, 100);
    rig.advance(ms(300));
    rig.hear(HIGHER_ADDRESS, 255);
    rig.advance(ms(300));
    assert_eq!(rig.state(), State::Backup);
    assert_eq!(
        rig.alarms(),
        [Alarm::OwnerExists {
            from: HIGHER_ADDRESS
        }]
    );
}

#[test]
fn a_backup_that_slept_through_its_timer_listens_once_more() {
    let mut rig = Rig::backup(100, 100);
    rig.hear(HIGHER_ADDRESS, 200);
    rig.freeze(ms(5000));
    rig.wake();
    assert_eq!((rig.state(), rig.sent().len()), (State::Backup, 0));
    rig.advance(ms(90));
    rig.hear(HIGHER_ADDRESS, 200);
    rig.advance(ms(300));
    assert_eq!(rig.state(), State::Backup);
    rig.freeze(ms(5000));
    rig.wake();
    assert_eq!(rig.run_until(State::Active).as_micros(), 160_937);
}

#[test]
fn silence_counts_only_up_to_where_the_queue_was_read() {
    let mut rig = Rig::backup(100, 100);
    let read_until = rig.now.after(ms(300));
    rig.freeze(ms(370));
    rig.group.handle_timeout(rig.now, read_until);
    assert_eq!(rig.state(), State::Backup);
    rig.group.handle_timeout(rig.now, rig.now);
    assert_eq!(rig.state(), State::Active);
}
