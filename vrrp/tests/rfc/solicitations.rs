//! Unicast peers and who knows where they are (ours; RFC 9568 knows multicast only).

use std::net::IpAddr;
use std::time::Duration;

use vrrp::proto::solicitor::RETURN_QUIET;
use vrrp::proto::{Action, Input, Link, Moment, State};

use crate::rig::{HIGHER_ADDRESS, LOWER_ADDRESS, Rig, THIRD, ms, settings, us};

const PEERS: [IpAddr; 3] = [LOWER_ADDRESS, HIGHER_ADDRESS, THIRD];

fn asked(rig: &mut Rig) -> Vec<(Moment, IpAddr)> {
    std::mem::take(&mut rig.log)
        .into_iter()
        .filter_map(|(at, action)| match action {
            Action::Solicit { peer, .. } => Some((at, peer)),
            _ => None,
        })
        .collect()
}

/// Skew of priority 100.
fn skew(millis: u32) -> Duration {
    Duration::from_millis(millis.into()) * 156 / 256
}

/// Patience of priority 100 with adverts every 100 ms.
fn down() -> Duration {
    ms(300) + skew(100)
}

fn unresolved(rig: &mut Rig, peers: &[IpAddr]) {
    rig.input(Input::Unresolved {
        member: 0,
        peers: peers.to_vec(),
    });
}

fn lose_link(rig: &mut Rig) {
    let detail = "no carrier".to_owned();
    rig.input(Input::Link {
        member: 0,
        link: Link::Lost { detail },
    });
}

/// A Backup whose link was lost and has just come back.
fn returned(millis: u32) -> Rig {
    let mut rig = Rig::backup(100, millis);
    rig.hear(HIGHER_ADDRESS, 200);
    lose_link(&mut rig);
    assert_eq!(rig.state(), State::Fault);
    rig.advance(Duration::from_secs(10));
    rig.log.clear();
    rig.links_up();
    assert_eq!(rig.state(), State::Backup);
    rig
}

#[test]
fn every_peer_is_asked_when_the_link_comes_up() {
    for mut rig in [returned(100), Rig::backup(100, 100)] {
        let begin = rig.now;
        rig.wake();
        let first: Vec<_> = PEERS.map(|peer| (begin, peer)).into();
        assert_eq!(asked(&mut rig), first);
        rig.advance(RETURN_QUIET - ms(1));
        let more = asked(&mut rig);
        for peer in PEERS {
            let times = more.iter().filter(|(_, one)| *one == peer).count();
            assert_eq!(times, 14, "every 100 ms for 1.5 s");
        }
        rig.advance(ms(2));
        asked(&mut rig);
        rig.advance(Duration::from_secs(5));
        assert_eq!(asked(&mut rig), []);
    }
}

#[test]
fn a_peer_that_was_heard_is_not_asked_any_more() {
    let mut rig = returned(100);
    rig.wake();
    rig.hear(HIGHER_ADDRESS, 200);
    asked(&mut rig);
    rig.advance(ms(100));
    let peers: Vec<_> = asked(&mut rig).into_iter().map(|(_, peer)| peer).collect();
    assert_eq!(peers, [LOWER_ADDRESS, THIRD]);
}

#[test]
fn nobody_is_asked_without_a_link() {
    let mut rig = returned(100);
    lose_link(&mut rig);
    unresolved(&mut rig, &PEERS);
    asked(&mut rig);
    rig.advance(Duration::from_secs(5));
    assert_eq!(asked(&mut rig), []);
}

#[test]
fn multicast_routers_ask_nobody_and_do_not_wait() {
    let mut settings = settings(100, 100);
    settings.members[0].peers.clear();
    let mut rig = Rig::started(settings);
    lose_link(&mut rig);
    rig.links_up();
    assert_eq!(rig.run_until(State::Active), down());
    assert_eq!(asked(&mut rig), []);
}

#[test]
fn an_active_asks_for_unresolved_peers_at_its_pace() {
    for (millis, pace) in [(10, 50), (100, 100), (1000, 200)] {
        let mut rig = Rig::active(100, millis);
        rig.advance(Duration::from_secs(30));
        rig.log.clear();
        unresolved(&mut rig, &[THIRD]);
        rig.advance(Duration::from_secs(2) - ms(1));
        let asked = asked(&mut rig);
        assert!(asked.iter().all(|(_, peer)| *peer == THIRD));
        assert_eq!(asked.len(), 2000 / pace, "{millis} ms");
        unresolved(&mut rig, &[]);
        rig.log.clear();
        rig.advance(Duration::from_secs(2));
        assert!(
            rig.log
                .iter()
                .all(|(_, action)| !matches!(action, Action::Solicit { .. }))
        );
    }
}

#[test]
fn a_backup_does_not_ask_for_unresolved_peers() {
    let mut rig = Rig::backup(100, 1000);
    rig.advance(ms(2000));
    rig.log.clear();
    unresolved(&mut rig, &PEERS);
    rig.advance(ms(1500));
    assert_eq!(asked(&mut rig), []);
}

#[test]
fn a_peer_that_is_found_again_hears_at_once_who_is_active() {
    let mut rig = Rig::active(100, 1000);
    unresolved(&mut rig, &[THIRD]);
    rig.advance(ms(5300));
    rig.log.clear();
    unresolved(&mut rig, &[THIRD, LOWER_ADDRESS]);
    assert!(
        rig.sent().is_empty(),
        "one more that is lost is no reason to speak"
    );
    unresolved(&mut rig, &[LOWER_ADDRESS]);
    assert_eq!(rig.sent(), [100]);
}

#[test]
fn a_peer_that_is_found_right_after_an_advert_is_told_nothing_twice() {
    let mut rig = Rig::active(100, 1000);
    unresolved(&mut rig, &[THIRD]);
    rig.advance(ms(5000));
    // To the next advert, which the kernel keeps until it has found the peer.
    rig.log.clear();
    while rig.sent().is_empty() {
        rig.advance(ms(1));
    }
    rig.log.clear();
    rig.advance(ms(99));
    unresolved(&mut rig, &[]);
    assert!(rig.sent().is_empty(), "the kernel has kept the advert");
    unresolved(&mut rig, &[THIRD]);
    rig.advance(ms(2));
    unresolved(&mut rig, &[]);
    assert_eq!(rig.sent(), [100]);
}

#[test]
fn a_returned_router_listens_before_it_takes_over() {
    for millis in [10, 100] {
        let mut rig = returned(millis);
        assert_eq!(
            rig.run_until(State::Active),
            RETURN_QUIET + skew(millis),
            "{millis} ms"
        );
    }
    // Its own patience is longer than what the kernels need.
    assert_eq!(returned(1000).run_until(State::Active), us(3_609_375));
}

#[test]
fn a_returned_router_that_hears_the_active_needs_no_quiet_time() {
    let mut rig = returned(100);
    rig.advance(ms(200));
    rig.hear(HIGHER_ADDRESS, 200);
    assert_eq!(rig.run_until(State::Active), down());
}

#[test]
fn a_returned_router_takes_over_from_one_that_leaves() {
    let mut rig = returned(100);
    rig.advance(ms(200));
    rig.hear(HIGHER_ADDRESS, 0);
    assert_eq!(rig.run_until(State::Active), skew(100));
}

#[test]
fn routers_that_return_together_take_over_one_after_the_other() {
    let waits = [240, 160, 80].map(|priority| {
        let mut rig = Rig::started(settings(priority, 100));
        lose_link(&mut rig);
        rig.advance(ms(500));
        rig.links_up();
        rig.run_until(State::Active)
    });
    assert!(
        waits[1] - waits[0] > ms(30) && waits[2] - waits[1] > ms(30),
        "{waits:?}"
    );
}

#[test]
fn a_short_flap_asks_and_waits_for_nothing_more() {
    let mut settings = settings(100, 100);
    settings.link_debounce = ms(150);
    let mut rig = Rig::started(settings);
    rig.become_active();
    rig.advance(Duration::from_secs(3));
    rig.log.clear();
    lose_link(&mut rig);
    rig.advance(ms(100));
    rig.links_up();
    rig.wake();
    assert_eq!(rig.state(), State::Active);
    assert_eq!(asked(&mut rig).len(), PEERS.len());
}
