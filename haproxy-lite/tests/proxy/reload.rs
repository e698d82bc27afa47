//! A changed file is taken over without touching what it does not concern.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;

use crate::kit::{Config, Proxy, Server, ask, connect, eventually, free_address, who};

#[test]
fn servers_come_and_go_and_other_sessions_stay() {
    let (first, second) = (Server::echo("a"), Server::echo("b"));
    let config = Config::new([("a", first.address())]);
    let mut proxy = Proxy::start(config.clone());
    let mut old = connect(proxy.front());
    assert_eq!(ask(&mut old, "who"), "a");
    let mut both = config;
    both.servers
        .push(("b".to_owned(), second.address(), String::new()));
    proxy.reload(both.clone());
    proxy.wait_for_state("b", "up");
    assert_eq!(who(proxy.front()), "b");
    let mut only_second = both;
    only_second.servers.remove(0);
    only_second.timeouts = "drainSeconds: 1".to_owned();
    proxy.reload(only_second);
    assert_eq!(
        ask(&mut old, "who"),
        "a",
        "a server that leaves may finish its sessions"
    );
    for _ in 0..4 {
        assert_eq!(who(proxy.front()), "b");
    }
    assert_eq!(
        old.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(proxy.status()["totals"]["ended"]["server_removed"], 1);
}

#[test]
fn a_bad_file_changes_nothing_and_is_reported() {
    let server = Server::echo("a");
    let mut proxy = Proxy::start(Config::new([("a", server.address())]));
    let mut session = connect(proxy.front());
    assert_eq!(ask(&mut session, "who"), "a");
    proxy.write("apiVersion: lbnode.bundledlb.io/v1\nkind: ProxyConfig\nfrontends: 7\n");
    proxy.wait_until("the refusal is reported", |status| {
        status["config"]["refusals"] == 1
    });
    let error = proxy.status()["config"]["error"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(error.contains("proxy.yaml:3:"), "{error}");
    assert_eq!(proxy.metric("lbnode_proxy_config_valid"), 0);
    eventually("it is logged", || {
        proxy.log().contains("configuration refused")
    });
    assert_eq!(ask(&mut session, "who"), "a");
    assert_eq!(who(proxy.front()), "a");
    let good = proxy.config().clone();
    proxy.reload(good.max_connections(7));
    let status = proxy.status();
    assert_eq!(status["config"]["error"], serde_json::Value::Null);
    assert_eq!(status["totals"]["maxSessions"], 7);
}

#[test]
fn front_ends_come_and_go_and_their_sessions_stay() {
    let server = Server::echo("a");
    let config = Config::new([("a", server.address())]);
    let mut proxy = Proxy::start(config.clone());
    let mut session = connect(proxy.front());
    assert_eq!(ask(&mut session, "who"), "a");
    let added = free_address();
    let mut moved = config;
    moved.frontends = vec![("other".to_owned(), added, String::new())];
    let before = proxy.front();
    proxy.reload(moved);
    proxy.wait_until("the new front end is listened on", |status| {
        status["frontends"][0]["listening"] == true
    });
    assert_eq!(who(added), "a");
    assert_eq!(
        TcpStream::connect(before).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    assert_eq!(ask(&mut session, "who"), "a");
}

#[test]
fn a_taken_port_is_said_and_tried_again() {
    let server = Server::echo("a");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = Config::new([("a", server.address())]);
    let mut proxy = Proxy::start(config.clone());
    let mut more = config;
    more.frontends.push((
        "taken".to_owned(),
        taken.local_addr().unwrap(),
        String::new(),
    ));
    proxy.reload(more);
    proxy.wait_until("the reason is said", |status| {
        let why = status["frontends"][1]["why"].as_str().unwrap_or_default();
        why.starts_with("another program listens there")
    });
    assert_eq!(proxy.page("/readyz").0, 503);
    let address = taken.local_addr().unwrap();
    drop(taken);
    proxy.wait_until("it is listened on", |status| {
        status["frontends"][1]["listening"] == true
    });
    assert_eq!(who(address), "a");
    assert_eq!(proxy.page("/readyz").0, 200);
}
