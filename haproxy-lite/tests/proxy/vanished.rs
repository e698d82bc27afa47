//! Peers that vanish without a word.

use std::process::Command;

use crate::kit::{Config, Proxy, Server, ask, connect, eventually};

#[test]
fn h08_both_sides_of_a_session_are_probed_while_it_is_idle() {
    let server = Server::echo("a");
    let proxy = Proxy::start(Config::new([("a", server.address())]));
    let mut session = connect(proxy.front());
    assert_eq!(ask(&mut session, "who"), "a");
    let (front, back) = (proxy.front().to_string(), server.address().to_string());
    eventually("keep-alive is on", || {
        let sockets = sockets();
        let probed = |is_proxys: &dyn Fn(&str, &str) -> bool| {
            sockets.iter().any(|(local, peer, timer)| {
                is_proxys(local, peer) && timer.contains("timer:(keepalive,")
            })
        };
        probed(&|local, _| local == front) && probed(&|_, peer| peer == back)
    });
}

/// Local address, peer and timers of every connection.
fn sockets() -> Vec<(String, String, String)> {
    let output = Command::new("ss")
        .args(["-Htno", "state", "established"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let mut words = line.split_whitespace().skip(2).map(str::to_owned);
        Some((
            words.next()?,
            words.next()?,
            words.collect::<Vec<_>>().join(" "),
        ))
    };
    text.lines().filter_map(line).collect()
}
