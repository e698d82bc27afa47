//! Rows T that need a router.

use vrrp::proto::{Input, Priority, State};

use crate::rig::{HIGHER_ADDRESS, Rig, centis, ms, settings, us};

#[test]
fn t05_the_interval_of_the_active_is_learned() {
    let mut rig = Rig::backup(100, 1000);
    rig.hear_every(HIGHER_ADDRESS, 200, centis(10));
    assert_eq!(
        rig.run_until(State::Active),
        us(360_937) + std::time::Duration::from_nanos(500)
    );
}

#[test]
fn t06_an_active_uses_its_own_interval_and_the_next_backup_starts_from_it() {
    let mut rig = Rig::backup(100, 1000);
    rig.hear_every(HIGHER_ADDRESS, 200, centis(10));
    rig.become_active();
    rig.advance(ms(999));
    assert!(rig.sent().is_empty());
    rig.advance(ms(1));
    assert_eq!(rig.sent(), [100]);
    rig.hear_every(HIGHER_ADDRESS, 200, centis(10));
    assert_eq!(rig.group.members()[0].active_interval(), centis(10));
    rig.unhealthy();
    rig.input(Input::Health(vrrp::proto::Health::Good));
    assert_eq!(rig.group.members()[0].active_interval(), centis(100));
}

#[test]
fn t07_another_priority_takes_effect_at_the_next_restart_of_the_timer() {
    let mut rig = Rig::backup(100, 100);
    rig.hear(HIGHER_ADDRESS, 200);
    let due = rig.group.poll_timeout();
    let mut other = settings(254, 100);
    other.preempt = false;
    rig.input(Input::Reconfigure(Box::new(other)));
    assert_eq!(rig.group.poll_timeout(), due);
    assert!(rig.sent().is_empty());
    rig.hear(HIGHER_ADDRESS, 200);
    assert_eq!(
        rig.run_until(State::Active),
        us(300_781) + std::time::Duration::from_nanos(250)
    );
}

#[test]
fn t14_a_factor_of_five_waits_five_adverts() {
    let mut patient = settings(254, 100);
    patient.down_factor = 5;
    let mut rig = Rig::started(patient);
    rig.hear(HIGHER_ADDRESS, 254);
    rig.advance(ms(500));
    assert_eq!(rig.state(), State::Backup);
    rig.advance(ms(1));
    assert_eq!(rig.state(), State::Active);
}

#[test]
fn adverts_keep_their_period_when_the_timer_is_served_a_little_late() {
    let mut rig = Rig::active(100, 100);
    let begin = rig.now;
    for _ in 0..50 {
        let due = rig.group.poll_timeout().unwrap();
        rig.now = due.after(us(700));
        rig.wake();
    }
    let sent = rig.sent().len() as u64;
    let expected = u64::try_from(rig.now.since(begin).as_millis()).expect("short") / 100;
    assert!(
        sent.abs_diff(expected) <= 1,
        "{sent} adverts instead of {expected}"
    );
    assert_eq!(Priority::OWNER, Priority::try_from(255).unwrap());
}
