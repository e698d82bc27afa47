//! Who is silent, deaf, or begins another life.

use super::*;

#[test]
fn silence_is_death_after_the_patience_and_not_before() {
    let mut pair = Pair::new();
    pair.step();
    let last = pair.now;
    assert_eq!(pair.nodes[0].poll_timeout(), Some(last + PATIENCE));
    assert!(
        pair.nodes[0]
            .handle_timeout(last + PATIENCE - Duration::from_nanos(1))
            .is_empty()
    );
    assert_eq!(pair.nodes[0].handle_timeout(last + PATIENCE), ["b"]);
    assert_eq!(pair.sees(0), (false, false));
}

/// It is deaf, so it may have announced what another has; neighbours have to be told when it is gone.
#[test]
fn who_never_proved_itself_is_buried_too() {
    let mut pair = Pair::new();
    pair.nodes[1].beat(pair.now);
    let bytes = pair.nodes[1].poll_transmit().unwrap().bytes;
    let heard = pair.nodes[0].handle_datagram(pair.now, place(1), &bytes);
    assert_eq!(heard, Err(Rejection::Unproven));
    let end = pair.now + PATIENCE;
    assert_eq!(pair.nodes[0].poll_timeout(), Some(end));
    let early = end - Duration::from_nanos(1);
    assert_eq!(pair.nodes[0].handle_timeout(early), [""; 0]);
    // Played again it is no sign of life.
    let _ = pair.nodes[0].handle_datagram(early, place(1), &bytes);
    assert_eq!(pair.nodes[0].handle_timeout(end), ["b"]);
    assert_eq!(pair.nodes[0].poll_timeout(), None);
    // Who proves itself is buried once.
    let mut pair = Pair::new();
    pair.step();
    pair.step();
    pair.now += PATIENCE;
    assert_eq!(pair.nodes[0].handle_timeout(pair.now), ["b"]);
    assert_eq!(pair.nodes[0].handle_timeout(pair.now), [""; 0]);
}

#[test]
fn a_node_that_hears_nothing_any_more_is_known_to_be_deaf_although_it_never_got_a_proof() {
    let mut pair = Pair::new();
    pair.nodes[0].beat(pair.now);
    let bytes = pair.nodes[0].poll_transmit().unwrap().bytes;
    let heard = pair.nodes[1].handle_datagram(pair.now, place(0), &bytes);
    assert_eq!(heard, Err(Rejection::Unproven));
    let mut seen = Vec::new();
    for _ in 0..6 {
        pair.step_deaf();
        seen.push(pair.sees(0));
    }
    assert_eq!(seen.first(), Some(&(true, true)));
    assert_eq!(seen.last(), Some(&(true, false)));
}

#[test]
fn a_node_that_hears_nothing_is_known_to_be_deaf() {
    let mut pair = Pair::new();
    pair.step();
    for _ in 0..6 {
        pair.step_deaf();
    }
    assert_eq!(
        pair.sees(0),
        (true, false),
        "a hears b, and knows that b is deaf"
    );
    assert_eq!(pair.sees(1), (false, false));
}

#[test]
fn after_a_renewal_only_fresh_contact_counts() {
    let mut pair = Pair::new();
    pair.step();
    pair.nodes[0].renew();
    assert!(!pair.nodes[0].is_complete());
    pair.step();
    assert!(pair.nodes[0].is_complete());
    assert_eq!(pair.sees(1), (true, true));
}

#[test]
fn what_was_known_of_a_life_is_not_taken_for_what_is_known_of_the_next() {
    let mut pair = Pair::new();
    for _ in 0..3 {
        let same = NodeState::default();
        pair.nodes[1].set_state(pair.now, &same);
        pair.step();
    }
    pair.nodes[1] = node("b", 200 + 2 * RENEWALS);
    pair.nodes[1].beat(pair.now);
    pair.deliver_to_a();
    let answer = pair.nodes[0].poll_transmit().unwrap().bytes;
    let heard = pair.nodes[1].handle_datagram(pair.now, place(0), &answer);
    assert!(heard.unwrap().appeared);
    // What it says then is lost, and from here on it is deaf.
    while pair.nodes[1].poll_transmit().is_some() {}
    let state = NodeState {
        phase: Phase::Serving,
        ..NodeState::default()
    };
    pair.nodes[1].set_state(pair.now, &state);
    while pair.nodes[1].poll_transmit().is_some() {}
    pair.step_deaf();
    assert_eq!(pair.nodes[0].peer("b").unwrap().state(), &state);
}

/// Its neighbours missed what this node announced.
#[test]
fn a_deaf_node_that_hears_again_appears_anew() {
    let mut pair = Pair::new();
    pair.step();
    for _ in 0..5 {
        pair.step_deaf();
    }
    assert_eq!(pair.sees(0), (true, false));
    pair.nodes[0].beat(pair.now);
    let transmit = pair.nodes[0].poll_transmit().unwrap();
    let heard = pair.nodes[1].handle_datagram(pair.now, place(0), &transmit.bytes);
    assert!(heard.unwrap().appeared);
    let answer = pair.nodes[1].poll_transmit().unwrap().bytes;
    let heard = pair.nodes[0].handle_datagram(pair.now, place(1), &answer);
    assert!(heard.unwrap().appeared);
}
