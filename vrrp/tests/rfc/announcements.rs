//! Rows N, as far as the machine decides them.

use std::net::IpAddr;
use std::time::Duration;

use vrrp::proto::{Action, Family, Input, State};

use crate::rig::{Rig, VIP, ms, settings};

/// When frames were sent after the take-over, and how many.
fn frames(rig: &Rig, begin: vrrp::proto::Moment) -> Vec<(u128, usize)> {
    let mut frames: Vec<(u128, usize)> = Vec::new();
    for (at, action) in &rig.log {
        if matches!(action, Action::Announce { .. }) {
            let millis = at.since(begin).as_millis();
            match frames.last_mut() {
                Some((last, count)) if *last == millis => *count += 1,
                _ => frames.push((millis, 1)),
            }
        }
    }
    frames
}

#[test]
fn n01_n05_and_a13_a_burst_at_once_after_one_second_and_after_five() {
    let mut rig = Rig::backup(100, 100);
    rig.run_until(State::Active);
    let begin = rig.now;
    rig.advance(ms(20_000));
    assert_eq!(frames(&rig, begin), [(0, 5), (1000, 5), (5000, 5)]);
}

#[test]
fn n02_both_forms_in_turn_or_only_one() {
    for (request, reply, expected) in [
        (true, true, [false, true, false, true, false]),
        (true, false, [false; 5]),
        (false, true, [true; 5]),
    ] {
        let mut own = settings(100, 100);
        (own.announce.request_form, own.announce.reply_form) = (request, reply);
        let mut rig = Rig::started(own);
        rig.run_until(State::Active);
        let forms: Vec<bool> = rig
            .take()
            .iter()
            .filter_map(|action| match action {
                Action::Announce { reply, .. } => Some(*reply),
                _ => None,
            })
            .collect();
        assert_eq!(forms, expected);
    }
}

#[test]
fn a12_refreshes_every_minute_with_jitter() {
    let mut rig = Rig::active(100, 1000);
    let begin = rig.now;
    rig.advance(Duration::from_secs(310));
    let refreshes: Vec<_> = frames(&rig, begin).split_off(2);
    assert_eq!(refreshes.len(), 5, "{refreshes:?}");
    let mut last = 5000;
    for (at, count) in refreshes {
        assert_eq!(count, 1);
        assert!((54_000..=60_000).contains(&(at - last)), "{}", at - last);
        last = at;
    }
}

#[test]
fn a12_no_refresh_when_it_is_off() {
    let mut own = settings(100, 1000);
    own.announce.refresh = None;
    let mut rig = Rig::started(own);
    rig.become_active();
    let begin = rig.now;
    rig.advance(Duration::from_secs(600));
    assert_eq!(frames(&rig, begin).len(), 2);
}

#[test]
fn n03_every_ipv6_address_is_announced() {
    let mut own = settings(100, 100);
    let global: IpAddr = "2001:db8::100".parse().unwrap();
    let local: IpAddr = "fe80::200:5eff:fe00:233".parse().unwrap();
    own.members[0].family = Family::V6;
    own.members[0].peers.clear();
    own.members[0].addresses = vec![local, global];
    let mut rig = Rig::started(own);
    rig.run_until(State::Active);
    let announced: Vec<IpAddr> = rig
        .take()
        .iter()
        .filter_map(|action| match action {
            Action::Announce { address, .. } => Some(*address),
            _ => None,
        })
        .collect();
    assert_eq!(announced, [[local; 5], [global; 5]].concat());
}

#[test]
fn n07_and_n08_a_link_that_lost_its_neighbours_is_announced_on_again() {
    let mut rig = Rig::active(100, 100);
    rig.advance(ms(20_000));
    rig.take();
    rig.input(Input::LinkRestored { member: 0 });
    let count = rig
        .take()
        .iter()
        .filter(|action| matches!(action, Action::Announce { address, .. } if *address == VIP))
        .count();
    assert_eq!(count, 5);
}

#[test]
fn nothing_is_announced_after_the_addresses_are_gone() {
    let mut rig = Rig::active(100, 100);
    rig.unhealthy();
    rig.take();
    rig.input(Input::Owned);
    rig.advance(ms(60_000));
    assert!(rig.take().is_empty());
}
