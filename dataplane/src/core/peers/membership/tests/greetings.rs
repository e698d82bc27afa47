//! Greetings: nodes that nobody told of each other.

use super::*;

#[test]
fn two_nodes_of_which_neither_lists_the_other_meet_by_a_greeting() {
    for incarnation in [201, 5] {
        let mut pair = Pair::new();
        pair.step();
        pair.nodes[1] = node("b", incarnation);
        pair.now += ACQUAINTANCE;
        for node in &mut pair.nodes {
            node.set_addresses(&BTreeMap::new());
            node.handle_timeout(pair.now);
        }
        pair.nodes[1].set_state(pair.now, &NodeState::default());
        pair.step();
        assert_eq!(pair.sees(0), (false, false));
        let greeting = pair.nodes[1].greet().unwrap();
        let heard = pair.nodes[0].handle_datagram(pair.now, place(1), &greeting);
        assert_eq!(heard, Ok(Heard::default()));
        assert!(!pair.sees(0).0, "a greeting proves nothing");
        pair.deliver();
        pair.step();
        pair.assert_met();
    }
}

#[test]
fn a_greeting_that_is_played_again_does_not_change_where_a_node_is_answered() {
    let mut pair = Pair::new();
    let recorded = pair.nodes[1].greet().unwrap();
    let latest = pair.nodes[1].greet().unwrap();
    let mut node = node("a", 300);
    node.set_addresses(&BTreeMap::new());
    let _ = node.handle_datagram(pair.now, place(1), &latest);
    let elsewhere = IpAddr::from([192, 0, 2, 66]);
    let heard = node.handle_datagram(pair.now, elsewhere, &recorded);
    assert_eq!(heard, Err(Rejection::Replayed));
    // It comes once on every segment that both nodes are on.
    let heard = node.handle_datagram(pair.now, elsewhere, &latest);
    assert_eq!(heard, Ok(Heard::default()));
    assert_eq!(node.peer("b").unwrap().address(), Some(place(1)));
    // Nor does one of a node that is heard, however new.
    pair.step();
    let fresh = pair.nodes[1].greet().unwrap();
    let _ = pair.nodes[0].handle_datagram(pair.now, elsewhere, &fresh);
    pair.nodes[0].set_addresses(&BTreeMap::new());
    let address = pair.nodes[0].peer("b").unwrap().address();
    assert_eq!(address, Some(place(1)));
}

#[test]
fn a_node_that_hears_its_own_greeting_takes_no_notice() {
    let mut pair = Pair::new();
    let now = pair.now;
    let greeting = pair.nodes[0].greet().unwrap();
    let heard = pair.nodes[0].handle_datagram(now, place(0), &greeting);
    assert_eq!(heard, Ok(Heard::default()));
    let twin = node("a", 101).greet().unwrap();
    let heard = pair.nodes[0].handle_datagram(now, place(1), &twin);
    assert_eq!(heard, Err(Rejection::OwnName));
    assert!(pair.nodes[0].peer("a").is_none());
}
