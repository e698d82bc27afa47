//! Connections that are ended from outside, in a real kernel. The test has a network namespace of its own, which ends with
//! its thread.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use l2::linux::connections::{Connections, Peer};
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Socket, Type};

const ADDRESS: &str = "192.0.2.100";
const OTHER: &str = "192.0.2.1";

#[test]
fn only_connections_of_the_address_and_of_that_kind_are_ended() {
    if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let lines = "link set lo up\naddr add 192.0.2.100/32 dev lo\naddr add 192.0.2.1/32 dev lo";
    lines.lines().for_each(ip);
    let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
    let target = listener.local_addr().unwrap();
    let mut with_itself = pair(&listener, ADDRESS, target);
    let mut with_other = pair(&listener, OTHER, target);
    let mut foreign = {
        let listener = TcpListener::bind((OTHER, 0)).unwrap();
        let target = listener.local_addr().unwrap();
        pair(&listener, OTHER, target)
    };
    let address: IpAddr = ADDRESS.parse().unwrap();
    let mut connections = Connections::open().unwrap();
    match connections.end(address, Peer::Itself) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            eprintln!("SKIPPED: a kernel without CONFIG_INET_DIAG_DESTROY");
            return;
        }
        // Both ends are here, and the first one may have told the second.
        told => assert!((1..=2).contains(&told.unwrap())),
    }
    assert!(has_ended(&mut with_itself.0) && has_ended(&mut with_itself.1));
    assert!(!has_ended(&mut with_other.0) && !has_ended(&mut with_other.1));
    assert_eq!(connections.end(address, Peer::Other).unwrap(), 1);
    assert!(has_ended(&mut with_other.0), "it gets a reset");
    assert!(has_ended(&mut with_other.1));
    assert!(!has_ended(&mut foreign.0) && !has_ended(&mut foreign.1));
    assert_eq!(connections.end(address, Peer::Other).unwrap(), 0);
    // Whoever listens goes on.
    let mut again = pair(&listener, OTHER, target);
    assert!(!has_ended(&mut again.0) && !has_ended(&mut again.1));
}

/// A connection from an address: the client's end and the server's.
fn pair(listener: &TcpListener, source: &str, target: SocketAddr) -> (TcpStream, TcpStream) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source = SocketAddr::new(source.parse().unwrap(), 0);
    socket.bind(&source.into()).unwrap();
    socket.connect(&target.into()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let mut client = TcpStream::from(socket);
    client.write_all(b"?").unwrap();
    for end in [&client, &server] {
        let brief = Some(Duration::from_millis(200));
        end.set_read_timeout(brief).unwrap();
    }
    let mut said = [0];
    server.read_exact(&mut said).unwrap();
    (client, server)
}

/// Whether reading says that the connection is over, and not only that nothing has come.
fn has_ended(end: &mut TcpStream) -> bool {
    match end.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

fn ip(words: &str) {
    let status = Command::new("ip").args(words.split_whitespace()).status();
    assert!(status.is_ok_and(|status| status.success()), "{words}");
}
