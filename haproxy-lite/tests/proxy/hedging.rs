//! Servers that refuse, are silent or hang cost no client its connection.

use std::io::Write as _;
use std::time::Duration;

use crate::kit::{BlackHole, Config, Proxy, Server, ask, clock, connect, free_address, who};

#[test]
fn h05_a_refusal_goes_to_the_next_server_at_once() {
    let mut first = Server::echo("a");
    let second = Server::echo("b");
    let config = Config::new([("a", first.address()), ("b", second.address())]).check(SLOW_CHECKS);
    let proxy = Proxy::start(config);
    first.stop_listening();
    for _ in 0..6 {
        let start = clock();
        assert_eq!(who(proxy.front()), "b");
        assert!(
            start.elapsed() < Duration::from_millis(50),
            "took {:?}",
            start.elapsed()
        );
    }
    // Once is enough: then it is suspect.
    assert_eq!(proxy.server("a")["refused"], 1);
    assert_eq!(proxy.server("a")["suspect"], true);
}

#[test]
fn h06_a_silent_server_costs_the_hedge_delay_once() {
    let mut first = BlackHole::new();
    let second = Server::echo("b");
    let config = Config::new([("a", first.address()), ("b", second.address())])
        .check(SLOW_CHECKS)
        .timeouts(HEDGE);
    let proxy = Proxy::start(config);
    drop(first.accept());
    first.swallow();
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let start = clock();
        assert_eq!(who(proxy.front()), "b");
        slowest = slowest.max(start.elapsed());
    }
    assert!(
        slowest >= Duration::from_millis(295),
        "nobody met the silent server: {slowest:?}"
    );
    assert!(slowest < Duration::from_millis(590), "took {slowest:?}");
    assert_eq!(proxy.status()["totals"]["hedgedConnects"], 1);
    assert_eq!(proxy.server("a")["suspect"], true);
}

#[test]
fn h06_when_all_are_silent_the_connect_timeout_ends_it() {
    let mut only = BlackHole::new();
    let config = Config::new([("a", only.address())])
        .check(SLOW_CHECKS)
        .timeouts("connectMillis: 400, hedgeMillis: 50");
    let proxy = Proxy::start(config);
    drop(only.accept());
    only.swallow();
    let start = clock();
    let mut client = connect(proxy.front());
    let error = std::io::Read::read(&mut client, &mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let took = start.elapsed();
    assert!((390..800).contains(&took.as_millis()), "took {took:?}");
    assert_eq!(proxy.status()["totals"]["ended"]["connect_timed_out"], 1);
}

#[test]
fn a_tls_hello_without_an_answer_is_repeated_to_another_server() {
    let (hanging, connections) = Server::by_hand();
    let answering = Server::new(answer_hello);
    let config = Config::new([("a", hanging.address()), ("b", answering.address())])
        .check(SLOW_CHECKS)
        .timeouts(HEDGE);
    let proxy = Proxy::start(config);
    let mut slowest = Duration::ZERO;
    for _ in 0..6 {
        let start = clock();
        assert_eq!(say_hello(&proxy), "hello 200");
        slowest = slowest.max(start.elapsed());
    }
    assert!(
        slowest >= Duration::from_millis(295),
        "nobody met the hanging server: {slowest:?}"
    );
    assert!(slowest < Duration::from_millis(590), "took {slowest:?}");
    assert_eq!(proxy.status()["totals"]["hedgedHellos"], 1);
    drop(connections);
}

#[test]
fn a_server_that_closes_on_a_tls_hello_is_replaced_at_once() {
    let closing = Server::new(|mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 1000]);
    });
    let answering = Server::new(answer_hello);
    let config =
        Config::new([("a", closing.address()), ("b", answering.address())]).check(SLOW_CHECKS);
    let proxy = Proxy::start(config);
    for _ in 0..6 {
        let start = clock();
        assert_eq!(say_hello(&proxy), "hello 200");
        assert!(
            start.elapsed() < Duration::from_millis(50),
            "took {:?}",
            start.elapsed()
        );
    }
    assert!(proxy.server("a")["refused"].as_u64() >= Some(1));
}

#[test]
fn plain_requests_are_never_repeated() {
    let (hanging, connections) = Server::by_hand();
    let answering = Server::echo("b");
    let config = Config::new([("a", hanging.address()), ("b", answering.address())])
        .check(SLOW_CHECKS)
        .timeouts("connectMillis: 5000, hedgeMillis: 1000");
    let proxy = Proxy::start(config);
    let mut clients: Vec<_> = (0..2).map(|_| connect(proxy.front())).collect();
    for client in &mut clients {
        client.write_all(b"POST\n").unwrap();
        client
            .set_read_timeout(Some(Duration::from_millis(2500)))
            .unwrap();
    }
    let answered = clients
        .iter_mut()
        .filter_map(|client| std::io::Read::read(client, &mut [0; 9]).ok())
        .count();
    assert_eq!(answered, 1);
    assert_eq!(proxy.status()["totals"]["hedgedHellos"], 0);
    drop(connections);
}

#[test]
fn a_suspect_is_cleared_by_the_next_good_check() {
    let mut first = Server::echo("a");
    let second = Server::echo("b");
    let address = first.address();
    let check = "kind: tcp, intervalMillis: 1000, timeoutMillis: 300, fall: 100, rise: 2";
    let config = Config::new([("a", address), ("b", second.address())]).check(check);
    let proxy = Proxy::start(config);
    first.stop_listening();
    for _ in 0..2 {
        assert_eq!(who(proxy.front()), "b");
    }
    assert_eq!(proxy.server("a")["suspect"], true);
    let _again = Server::on(address, |mut stream| {
        let _ = ask(&mut stream, "unused");
    });
    proxy.wait_until("a is trusted again", |status| {
        status["servers"][0]["suspect"] == false
    });
}

#[test]
fn h17_with_no_server_up_clients_are_refused_at_once_and_the_first_good_check_ends_it() {
    let address = free_address();
    let proxy = Proxy::launch(Config::new([("a", address)]), |_| {});
    let start = clock();
    let refused = std::net::TcpStream::connect(proxy.front())
        .and_then(|mut client| std::io::Read::read(&mut client, &mut [0]));
    assert_eq!(
        refused.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
    assert!(start.elapsed() < Duration::from_millis(100));
    let (code, body) = proxy.page("/readyz");
    assert_eq!(code, 503);
    assert!(body.contains("no server is up"), "{body}");
    let _server = Server::on(address, |mut stream| {
        let _ = stream.write_all(b"late\n");
    });
    proxy.wait_for_state("a", "up");
    assert_eq!(crate::kit::read_line(&mut connect(proxy.front())), "late");
    assert_eq!(proxy.page("/readyz").0, 200);
}

/// One check at the start; what clients meet has to be enough.
const SLOW_CHECKS: &str = "kind: tcp, intervalMillis: 60000, fastIntervalMillis: 60000, timeoutMillis: 300, fall: 3, rise: 2";

/// Long enough to be told from a busy machine.
const HEDGE: &str = "connectMillis: 5000, hedgeMillis: 300";

/// A TLS client hello as far as the proxy looks: record, kind, lengths.
fn hello() -> Vec<u8> {
    let mut bytes = vec![22, 3, 1, 0, 195, 1, 0, 0, 191];
    bytes.resize(200, 7);
    bytes
}

fn say_hello(proxy: &Proxy) -> String {
    let mut client = connect(proxy.front());
    client.write_all(&hello()).unwrap();
    crate::kit::read_line(&mut client)
}

fn answer_hello(mut stream: std::net::TcpStream) {
    let mut bytes = [0; 1000];
    if let Ok(read @ 1..) = std::io::Read::read(&mut stream, &mut bytes) {
        let _ = writeln!(stream, "hello {read}");
    }
}
