// Datagrams of whoever is on the network: no panic, nothing taken without the right key, and what is taken can be
// sent again.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use dataplane::core::peers::{
    datagram::{Datagram, Rejection},
    keys::KeyRing,
    membership::Membership,
    state::NodeState,
};

pub(crate) const RECEIVER: &str = "n1";
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

#[expect(
    clippy::disallowed_methods,
    reason = "some instant is needed to count from"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn secrets() -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([("key".to_owned(), vec![7; 32])])
}

/// `bytes` is a datagram without its code.
pub(crate) fn hold(bytes: &[u8]) {
    let now = now();
    let mut keys = KeyRing::default();
    keys.replace(now, &secrets());
    let newest = keys.newest().expect("a key");
    let mut receiver = Membership::new(RECEIVER, 9, Duration::from_millis(800));
    receiver.keys_mut().replace(now, &secrets());
    let before = receiver.peers().count();

    // As it is, it has no code, or a wrong one.
    let refused = receiver.handle_datagram(now, SOURCE, bytes);
    assert!(
        matches!(
            refused,
            Err(Rejection::Malformed | Rejection::Unauthentic | Rejection::Version)
        ),
        "{refused:?}"
    );
    assert_eq!(receiver.peers().count(), before);

    let code = keys
        .sign(newest, bytes, RECEIVER)
        .expect("the key is there");
    let sealed = [bytes, &code].concat();
    if let Ok(datagram) = Datagram::open(&keys, now, &sealed, RECEIVER) {
        let again = datagram
            .seal(&keys, newest, RECEIVER)
            .expect("what was read can be sent");
        assert_eq!(
            Datagram::open(&keys, now, &again, RECEIVER),
            Ok(datagram),
            "sent again it is the same"
        );
        assert_eq!(
            Datagram::open(&keys, now, &again, "n3"),
            Err(Rejection::Unauthentic),
            "it is for one receiver"
        );
    }
    // Twice: the second is a replay, or was refused before.
    if receiver.handle_datagram(now, SOURCE, &sealed).is_ok() {
        assert_eq!(
            receiver.handle_datagram(now, SOURCE, &sealed),
            Err(Rejection::Replayed)
        );
    }
    // To everybody it says where its sender is, and nothing else.
    let code = keys.sign(newest, bytes, "").expect("the key is there");
    let mut stranger = Membership::new(RECEIVER, 9, Duration::from_millis(800));
    stranger.keys_mut().replace(now, &secrets());
    let _ = stranger.handle_datagram(now, SOURCE, &[bytes, &code].concat());
    let mut heard = stranger.peers();
    assert!(heard.all(|(_, peer)| !peer.is_alive() && *peer.state() == NodeState::default()));

    receiver.beat(now);
    while receiver.poll_transmit().is_some() {}

    if let Some(state) = NodeState::decode(bytes) {
        assert_eq!(NodeState::decode(&state.encode()), Some(state));
    }
}
