//! Stopping, and starting under poor conditions.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::kit::{Config, Proxy, Server, ask, clock, connect, try_connect, who};

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
fn h14_a_low_descriptor_limit_pauses_accepting_and_recovers() {
    let server = Server::echo("a");
    let config = Config::new([("a", server.address())]).max_connections(40_000);
    let proxy = Proxy::launch(config, |command| {
        use std::os::unix::process::CommandExt as _;
        // Nothing but a system call happens between fork and exec.
        let exe = command.get_program().to_owned();
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut limited = std::process::Command::new("sh");
        limited
            .arg("-c")
            .arg("ulimit -n 100; exec \"$0\" \"$@\"")
            .arg(exe)
            .args(args);
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                limited.env(name, value);
            }
        }
        limited.process_group(0);
        std::mem::swap(command, &mut limited);
    });
    proxy.wait_for_state("a", "up");
    // Without a descriptor for its server a client is reset, maybe while it still connects.
    let mut clients: Vec<TcpStream> = (0..60)
        .filter_map(|_| try_connect(proxy.front()).ok())
        .collect();
    proxy.wait_until("accepting pauses", |status| {
        status["totals"]["acceptPausedResources"].as_u64() > Some(0)
            || status["totals"]["ended"]["out_of_resources"].as_u64() > Some(0)
    });
    clients.truncate(5);
    proxy.wait_until("sessions are over", |s| {
        s["totals"]["sessions"].as_u64() <= Some(6)
    });
    assert_eq!(who(proxy.front()), "a");
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
