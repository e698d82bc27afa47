//! What checks find out, what they say, and what follows from it.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::SeqCst};
use std::time::Duration;

use crate::kit::{
    Authority, Config, Proxy, Server, ask, clock, connect, eventually, free_address, http, who,
};

#[test]
fn h01_sessions_of_a_server_that_goes_down_are_reset() {
    let healthy = Arc::new(AtomicBool::new(true));
    let first = Server::http_or_echo("a", &healthy);
    let second = Server::http_or_echo("b", &Arc::new(AtomicBool::new(true)));
    let config = Config::new([("a", first.address()), ("b", second.address())]).check(HTTP);
    let proxy = Proxy::start(config);
    let mut clients: Vec<TcpStream> = (0..6).map(|_| connect(proxy.front())).collect();
    let names: Vec<String> = clients
        .iter_mut()
        .map(|client| ask(client, "who"))
        .collect();
    assert_eq!(names.iter().filter(|name| *name == "a").count(), 3);
    healthy.store(false, SeqCst);
    proxy.wait_for_state("a", "down");
    let down = clock();
    for (client, name) in clients.iter_mut().zip(&names) {
        if name == "a" {
            assert_eq!(
                client.read(&mut [0]).unwrap_err().kind(),
                ErrorKind::ConnectionReset
            );
            assert!(
                down.elapsed() < Duration::from_millis(100),
                "took {:?}",
                down.elapsed()
            );
        } else {
            assert_eq!(ask(client, "still here"), "still here");
        }
    }
    assert_eq!(proxy.status()["totals"]["ended"]["server_down"], 3);
    assert_eq!(proxy.server("a")["why"], "answered 500: not today");
    healthy.store(true, SeqCst);
    proxy.wait_for_state("a", "up");
    assert_eq!(who(proxy.front()), "a", "the emptiest server comes first");
}

#[test]
fn h01_sessions_outlive_a_moment_in_which_all_servers_fail() {
    let healthy = Arc::new(AtomicBool::new(true));
    let servers = ["a", "b", "c"].map(|name| (name, Server::http_or_echo(name, &healthy)));
    let addresses = servers
        .each_ref()
        .map(|(name, server)| (*name, server.address()));
    let proxy = Proxy::start(Config::new(addresses).check(HTTP));
    let mut clients: Vec<TcpStream> = (0..6).map(|_| connect(proxy.front())).collect();
    let names: Vec<String> = clients
        .iter_mut()
        .map(|client| ask(client, "who"))
        .collect();
    healthy.store(false, SeqCst);
    for name in ["a", "b", "c"] {
        proxy.wait_for_state(name, "down");
    }
    healthy.store(true, SeqCst);
    for name in ["a", "b", "c"] {
        proxy.wait_for_state(name, "up");
    }
    for (client, name) in clients.iter_mut().zip(&names) {
        assert_eq!(ask(client, "who"), *name);
    }
    assert!(proxy.status()["totals"]["ended"]["server_down"].is_null());
}

#[test]
fn h01_sessions_stay_when_closing_is_off() {
    let healthy = Arc::new(AtomicBool::new(true));
    let server = Server::http_or_echo("a", &healthy);
    let config = Config::new([("a", server.address())])
        .check(HTTP)
        .backend("closeSessionsOnDown: false");
    let proxy = Proxy::start(config);
    let mut client = connect(proxy.front());
    assert_eq!(ask(&mut client, "who"), "a");
    healthy.store(false, SeqCst);
    proxy.wait_for_state("a", "down");
    assert_eq!(ask(&mut client, "who"), "a");
}

#[test]
fn h15_each_failure_has_its_reason() {
    let (ca, other_ca) = (Authority::new(), Authority::new());
    let status = Arc::new(AtomicU16::new(500));
    let refuses = free_address();
    let hangs = Server::by_hand();
    let closes = Server::new(drop);
    let fails = ca.server("127.0.0.1", {
        let status = Arc::clone(&status);
        move || http(status.load(SeqCst), "etcd is not well")
    });
    let ok = || http(200, "ok");
    let expired = ca.server_until("127.0.0.1", 2001, ok);
    let misnamed = ca.server("192.0.2.7", ok);
    let foreign = other_ca.server("127.0.0.1", ok);
    let good = ca.server("127.0.0.1", ok);
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.crt");
    std::fs::write(&ca_file, ca.pem()).unwrap();
    let config = Config::new([
        ("refuses", refuses),
        ("hangs", hangs.0.address()),
        ("closes", closes.address()),
        ("fails", fails.address()),
        ("expired", expired.address()),
        ("misnamed", misnamed.address()),
        ("foreign", foreign.address()),
        ("good", good.address()),
    ])
    .check(&https(&ca_file));
    let proxy = Proxy::launch(config, |_| {});
    for (name, why) in [
        ("refuses", "connection refused"),
        ("hangs", "timed out in the TLS handshake"),
        ("closes", "TLS failed: "),
        ("fails", "answered 500: etcd is not well"),
        ("expired", "TLS failed: the certificate has expired"),
        (
            "misnamed",
            "TLS failed: the certificate does not carry `127.0.0.1`",
        ),
        (
            "foreign",
            "TLS failed: the certificate is not signed by the trusted CA",
        ),
        ("good", "check passed"),
    ] {
        proxy.wait_until(&format!("{name}: {why}"), |status| {
            let servers = status["servers"].as_array().unwrap();
            let server = servers
                .iter()
                .find(|server| server["name"] == name)
                .unwrap();
            server["why"].as_str().unwrap().starts_with(why)
        });
    }
    assert_eq!(proxy.server("good")["state"], "up");
    status.store(401, SeqCst);
    proxy.wait_until("401 is a reason as well", |status| {
        status["servers"][3]["why"] == "answered 401: etcd is not well"
    });
    status.store(200, SeqCst);
    proxy.wait_for_state("fails", "up");
    let label = "{proxy=\"servers\",server=\"foreign\",reason=\"tls\"}";
    assert!(proxy.metric(&format!("haproxy_server_check_failures_total{label}")) > 0);
}

#[test]
fn a_ca_that_comes_late_or_changes_is_read() {
    let (ca, next) = (Authority::new(), Authority::new());
    let first = ca.server("127.0.0.1", || http(200, "ok"));
    let second = next.server("127.0.0.1", || http(200, "ok"));
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.crt");
    let config =
        Config::new([("a", first.address()), ("b", second.address())]).check(&https(&ca_file));
    let proxy = Proxy::launch(config, |_| {});
    proxy.wait_until("the missing file is the reason", |status| {
        status["servers"][0]["why"]
            .as_str()
            .unwrap()
            .starts_with("cannot read the CA file ")
    });
    std::fs::write(&ca_file, "not a certificate").unwrap();
    std::fs::write(&ca_file, ca.pem()).unwrap();
    proxy.wait_for_state("a", "up");
    std::fs::write(&ca_file, ca.pem() + &next.pem()).unwrap();
    proxy.wait_for_state("b", "up");
}

#[test]
fn h16_a_flapping_server_does_not_churn_sessions() {
    let (count, flap) = (
        Arc::new(AtomicU16::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let server = Server::http_with("a", {
        let (count, flap) = (Arc::clone(&count), Arc::clone(&flap));
        move || {
            // Two bad answers, one good: never three bad ones in a row.
            let turn = count.fetch_add(1, SeqCst) % 3;
            flap.load(SeqCst) && turn != 0
        }
    });
    let proxy = Proxy::start(Config::new([("a", server.address())]).check(HTTP));
    let mut client = connect(proxy.front());
    assert_eq!(ask(&mut client, "who"), "a");
    count.store(0, SeqCst);
    flap.store(true, SeqCst);
    eventually("it has flapped for a while", || count.load(SeqCst) > 30);
    assert_eq!(ask(&mut client, "who"), "a");
    assert_eq!(proxy.server("a")["state"], "up");
    assert_eq!(proxy.server("a")["downs"], 0);
}

#[test]
fn r17_proxy_variables_of_the_environment_are_ignored() {
    let server = Server::http_or_echo("a", &Arc::new(AtomicBool::new(true)));
    let config = Config::new([("a", server.address())]).check(HTTP);
    let nowhere = format!("http://{}", free_address());
    let proxy = Proxy::launch(config, |command| {
        for name in [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
        ] {
            command.env(name, &nowhere);
        }
    });
    proxy.wait_for_state("a", "up");
    assert_eq!(who(proxy.front()), "a");
}

const HTTP: &str = "kind: http, path: /readyz, intervalMillis: 50, fastIntervalMillis: 20, \
                    timeoutMillis: 300, fall: 3, rise: 2";

fn https(ca_file: &std::path::Path) -> String {
    let ca_file = ca_file.display();
    format!(
        "kind: https, caFile: {ca_file}, intervalMillis: 50, timeoutMillis: 300, fall: 3, rise: 2"
    )
}
