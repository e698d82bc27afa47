//! Row V18: an IPv4 and an IPv6 router that move together.

use std::net::IpAddr;

use vrrp::proto::{Action, Family, Input, Link, State};

use crate::rig::{Built, HIGHER_ADDRESS, LOWER_ADDRESS, Rig, ms, settings};

const VIP6: &str = "2001:db8::100";
const LOCAL: &str = "fe80::200:5eff:fe00:233";

fn dual(priority: u8) -> vrrp::proto::GroupSettings {
    let mut own = settings(priority, 100);
    let mut second = own.members[0].clone();
    second.name = "api-v6".to_owned();
    second.family = Family::V6;
    second.peers.clear();
    second.addresses = vec![LOCAL.parse().unwrap(), VIP6.parse().unwrap()];
    own.members.push(second);
    own
}

fn v6_advert(source: &str, priority: u8) -> Built {
    Built {
        source: source.parse().unwrap(),
        destination: "ff02::12".parse().unwrap(),
        addresses: vec![LOCAL.parse().unwrap(), VIP6.parse().unwrap()],
        priority,
        ..Built::default()
    }
}

#[test]
fn takes_over_only_when_every_family_is_silent() {
    let mut rig = Rig::started(dual(100));
    for _ in 0..20 {
        rig.advance(ms(100));
        rig.hear(HIGHER_ADDRESS, 200);
    }
    assert_eq!(rig.state(), State::Backup, "IPv4 alone keeps it");
    for _ in 0..20 {
        rig.advance(ms(100));
        rig.hear_built(v6_advert("fe80::30", 200));
    }
    assert_eq!(rig.state(), State::Backup, "IPv6 alone keeps it");
    assert_eq!(rig.run_until(State::Active).as_micros(), 360_937);
    let actions = rig.take();
    for member in 0..2 {
        let sent =
            |action: &Action| matches!(action, Action::Send { member: one, .. } if *one == member);
        let announced = |action: &Action| matches!(action, Action::Announce { member: one, .. } if *one == member);
        assert!(actions.iter().any(sent) && actions.iter().any(announced));
    }
}

#[test]
fn yields_as_a_whole_when_one_family_is_outbid() {
    for family in [Family::V4, Family::V6] {
        let mut rig = Rig::started(dual(100));
        rig.become_active();
        match family {
            Family::V4 => rig.hear(LOWER_ADDRESS, 200),
            Family::V6 => rig.hear_built(v6_advert("fe80::1", 200)),
        }
        assert_eq!(rig.state(), State::Backup);
        assert!(rig.take().contains(&Action::Release));
    }
}

#[test]
fn between_equal_priorities_only_the_first_family_decides() {
    let mut rig = Rig::started(dual(100));
    rig.become_active();
    rig.hear_built(v6_advert("fe80::30", 100));
    assert_eq!(
        rig.state(),
        State::Active,
        "a greater IPv6 address does not decide"
    );
    rig.hear(HIGHER_ADDRESS, 100);
    assert_eq!(rig.state(), State::Backup, "a greater IPv4 address does");
}

#[test]
fn a_lost_link_of_one_family_is_told_on_the_other() {
    let mut rig = Rig::started(dual(100));
    rig.become_active();
    let lost = Link::Lost {
        detail: "no link-local address".to_owned(),
    };
    rig.input(Input::Link {
        member: 1,
        link: lost,
    });
    let actions = rig.take();
    assert!(actions.iter().any(|action| matches!(
        action,
        Action::Send {
            member: 0,
            priority: 0,
            ..
        }
    )));
    assert!(
        !actions
            .iter()
            .any(|action| matches!(action, Action::Send { member: 1, .. }))
    );
    assert_eq!(rig.state(), State::Fault);
}

#[test]
fn with_both_links_lost_nothing_is_due_for_ever() {
    let mut own = dual(100);
    own.link_debounce = ms(200);
    let mut rig = Rig::started(own);
    rig.become_active();
    for member in 0..2 {
        let link = Link::Lost {
            detail: "the cable is out".to_owned(),
        };
        rig.input(Input::Link { member, link });
    }
    let now = rig.now.after(ms(500));
    rig.group.handle_timeout(now, now);
    assert_eq!(rig.state(), State::Fault);
    let due = rig.group.poll_timeout();
    assert!(due.is_none_or(|at| at > now), "due at {due:?} for ever");
}

#[test]
fn both_families_advertise_in_step() {
    let mut rig = Rig::started(dual(100));
    rig.become_active();
    rig.advance(ms(1000));
    let mut times: [Vec<_>; 2] = [Vec::new(), Vec::new()];
    for (at, action) in &rig.log {
        if let Action::Send { member, .. } = action
            && times[*member].last() != Some(at)
        {
            times[*member].push(*at);
        }
    }
    assert_eq!(times[0], times[1]);
    assert_eq!(times[0].len(), 10);
}

#[test]
fn p22_the_same_vrid_of_the_other_family_is_another_router() {
    let mut rig = Rig::started(dual(100));
    rig.advance(ms(300));
    rig.hear_built(v6_advert("fe80::30", 200));
    let heard = |index: usize| rig.group.members()[index].counters().adverts_received;
    assert_eq!((heard(0), heard(1)), (0, 1));
    let _: IpAddr = VIP6.parse().unwrap();
}
