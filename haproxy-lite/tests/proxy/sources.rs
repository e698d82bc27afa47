//! Who may connect, how often, and as whom.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::kit::{Config, PATIENCE, Proxy, Server, ask, connect, is_refused, try_connect, who};

#[test]
fn h20_only_allowed_ranges_are_served() {
    let server = Server::echo("a");
    let config = Config::new([("a", server.address())])
        .frontend_keys("allowedSources: [\"127.0.0.2/32\", \"2001:db8::/32\"]");
    let proxy = Proxy::start(config);
    assert!(is_refused(proxy.front()));
    assert_eq!(
        ask(&mut connect_from("127.0.0.2", proxy.front()), "who"),
        "a"
    );
    assert_eq!(proxy.status()["totals"]["ended"]["source_not_allowed"], 1);
    let listener = std::net::TcpListener::bind("[::1]:0").unwrap();
    let mut config = Config::new([("a", server.address())]);
    config.frontends[0].1 = listener.local_addr().unwrap();
    drop(listener);
    let refusing = config
        .clone()
        .frontend_keys("allowedSources: [\"2001:db8::/32\"]");
    assert!(is_refused(Proxy::start(refusing).front()));
    let serving = config.frontend_keys("allowedSources: [\"::1/128\"]");
    assert_eq!(who(Proxy::start(serving).front()), "a");
}

#[test]
fn h19_one_source_cannot_take_everything() {
    let server = Server::echo("a");
    let config =
        Config::new([("a", server.address())]).top("sourceLimits: {connections: 3}\nthreads: 2");
    let proxy = Proxy::start(config);
    let mut held: Vec<TcpStream> = (0..3).map(|_| connect(proxy.front())).collect();
    for stream in &mut held {
        assert_eq!(ask(stream, "who"), "a");
    }
    assert!(is_refused(proxy.front()));
    assert_eq!(
        ask(&mut connect_from("127.0.0.2", proxy.front()), "who"),
        "a"
    );
    drop(held.pop());
    proxy.wait_until("one is over", |status| {
        status["totals"]["ended"]["completed"] == 2
    });
    assert_eq!(who(proxy.front()), "a");
    assert_eq!(proxy.status()["totals"]["ended"]["source_limited"], 1);
}

#[test]
fn h19_one_source_cannot_come_too_quickly() {
    let server = Server::echo("a");
    let config = Config::new([("a", server.address())]).top("sourceLimits: {perSecond: 5}");
    let proxy = Proxy::start(config);
    let refused = (0..20).filter(|_| is_refused_or_not(proxy.front())).count();
    assert!((13..=15).contains(&refused), "{refused} of 20 refused");
    assert_eq!(
        ask(&mut connect_from("127.0.0.2", proxy.front()), "who"),
        "a"
    );
    std::thread::sleep(Duration::from_millis(450));
    assert_eq!(who(proxy.front()), "a");
}

#[test]
fn h21_a_proxy_header_goes_first_and_checks_say_local() {
    for (form, check_begins) in [
        ("v1", b"PROXY UNKNOWN\r\n".as_slice()),
        ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"),
    ] {
        let (server, connections) = Server::by_hand();
        let config = Config::new([("a", server.address())])
            .check("kind: tcp, intervalMillis: 3600000, timeoutMillis: 300, fall: 3, rise: 2")
            .backend(&format!("sendProxyProtocol: {form}"));
        let proxy = Proxy::start(config);
        let mut check = Vec::new();
        connections
            .recv_timeout(PATIENCE)
            .unwrap()
            .read_to_end(&mut check)
            .unwrap();
        assert_eq!(check, check_begins, "{form}");
        let mut client = connect(proxy.front());
        client.write_all(b"hello").unwrap();
        let mut session = connections.recv_timeout(PATIENCE).unwrap();
        let (source, target) = (client.local_addr().unwrap(), proxy.front());
        let expected = if form == "v1" {
            let (source_port, target_port) = (source.port(), target.port());
            let line = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {source_port} {target_port}\r\n");
            line.into_bytes()
        } else {
            let [source_port, target_port] = [source, target].map(|a| a.port().to_be_bytes());
            let fixed = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01";
            [fixed.as_slice(), &source_port, &target_port].concat()
        };
        let mut received = vec![0; expected.len() + 5];
        session.read_exact(&mut received).unwrap();
        assert_eq!(received, [expected.as_slice(), b"hello"].concat(), "{form}");
        drop((session, client));
        proxy.wait_until("bytes are counted without the header", |status| {
            status["frontends"][0]["bytesIn"] == 5
        });
    }
}

#[test]
fn h22_headers_of_trusted_peers_name_the_client() {
    let server = Server::echo("a");
    let config = Config::new([("a", server.address())]).frontend_keys(
        "proxyProtocolFrom: [\"127.0.0.0/31\"], allowedSources: [\"192.0.2.0/24\", \"127.0.0.2/32\"]",
    );
    let proxy = Proxy::start(config);
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x7f\0\0\x01\x12\x34\x01\xbb";
    for header in [
        b"PROXY TCP4 192.0.2.7 127.0.0.1 4660 443\r\n".as_slice(),
        v2,
    ] {
        let mut client = connect(proxy.front());
        // One byte at a time, and the request right behind.
        for byte in header {
            client.write_all(&[*byte]).unwrap();
        }
        assert_eq!(ask(&mut client, "who"), "a");
    }
    for (bad, why) in [
        (
            b"PROXY TCP4 198.51.100.7 127.0.0.1 1 2\r\n".as_slice(),
            "not allowed",
        ),
        (b"who\n", "no header"),
        (b"PROXY TCP4 nonsense\r\n", "malformed"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "too long"),
    ] {
        let mut client = connect(proxy.front());
        client.write_all(bad).unwrap();
        assert!(is_cut(client), "{why}");
    }
    // The untrusted: served as themselves, refused when they pretend.
    assert_eq!(
        ask(&mut connect_from("127.0.0.2", proxy.front()), "who"),
        "a"
    );
    let mut spoof = connect_from("127.0.0.2", proxy.front());
    spoof
        .write_all(b"PROXY TCP4 192.0.2.7 127.0.0.1 4660 443\r\nwho\n")
        .unwrap();
    assert!(is_cut(spoof));
    let ended = &proxy.status()["totals"]["ended"];
    assert_eq!(
        (&ended["bad_proxy_header"], &ended["source_not_allowed"]),
        (&4.into(), &1.into())
    );
}

#[test]
fn h22_a_header_that_does_not_come_ends_the_session() {
    let server = Server::echo("a");
    let config = Config::new([("a", server.address())])
        .frontend_keys("proxyProtocolFrom: [\"127.0.0.0/8\"]");
    let proxy = Proxy::start(config);
    let mut client = connect(proxy.front());
    client.write_all(b"PROXY TCP4 192.0.2.7").unwrap();
    let start = crate::kit::clock();
    assert!(is_cut(client));
    assert!(
        start.elapsed() >= Duration::from_millis(2900),
        "after {:?}",
        start.elapsed()
    );
}

fn is_cut(mut client: TcpStream) -> bool {
    match client.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            true
        }
    }
}

fn is_refused_or_not(front: SocketAddr) -> bool {
    let answered = try_connect(front).and_then(|mut client| {
        client.write_all(b"who\n")?;
        client.read(&mut [0; 9])
    });
    answered.is_err()
}

fn connect_from(source: &str, target: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let source = SocketAddr::new(source.parse().unwrap(), 0);
    socket.bind(&source.into()).unwrap();
    socket.connect(&target.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}
