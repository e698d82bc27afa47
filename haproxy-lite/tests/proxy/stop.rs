//! Stopping, and starting under poor conditions.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::kit::{Config, Proxy, Server, ask, clock, connect, who};

#[test]
fn h27_sigterm_lets_sessions_finish() {
    let server = Server::echo("a");
    let mut proxy = Proxy::start(Config::new([("a", server.address())]));
    let mut session = connect(proxy.front());
    assert_eq!(ask(&mut session, "who"), "a");
    proxy.signal("TERM");
    let front = proxy.front();
    crate::kit::eventually("it stops listening", || TcpStream::connect(front).is_err());
    assert_eq!(proxy.page("/livez").0, 503);
    assert_eq!(proxy.page("/readyz").0, 503);
    assert_eq!(ask(&mut session, "still here"), "still here");
    assert!(!proxy.has_ended());
    drop(session);
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn h27_sessions_that_do_not_finish_are_cut_at_the_deadline() {
    let server = Server::echo("a");
    let config = Config::new([("a", server.address())]).timeouts("drainSeconds: 1");
    let mut proxy = Proxy::start(config);
    let mut session = connect(proxy.front());
    assert_eq!(ask(&mut session, "who"), "a");
    let start = clock();
    proxy.signal("TERM");
    assert_eq!(
        session.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert!(
        start.elapsed() >= Duration::from_millis(950),
        "cut after {:?}",
        start.elapsed()
    );
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn h27_a_second_sigterm_ends_it_at_once() {
    let server = Server::echo("a");
    let config = Config::new([("a", server.address())]).timeouts("drainSeconds: 60");
    let mut proxy = Proxy::start(config);
    let mut session = connect(proxy.front());
    assert_eq!(ask(&mut session, "who"), "a");
    proxy.signal("TERM");
    let front = proxy.front();
    crate::kit::eventually("it stops listening", || TcpStream::connect(front).is_err());
    let start = clock();
    proxy.signal("TERM");
    proxy.wait();
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "took {:?}",
        start.elapsed()
    );
}

#[test]
fn h26_a_front_end_whose_address_is_elsewhere_is_listened_on() {
    let server = Server::echo("a");
    let mut config = Config::new([("a", server.address())]);
    for (name, address) in [("v4", "192.0.2.100:10443"), ("v6", "[2001:db8::100]:10443")] {
        config
            .frontends
            .push((name.to_owned(), address.parse().unwrap(), String::new()));
    }
    let proxy = Proxy::start(config);
    assert_eq!(who(proxy.front()), "a");
}

#[test]
fn h25_ipv4_in_front_of_ipv6_and_the_reverse() {
    let (v4, v6) = (Server::echo("four"), Server::echo_on("six", "[::1]:0"));
    let proxy = Proxy::start(Config::new([("six", v6.address())]));
    assert_eq!(who(proxy.front()), "six");
    let mut config = Config::new([("four", v4.address())]);
    let listener = std::net::TcpListener::bind("[::1]:0").unwrap();
    config.frontends[0].1 = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::start(config);
    assert_eq!(who(proxy.front()), "four");
}

#[test]
fn an_invalid_file_ends_it_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.yaml");
    std::fs::write(&path, "kind: Nonsense\n").unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "proxy_process", "--nocapture"])
        .env(crate::kit::CONFIG_VARIABLE, &path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("proxy.yaml:1:"), "{text}");
}
