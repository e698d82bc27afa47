//! Peers that vanish without a word.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::kit::{Config, Namespace, Proxy, Server, ask, clock, connect, eventually, full};

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

/// A thousand probes at once are more than the kernel's queues hold, and who misses some is taken for dead.
#[test]
fn h08_sessions_of_the_same_moment_are_probed_at_different_times() {
    let server = Server::echo("a");
    let proxy = Proxy::start(Config::new([("a", server.address())]));
    let mut sessions: Vec<_> = (0..100).map(|_| connect(proxy.front())).collect();
    for session in &mut sessions {
        assert_eq!(ask(session, "who"), "a");
    }
    let (front, back) = (proxy.front().to_string(), server.address().to_string());
    eventually("the probes of each side are spread", || {
        let sockets = sockets();
        let most_at_once = |is_proxys: &dyn Fn(&str, &str) -> bool| {
            let is_proxys = |socket: &&(String, String, String)| is_proxys(&socket.0, &socket.1);
            let mut due = [0; 20];
            for (_, _, timer) in sockets.iter().filter(is_proxys) {
                let Some((_, rest)) = timer.split_once("timer:(keepalive,") else {
                    return usize::MAX;
                };
                due[seconds(rest)] += 1;
            }
            due.windows(2).map(|two| two.iter().sum()).max().unwrap()
        };
        most_at_once(&|local, _| local == front) < 60 && most_at_once(&|_, peer| peer == back) < 60
    });
}

/// Whole seconds of `12sec`, of `9.871ms`, which is a little more than nine, and of `871ms`.
fn seconds(timer: &str) -> usize {
    let (time, _) = timer.split_once(',').unwrap();
    let (whole, _) = time.split_once('.').unwrap_or((time, ""));
    match whole.strip_suffix("ms") {
        Some(_) => 0,
        None => whole.trim_end_matches("sec").parse().unwrap(),
    }
}

/// With cables that are really cut, and so as slow as the timeouts are: `LBNODE_TEST_FULL=1`.
#[test]
fn h08_cut_cables_end_sessions_in_75_s_and_in_30_s_with_bytes_under_way() {
    if !full() {
        eprintln!("skipped: 75 s of waiting need LBNODE_TEST_FULL=1");
        return;
    }
    beside_a_proxy(cut_cables);
}

/// Two of three probes are lost, on both sides of the proxy: `LBNODE_TEST_FULL=1`.
#[test]
fn h08_lost_probes_end_no_session() {
    if !full() {
        eprintln!("skipped: 40 s of waiting need LBNODE_TEST_FULL=1");
        return;
    }
    beside_a_proxy(|client, server| {
        let far = server.within(|| Server::echo_on("far", "10.77.0.3:6443"));
        let mut config = Config::new([("a", far.address())]).backend("closeSessionsOnDown: false");
        config.frontends[0].1 = "10.77.0.1:7001".parse().unwrap();
        let proxy = Proxy::start(config);
        let mut session = client.within(|| connect(proxy.front()));
        assert_eq!(ask(&mut session, "who"), "far");
        // Probes are due after 10 to 15 s of silence, and then every two seconds.
        std::thread::sleep(Duration::from_secs(12));
        client.cut();
        server.cut();
        std::thread::sleep(Duration::from_secs(11));
        client.mend();
        server.mend();
        std::thread::sleep(Duration::from_secs(15));
        assert_eq!(ask(&mut session, "who"), "far");
    });
}

/// Runs where a proxy is to be, between a client's machine and a server's.
fn beside_a_proxy(run: impl FnOnce(&Namespace, &Namespace) + Send) {
    let namespaces = || Some((Namespace::new()?, Namespace::new()?, Namespace::new()?));
    let Some((middle, client, server)) = namespaces() else {
        eprintln!("skipped: network namespaces are not allowed here");
        return;
    };
    middle.add_bridge("10.77.0.1");
    middle.plug("c", &client, "10.77.0.2");
    middle.plug("s", &server, "10.77.0.3");
    middle.within(|| run(&client, &server));
}

fn cut_cables(client: &Namespace, server: &Namespace) {
    let far = server.within(|| Server::echo_on("far", "10.77.0.3:6443"));
    let near = Server::echo_on("near", "10.77.0.1:6443");
    // What checks find out must not end sessions before what is tested here does.
    let proxy = |server: &Server, front: &str| {
        let mut config =
            Config::new([("a", server.address())]).backend("closeSessionsOnDown: false");
        config.frontends[0].1 = front.parse().unwrap();
        Proxy::start(config)
    };
    let (to_far, to_near) = (
        proxy(&far, "10.77.0.1:7001"),
        proxy(&near, "10.77.0.1:7002"),
    );
    let mut idle = connect(to_far.front());
    let mut busy = connect(to_far.front());
    let mut remote = client.within(|| connect(to_near.front()));
    assert_eq!(ask(&mut idle, "who"), "far");
    assert_eq!(ask(&mut busy, "who"), "far");
    assert_eq!(ask(&mut remote, "who"), "near");
    // Keep-alive at the servers' sides begins after a second.
    std::thread::sleep(Duration::from_secs(2));
    client.cut();
    server.cut();
    let start = clock();
    busy.write_all(b"under way").unwrap();
    let busy_for = end_of(&mut busy, start);
    let idle_for = end_of(&mut idle, start);
    to_near.wait_until("the vanished client's session is over", |status| {
        status["totals"]["sessions"] == 0
    });
    let client_for = start.elapsed();
    eprintln!(
        "bytes under way: {busy_for:?}, idle: {idle_for:?}, client vanished: {client_for:?} at most"
    );
    assert!(busy_for <= Duration::from_secs(31), "{busy_for:?}");
    assert!(idle_for <= Duration::from_secs(75), "{idle_for:?}");
    assert!(client_for <= Duration::from_secs(75), "{client_for:?}");
    // Nobody answers there any more, not even to say that it may end.
    std::mem::forget(far);
}

fn end_of(session: &mut TcpStream, start: Instant) -> Duration {
    session
        .set_read_timeout(Some(Duration::from_secs(90)))
        .unwrap();
    let error = session.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    start.elapsed()
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
