//! Nodes meet and tell each other their state.

use super::*;

#[test]
fn two_nodes_meet_within_one_beat_and_know_each_others_state() {
    let mut pair = Pair::new();
    pair.step();
    pair.assert_met();
    assert!(pair.nodes.iter().all(Membership::is_complete));
}

#[test]
fn a_quiet_pair_sends_two_small_datagrams_a_beat() {
    let mut pair = Pair::new();
    for _ in 0..3 {
        pair.step();
    }
    let before: Vec<_> = pair.sent.iter().map(Vec::len).collect();
    pair.step();
    for (from, before) in before.into_iter().enumerate() {
        let fresh = &pair.sent[from][before..];
        assert_eq!(fresh.len(), 1);
        assert!(fresh[0].len() < 90, "{} bytes", fresh[0].len());
    }
}

#[test]
fn a_large_state_arrives_although_parts_are_lost() {
    let mut pair = Pair::new();
    pair.step();
    let claim = crate::core::peers::state::Claim {
        term: 1,
        fitness: crate::core::peers::state::Fitness::Fit,
    };
    let claims = (0..2000u32)
        .map(|bits| (IpAddr::from(bits.to_be_bytes()), claim))
        .collect();
    let state = NodeState {
        phase: Phase::Serving,
        claims,
        ..NodeState::default()
    };
    pair.nodes[0].set_state(pair.now, &state);
    let mut count = 0;
    while let Some(transmit) = pair.nodes[0].poll_transmit() {
        count += 1;
        if count % 3 != 0 {
            let _ = pair.nodes[1].handle_datagram(pair.now, place(0), &transmit.bytes);
        }
    }
    assert!(count > 20);
    assert_eq!(pair.nodes[1].peer("a").unwrap().state().claims.len(), 0);
    pair.step();
    assert_eq!(pair.nodes[1].peer("a").unwrap().state(), &state);
}

#[test]
fn a_restarted_node_is_known_again_at_once_even_if_its_clock_went_back() {
    for incarnation in [201, 5] {
        let mut pair = Pair::new();
        pair.step();
        pair.nodes[1] = node("b", incarnation);
        pair.nodes[1].set_state(pair.now, &NodeState::default());
        pair.step();
        pair.step();
        pair.assert_met();
    }
}

#[test]
fn a_node_that_does_not_list_the_other_answers_it() {
    let mut pair = Pair::new();
    pair.nodes[0].peers.clear();
    pair.step();
    pair.step();
    pair.assert_met();
}

#[test]
fn a_node_that_is_listed_no_longer_is_spoken_to_while_it_speaks_and_for_a_while() {
    let mut pair = Pair::new();
    pair.step();
    pair.nodes[0].set_addresses(&BTreeMap::new());
    for _ in 0..10 {
        pair.step();
    }
    pair.assert_met();
    pair.now += PATIENCE;
    pair.nodes[0].handle_timeout(pair.now);
    pair.nodes[0].beat(pair.now);
    assert!(pair.nodes[0].poll_transmit().is_some(), "it may be hearing");
    pair.now += ACQUAINTANCE;
    pair.nodes[0].beat(pair.now);
    assert_eq!(pair.nodes[0].poll_transmit(), None);
}
