//! Rows A25–A30: other settings while it runs.

use vrrp::proto::{Action, Input, State};

use crate::rig::{HIGHER_ADDRESS, Rig, VIP, centis, ms, settings, v4};

fn settled() -> Rig {
    let mut rig = Rig::active(100, 100);
    rig.advance(ms(20_000));
    rig.take();
    rig
}

fn reload(rig: &mut Rig, change: impl FnOnce(&mut vrrp::proto::GroupSettings)) -> Vec<Action> {
    let mut other = settings(100, 100);
    change(&mut other);
    rig.input(Input::Reconfigure(Box::new(other)));
    rig.take()
}

fn announced(actions: &[Action]) -> Vec<std::net::IpAddr> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Announce { address, .. } => Some(*address),
            _ => None,
        })
        .collect()
}

#[test]
fn a25_another_interval_goes_out_with_the_next_advert() {
    let mut rig = settled();
    reload(&mut rig, |other| other.interval = centis(100));
    assert_eq!(rig.state(), State::Active);
    rig.advance(ms(999));
    assert!(rig.sent().is_empty());
    rig.advance(ms(1));
    assert_eq!(rig.sent(), [100]);
}

#[test]
fn a26_nothing_changed_nothing_happens() {
    let mut rig = settled();
    assert!(reload(&mut rig, |_| {}).is_empty());
}

#[test]
fn a27_another_priority_is_one_extra_advert_and_nothing_else() {
    let mut rig = settled();
    let actions = reload(&mut rig, |other| other.priority = 150.try_into().unwrap());
    assert!(
        actions
            .iter()
            .all(|action| matches!(action, Action::Send { priority: 150, .. }))
    );
    assert_eq!(actions.len(), 3, "one for each peer");
}

#[test]
fn a28_an_added_address_is_announced_alone() {
    let mut rig = settled();
    let actions = reload(&mut rig, |other| other.members[0].addresses.push(v4(101)));
    assert!(actions.contains(&Action::Own { confirm: true }));
    assert_eq!(announced(&actions), [v4(101); 5]);
}

#[test]
fn a29_a_removed_address_goes_and_the_others_stay() {
    let mut rig = settled();
    reload(&mut rig, |other| other.members[0].addresses.push(v4(101)));
    rig.advance(ms(10_000));
    rig.take();
    let actions = reload(&mut rig, |_| {});
    assert!(
        actions.contains(&Action::Own { confirm: true }),
        "exactly the addresses left"
    );
    assert!(announced(&actions).is_empty());
    assert_eq!(rig.group.settings().members[0].addresses, [VIP]);
}

#[test]
fn a_member_that_is_added_keeps_the_others_history() {
    let mut rig = settled();
    rig.hear(HIGHER_ADDRESS, 50);
    let before = rig.group.members()[0].counters().clone();
    reload(&mut rig, |other| {
        let mut second = other.members[0].clone();
        second.vrid = 52.try_into().unwrap();
        second.addresses = vec![v4(110)];
        other.members.push(second);
    });
    let after = rig.group.members()[0].counters();
    assert_eq!(after.adverts_received, before.adverts_received);
    assert_eq!(rig.group.members().len(), 2);
}
