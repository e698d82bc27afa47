//! What is recorded, forged or from another cluster moves nothing.

use super::*;

#[test]
fn what_was_recorded_moves_nothing_when_it_is_played_again() {
    let mut pair = Pair::new();
    for _ in 0..5 {
        pair.step();
    }
    let recorded = pair.sent[0].clone();
    pair.now += PATIENCE;
    assert_eq!(pair.nodes[1].handle_timeout(pair.now), ["a"]);
    for bytes in &recorded {
        let rejection = pair.nodes[1]
            .handle_datagram(pair.now, place(0), bytes)
            .unwrap_err();
        assert_eq!(rejection, Rejection::Replayed);
    }
    assert_eq!(pair.sees(1), (false, false));

    let mut restarted = node("b", 300);
    for bytes in &recorded {
        let rejection = restarted
            .handle_datagram(pair.now, place(0), bytes)
            .unwrap_err();
        assert_eq!(rejection, Rejection::Unproven);
    }
    assert!(!restarted.peer("a").unwrap().is_alive());
}

#[test]
fn a_node_that_renews_while_it_hears_nobody_is_known_all_the_same() {
    let mut pair = Pair::new();
    pair.step();
    let recorded = pair.sent[1].clone();
    for _ in 0..5 {
        pair.step_deaf();
    }
    for _ in 0..5 {
        pair.nodes[1].renew();
        pair.step_deaf();
        assert_eq!(pair.sees(0), (true, false));
    }
    // Nothing of the life that goes on is heard twice.
    let renewed = pair.sent[1].clone();
    pair.now += PATIENCE;
    assert_eq!(pair.nodes[0].handle_timeout(pair.now), ["b"]);
    for bytes in recorded.iter().chain(&renewed) {
        let again = pair.nodes[0].handle_datagram(pair.now, place(1), bytes);
        assert_eq!(again, Err(Rejection::Replayed));
    }
    // Another life has to prove itself.
    let mut restarted = node("b", 200 + RENEWALS + 7);
    restarted.beat(pair.now);
    let bytes = restarted.poll_transmit().unwrap().bytes;
    let heard = pair.nodes[0].handle_datagram(pair.now, place(1), &bytes);
    assert_eq!(heard, Err(Rejection::Unproven));
}

/// Its clock went back, and the others know different incarnations of the life before: one missed the last of them.
#[test]
fn a_restarted_node_takes_no_incarnation_that_the_life_before_may_have_used() {
    for renewals in [1, 2, RENEWALS] {
        let mut pair = Pair::new();
        pair.step();
        let missed_it = pair.nodes[0].clone();
        for _ in 0..renewals {
            pair.nodes[1].renew();
        }
        for _ in 0..5 {
            pair.step();
        }
        let heard_it = mem::replace(&mut pair.nodes[0], missed_it);
        let recorded = pair.sent[1].clone();
        pair.nodes[1] = node("b", 5);
        pair.nodes[1].set_state(pair.now, &NodeState::default());
        pair.step();
        pair.step();
        pair.assert_met();
        // What the life before said last is history to both of them.
        for receiver in [&mut pair.nodes[0], &mut heard_it.clone()] {
            for bytes in &recorded {
                let again = receiver.handle_datagram(pair.now, place(1), bytes);
                assert_eq!(again, Err(Rejection::Replayed), "{renewals} renewals");
            }
        }
        pair.nodes[0] = heard_it;
        pair.step();
        pair.step();
        pair.assert_met();
    }
}

#[test]
fn what_is_played_again_does_not_change_where_a_node_is_answered() {
    let mut pair = Pair::new();
    pair.step();
    pair.step();
    let recorded = pair.sent[1].clone();
    let elsewhere = IpAddr::from([192, 0, 2, 66]);
    let mut restarted = node("a", 300);
    restarted.set_addresses(&BTreeMap::new());
    let latest = recorded.last().unwrap();
    let _ = restarted.handle_datagram(pair.now, place(1), latest);
    for (receiver, name) in [(&mut pair.nodes[0], "known"), (&mut restarted, "unproven")] {
        receiver.set_addresses(&BTreeMap::new());
        for bytes in &recorded {
            let _ = receiver.handle_datagram(pair.now, elsewhere, bytes);
        }
        let address = receiver.peer("b").unwrap().address();
        assert_eq!(address, Some(place(1)), "{name}");
    }
}

#[test]
fn datagrams_of_other_clusters_and_in_our_own_name_are_refused() {
    let mut pair = Pair::new();
    let now = pair.now;
    let mut stranger = node("b", 1);
    stranger
        .keys_mut()
        .replace(now, &BTreeMap::from([("k".to_owned(), vec![2; 32])]));
    stranger.beat(now);
    let bytes = stranger.poll_transmit().unwrap().bytes;
    assert_eq!(
        pair.nodes[0].handle_datagram(now, place(1), &bytes),
        Err(Rejection::Unauthentic)
    );

    let mut twin = Membership::new("a", 7, PATIENCE);
    twin.keys_mut()
        .replace(now, &BTreeMap::from([("k".to_owned(), vec![1; 32])]));
    twin.set_addresses(&BTreeMap::from([(
        "b".to_owned(),
        IpAddr::from([10, 0, 0, 1]),
    )]));
    twin.beat(now);
    let mut bytes = twin.poll_transmit().unwrap().bytes;
    assert_eq!(
        pair.nodes[0].handle_datagram(now, place(1), &bytes),
        Err(Rejection::Unauthentic)
    );
    bytes.truncate(3);
    assert_eq!(
        pair.nodes[0].handle_datagram(now, place(1), &bytes),
        Err(Rejection::Malformed)
    );
}
