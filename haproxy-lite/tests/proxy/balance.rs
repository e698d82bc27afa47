//! Who gets a session, and who waits.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use crate::kit::{Config, Proxy, Server, ask, clock, connect, is_refused, read_line, who};

#[test]
fn h03_new_sessions_go_to_the_restarted_server_first() {
    let [a, b, c] = ["a", "b", "c"].map(Server::echo);
    let config = three(&a, &b, &c);
    let mut proxy = Proxy::start(config.clone());
    let mut held: Vec<TcpStream> = (0..300).map(|_| held(proxy.front()).1).collect();
    assert_eq!(loads(&proxy), [100, 100, 100]);
    // A restart, as the proxy sees it: its sessions end, it stays.
    let mut without = config.clone();
    without.servers.remove(1);
    without.timeouts = "drainSeconds: 0".to_owned();
    proxy.reload(without);
    proxy.wait_until("its sessions are over", |s| s["totals"]["sessions"] == 200);
    proxy.reload(config);
    proxy.wait_for_state("b", "up");
    for _ in 0..100 {
        let (name, stream) = self::held(proxy.front());
        assert_eq!(name, "b");
        held.push(stream);
    }
    assert_eq!(loads(&proxy), [100, 100, 100]);
}

#[test]
fn weights_and_preference_divide_sessions() {
    let [a, b, c] = ["a", "b", "c"].map(Server::echo);
    let weighted = three(&a, &b, &c)
        .server_keys("a", "weight: 3")
        .server_keys("b", "weight: 2");
    let proxy = Proxy::start(weighted);
    let _held: Vec<_> = (0..60).map(|_| held(proxy.front())).collect();
    assert_eq!(loads(&proxy), [30, 20, 10]);
    let preferred = three(&a, &b, &c).server_keys("c", "preferred: true");
    let proxy = Proxy::start(preferred);
    let names: Vec<_> = (0..6).map(|_| held(proxy.front()).0).collect();
    assert_eq!(names, ["c"; 6]);
}

#[test]
fn round_robin_takes_turns_and_source_hash_sticks() {
    let [a, b, c] = ["a", "b", "c"].map(Server::echo);
    let proxy = Proxy::start(
        three(&a, &b, &c)
            .backend("balance: roundRobin")
            .top("threads: 1"),
    );
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..30 {
        *counts.entry(who(proxy.front())).or_default() += 1;
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [10, 10, 10]);
    let proxy = Proxy::start(three(&a, &b, &c).backend("balance: sourceHash"));
    let names: std::collections::BTreeSet<_> = (0..10).map(|_| who(proxy.front())).collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn h18_backups_are_used_only_when_all_others_are_down() {
    let healthy = Arc::new(AtomicBool::new(true));
    let primary = Server::http_or_echo("a", &healthy);
    let backup = Server::http_or_echo("b", &Arc::new(AtomicBool::new(true)));
    let config = Config::new([("a", primary.address()), ("b", backup.address())])
        .check("kind: http, intervalMillis: 50, timeoutMillis: 300, fall: 2, rise: 2")
        .backend("closeBackupSessionsOnUp: true")
        .server_keys("b", "backup: true");
    let proxy = Proxy::start(config);
    let names: Vec<_> = (0..6).map(|_| held(proxy.front()).0).collect();
    assert_eq!(names, ["a"; 6]);
    healthy.store(false, SeqCst);
    proxy.wait_for_state("a", "down");
    let (name, mut stream) = held(proxy.front());
    assert_eq!(name, "b");
    healthy.store(true, SeqCst);
    proxy.wait_for_state("a", "up");
    assert_eq!(
        stream.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(who(proxy.front()), "a");
    assert_eq!(proxy.status()["totals"]["ended"]["backup_relieved"], 1);
}

#[test]
fn panic_mode_uses_ill_servers_when_there_is_no_other() {
    let ill = Arc::new(AtomicBool::new(false));
    let server = Server::http_or_echo("a", &ill);
    let http = "kind: http, intervalMillis: 50, timeoutMillis: 300, fall: 2, rise: 2";
    let config = Config::new([("a", server.address())])
        .check(http)
        .backend("panicMode: true");
    let proxy = Proxy::launch(config, |_| {});
    crate::kit::eventually("it is used all the same", || {
        let mut stream = connect(proxy.front());
        stream.write_all(b"who\n").is_ok() && stream.read(&mut [0; 9]).is_ok()
    });
    assert_eq!(proxy.page("/readyz").0, 503);
}

#[test]
fn full_servers_let_the_next_wait_in_a_bounded_queue() {
    let server = Server::echo("a");
    let config = Config::new([("a", server.address())])
        .server_keys("a", "maxConnections: 2")
        .backend("queue: {length: 1, waitMillis: 400}")
        .top("threads: 1");
    let proxy = Proxy::start(config);
    let first = held(proxy.front()).1;
    let second = held(proxy.front());
    let mut third = connect(proxy.front());
    third.write_all(b"who\n").unwrap();
    proxy.wait_until("the third waits", |status| status["totals"]["waiting"] == 1);
    assert_eq!(
        proxy.metric("haproxy_backend_current_queue{proxy=\"servers\"}"),
        1
    );
    assert!(is_refused(proxy.front()));
    drop(first);
    assert_eq!(read_line(&mut third), "a");
    let start = clock();
    let mut fifth = connect(proxy.front());
    assert_eq!(
        fifth.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert!(
        (390..700).contains(&start.elapsed().as_millis()),
        "{:?}",
        start.elapsed()
    );
    let ended = &proxy.status()["totals"]["ended"];
    assert_eq!(
        (&ended["queue_full"], &ended["queue_timed_out"]),
        (&1.into(), &1.into())
    );
    assert_eq!(proxy.status()["totals"]["waiting"], 0);
    // Nobody waits when there is room again, and whoever gave up has no place any more.
    drop(second);
    let mut sixth = connect(proxy.front());
    sixth.write_all(b"who\n").unwrap();
    let start = clock();
    assert_eq!(read_line(&mut sixth), "a");
    assert!(start.elapsed().as_millis() < 300, "{:?}", start.elapsed());
}

#[test]
fn whoever_leaves_the_queue_does_not_keep_its_place() {
    let server = Server::echo("a");
    let config = Config::new([("a", server.address())])
        .server_keys("a", "maxConnections: 1")
        .backend("queue: {length: 10, waitMillis: 5000}");
    let proxy = Proxy::start(config);
    let first = held(proxy.front()).1;
    let gone = connect(proxy.front());
    let mut waits = connect(proxy.front());
    waits.write_all(b"who\n").unwrap();
    proxy.wait_until("both wait", |status| status["totals"]["waiting"] == 2);
    socket2::SockRef::from(&gone)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(gone);
    proxy.wait_until("one is left", |status| status["totals"]["waiting"] == 1);
    drop(first);
    assert_eq!(read_line(&mut waits), "a");
}

#[test]
fn connections_opened_ahead_are_used_and_renewed() {
    let accepted = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = Server::new({
        let accepted = Arc::clone(&accepted);
        move |mut stream| {
            accepted.fetch_add(1, SeqCst);
            let mut line = [0; 4];
            while stream.read_exact(&mut line).is_ok() {
                let _ = stream.write_all(b"a\n");
            }
        }
    });
    let never = "kind: tcp, intervalMillis: 3600000, timeoutMillis: 300, fall: 3, rise: 2";
    let config = Config::new([("a", server.address())])
        .check(never)
        .backend("preconnect: 2")
        .top("threads: 1");
    let proxy = Proxy::start(config);
    for round in 1..=20 {
        assert_eq!(who(proxy.front()), "a");
        // The check, the sessions, and those that are ready.
        crate::kit::eventually("two are ready", || accepted.load(SeqCst) == 1 + round + 2);
    }
    assert_eq!(proxy.server("a")["total"], 20);
}

#[test]
fn an_old_connection_that_the_server_has_closed_costs_nothing() {
    let closing = Arc::new(AtomicBool::new(true));
    let server = Server::new({
        let closing = Arc::clone(&closing);
        move |mut stream| {
            let mut line = [0; 4];
            if closing.load(SeqCst) {
                // Closed as soon as the peer has seen it open.
                std::thread::sleep(Duration::from_millis(30));
                return;
            }
            while stream.read_exact(&mut line).is_ok() {
                let _ = stream.write_all(b"a\n");
            }
        }
    });
    let config = Config::new([("a", server.address())])
        .backend("preconnect: 1")
        .top("threads: 1");
    let proxy = Proxy::start(config);
    // Opens one ahead, which dies.
    let _ = is_refused(proxy.front());
    std::thread::sleep(Duration::from_millis(100));
    closing.store(false, SeqCst);
    for _ in 0..5 {
        assert_eq!(who(proxy.front()), "a");
    }
}

fn three(a: &Server, b: &Server, c: &Server) -> Config {
    Config::new([("a", a.address()), ("b", b.address()), ("c", c.address())])
}

/// A session that stays, and its server.
fn held(front: SocketAddr) -> (String, TcpStream) {
    let mut stream = connect(front);
    (ask(&mut stream, "who"), stream)
}

fn loads(proxy: &Proxy) -> Vec<u64> {
    let status = proxy.status();
    let servers = status["servers"].as_array().unwrap();
    servers
        .iter()
        .map(|server| server["sessions"].as_u64().unwrap())
        .collect()
}
