//! Proxies, servers and clients to test with.

mod authority;
mod config;
mod crowd;
mod network;
mod noise;
mod proxy;
mod server;
mod tls_server;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

pub(crate) use authority::{Authority, http};
pub(crate) use config::Config;
pub(crate) use crowd::{CROWD_VARIABLE, Crowd, run as be_a_crowd};
pub(crate) use network::Namespace;
pub(crate) use noise::{Noise, Random};
pub(crate) use proxy::Proxy;
pub(crate) use server::{BlackHole, Server};
pub(crate) use tls_server::{Mode, TlsServer};

/// The arguments of `lbnode proxy`.
#[derive(Debug, clap::Parser)]
pub(crate) struct Command {
    #[command(flatten)]
    pub(crate) args: haproxy_lite::cli::Args,
}

/// Tells a copy of the test program to be a proxy.
pub(crate) const CONFIG_VARIABLE: &str = "HAPROXY_LITE_TEST_CONFIG";

/// Longer than anything should take; only failures wait so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How many times as long the long tests take; they are short by themselves.
pub(crate) fn scale() -> usize {
    std::env::var("HAPROXY_LITE_SCALE")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1)
}

/// Whether the tests' long forms are wanted.
pub(crate) fn full() -> bool {
    std::env::var_os("LBNODE_TEST_FULL").is_some()
}

/// An address on loopback that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A client that does not wait for ever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    try_connect(address).unwrap()
}

/// The same where a refusal may come at once.
pub(crate) fn try_connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A connection that is reset, or closed, without a byte.
pub(crate) fn is_refused(address: SocketAddr) -> bool {
    match try_connect(address).and_then(|mut client| client.read(&mut [0])) {
        Ok(read) => read == 0,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            true
        }
    }
}

/// Sends a line and returns the line that comes back.
pub(crate) fn ask(stream: &mut TcpStream, line: &str) -> String {
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    read_line(stream)
}

/// The next line; empty at the end.
pub(crate) fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Which server a new connection reaches.
pub(crate) fn who(address: SocketAddr) -> String {
    ask(&mut connect(address), "who")
}

/// Waits until `ready` says yes.
pub(crate) fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let start = clock();
    while !ready() {
        assert!(
            start.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[expect(clippy::disallowed_methods, reason = "test driver: reads the clock")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}
