//! FIN and RST go through as they were sent.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::Receiver;

use crate::kit::{Config, PATIENCE, Proxy, Server, connect, who};

#[test]
fn a_connection_reaches_a_server_and_comes_back() {
    let server = Server::echo("a");
    let proxy = Proxy::start(Config::new([("a", server.address())]));
    assert_eq!(who(proxy.front()), "a");
    assert_eq!(proxy.page("/readyz").0, 200);
    assert_eq!(proxy.page("/livez").0, 200);
}

#[test]
fn h09_the_end_of_one_direction_leaves_the_other_open() {
    for client_first in [true, false] {
        let (mut pair, _proxy, _server) = Pair::new("finSeconds: 10");
        let (first, second) = pair.sides(client_first);
        first.write_all(b"last words").unwrap();
        first.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(second), b"last words");
        second.write_all(&vec![7; 300_000]).unwrap();
        second.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(first).len(), 300_000);
    }
}

#[test]
fn h09_a_half_closed_session_ends_after_the_fin_timeout() {
    let (mut pair, proxy, _server) = Pair::new("finSeconds: 1");
    pair.client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut pair.server), b"");
    let error = pair.client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    proxy.wait_until("the reason is counted", |status| {
        status["totals"]["ended"]["half_closed_too_long"] == 1
    });
}

#[test]
fn a_reset_of_one_side_resets_the_other() {
    for client_first in [true, false] {
        let (mut pair, proxy, _server) = Pair::new("finSeconds: 10");
        let (first, second) = pair.sides(client_first);
        first.write_all(b"x").unwrap();
        assert_eq!(second.read(&mut [0; 9]).unwrap(), 1);
        socket2::SockRef::from(&*first)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
        let word = if client_first {
            "client_aborted"
        } else {
            "server_aborted"
        };
        drop(pair.take(client_first));
        let second = if client_first {
            &mut pair.server
        } else {
            &mut pair.client
        };
        let error = second.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{word}");
        proxy.wait_until("the reason is counted", |s| s["totals"]["ended"][word] == 1);
    }
}

#[test]
fn an_answer_before_a_server_gives_up_still_arrives() {
    // A server that refuses an upload answers, closes, and the kernel resets because of the unread rest.
    let (mut pair, _proxy, _server) = Pair::new("finSeconds: 10");
    pair.client.write_all(&vec![1; 200_000]).unwrap();
    pair.server.read_exact(&mut [0; 1000]).unwrap();
    pair.server.write_all(b"413 too large").unwrap();
    drop(pair.take(false));
    let mut answer = [0; 13];
    pair.client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"413 too large");
}

#[test]
fn h24_a_slow_reader_stops_the_sender_and_costs_no_memory() {
    let (mut pair, proxy, _server) = Pair::new("finSeconds: 10");
    let before = proxy.resident();
    pair.server
        .set_write_timeout(Some(std::time::Duration::from_millis(300)))
        .unwrap();
    let chunk = vec![9; 1 << 20];
    let mut sent = 0;
    let blocked = loop {
        match pair.server.write(&chunk) {
            Ok(written) => sent += written,
            Err(error) => break error,
        }
        assert!(sent < 1 << 30, "nothing stops the sender");
    };
    assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < 2 << 20, "grew by {grown} bytes for one slow reader");
    let server = pair.take(false);
    let writer = std::thread::spawn(move || server.shutdown(Shutdown::Write).map(|()| server));
    let received = read_to_end(&mut pair.client).len();
    assert_eq!(received, sent);
    writer.join().unwrap().unwrap();
}

#[test]
fn h13_maxconn_leaves_the_next_in_the_queue_until_there_is_room() {
    let server = Server::echo("a");
    let proxy = Proxy::start(Config::new([("a", server.address())]).max_connections(2));
    let mut first = connect(proxy.front());
    let mut second = connect(proxy.front());
    for stream in [&mut first, &mut second] {
        assert_eq!(crate::kit::ask(stream, "who"), "a");
    }
    let mut third = connect(proxy.front());
    third.write_all(b"who\n").unwrap();
    third
        .set_read_timeout(Some(std::time::Duration::from_millis(200)))
        .unwrap();
    assert_eq!(
        third.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert!(proxy.metric("lbnode_proxy_accept_paused_total{reason=\"max_connections\"}") >= 1);
    drop(first);
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(crate::kit::read_line(&mut third), "a");
}

struct Pair {
    client: TcpStream,
    server: TcpStream,
}

impl Pair {
    fn new(timeouts: &str) -> (Self, Proxy, Server) {
        let (server, connections) = Server::by_hand();
        // One check and then peace: connections of checks would come between.
        let config = Config::new([("a", server.address())])
            .check("kind: tcp, intervalMillis: 3600000, timeoutMillis: 300, fall: 3, rise: 2")
            .timeouts(timeouts);
        let proxy = Proxy::start(config);
        let client = connect(proxy.front());
        let server_side = session(&client, &connections);
        (
            Self {
                client,
                server: server_side,
            },
            proxy,
            server,
        )
    }

    fn sides(&mut self, client_first: bool) -> (&mut TcpStream, &mut TcpStream) {
        if client_first {
            (&mut self.client, &mut self.server)
        } else {
            (&mut self.server, &mut self.client)
        }
    }

    /// Takes one side out; a dead socket stays in its place.
    fn take(&mut self, client: bool) -> TcpStream {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = connect(listener.local_addr().unwrap());
        std::mem::replace(
            if client {
                &mut self.client
            } else {
                &mut self.server
            },
            dead,
        )
    }
}

/// The server's end of the client's connection: the first that is not a check.
fn session(mut client: &TcpStream, connections: &Receiver<TcpStream>) -> TcpStream {
    client.write_all(b"!").unwrap();
    loop {
        let mut stream = connections.recv_timeout(PATIENCE).unwrap();
        if stream.read(&mut [0]).is_ok_and(|read| read == 1) {
            return stream;
        }
    }
}

fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}
