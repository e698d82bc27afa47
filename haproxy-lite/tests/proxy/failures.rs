//! Servers that fail in the ways machines fail, while clients open TLS connections all the time.
//!
//! Each client has a limit within which its handshake must be over. The limits here leave room for busy test machines; with
//! `HAPROXY_LITE_STRICT=1` they are those of a quiet one (a handshake each 10 ms, 300 ms each, hedge after 100 ms).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::kit::{Authority, Config, Mode, Proxy, TlsServer, clock, connect};

#[test]
fn e4_killed() {
    let outcome = fail(Mode::Refuse);
    outcome.expect("killed", Duration::from_millis(200), Duration::from_secs(3));
}

#[test]
fn e4_hanging_in_tls() {
    let outcome = fail(Mode::Hang);
    outcome.expect("hanging", Duration::from_secs(3), Duration::from_secs(3));
}

#[test]
fn e4_without_power() {
    let outcome = fail(Mode::Swallow);
    outcome.expect(
        "without power",
        Duration::from_secs(3),
        Duration::from_secs(3),
    );
}

#[test]
fn e4_closing_at_once() {
    let outcome = fail(Mode::Close);
    outcome.expect("closing", Duration::from_secs(3), Duration::from_secs(3));
}

#[test]
fn e4_answering_500() {
    let outcome = fail(Mode::Error);
    outcome.expect(
        "answering 500",
        Duration::from_secs(3),
        Duration::from_secs(3),
    );
}

/// What clients saw.
struct Outcome {
    handshakes: Vec<Duration>,
    failed: usize,
    /// From the failure to the last client that was given to the server.
    last_client: Duration,
    /// From the failure to the end of a session that the server had.
    session_ended: Duration,
}

impl Outcome {
    fn expect(mut self, what: &str, clients: Duration, session: Duration) {
        self.handshakes.sort_unstable();
        let slowest = self.handshakes[self.handshakes.len() * 99 / 100];
        eprintln!(
            "{what}: {} handshakes, {} failed, p99 {slowest:?}, last client after {:?}, session ended after {:?}",
            self.handshakes.len(),
            self.failed,
            self.last_client,
            self.session_ended
        );
        assert_eq!(self.failed, 0, "{what}");
        let room = if strict() {
            Duration::ZERO
        } else {
            Duration::from_secs(2)
        };
        assert!(
            self.last_client <= clients + room,
            "{what}: last client after {:?}",
            self.last_client
        );
        assert!(
            self.session_ended <= session + room,
            "{what}: session ended after {:?}",
            self.session_ended
        );
        if strict() {
            assert!(
                slowest <= Duration::from_millis(150),
                "{what}: p99 {slowest:?}"
            );
        }
    }
}

fn fail(mode: Mode) -> Outcome {
    let ca = Authority::new();
    let servers: Vec<TlsServer> = (0..3).map(|_| TlsServer::new(&ca)).collect();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.crt");
    std::fs::write(&ca_file, ca.pem()).unwrap();
    let hedge = if strict() { 100 } else { 400 };
    let config = Config::new(
        ["a", "b", "c"]
            .into_iter()
            .zip(servers.iter().map(TlsServer::address)),
    )
    .check(&format!(
        "kind: https, caFile: {}, intervalMillis: 1000, timeoutMillis: 1000, fall: 3, rise: 2",
        ca_file.display()
    ))
    .timeouts(&format!("connectMillis: 5000, hedgeMillis: {hedge}"));
    let proxy = Proxy::start(config);
    for name in ["a", "b", "c"] {
        proxy.wait_for_state(name, "up");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let seen: Arc<Mutex<(Vec<Duration>, usize)>> = Arc::default();
    let pacer = std::thread::spawn({
        let (stop, seen, front, ca) = (
            Arc::clone(&stop),
            Arc::clone(&seen),
            proxy.front(),
            ca.client(),
        );
        move || pace(front, &ca, &stop, &seen)
    });
    std::thread::sleep(Duration::from_millis(300));
    let mut session = session_on(&proxy, &servers[0]);
    let failed_at = clock();
    servers[0].set(mode);
    let ended = session_end(&mut session, failed_at);
    let session_ended = ended.elapsed_since(failed_at);
    std::thread::sleep(Duration::from_millis(1500));
    stop.store(true, SeqCst);
    pacer.join().unwrap();
    let last_client = servers[0]
        .last_client()
        .map_or(Duration::ZERO, |at| at - failed_at.min(at));
    let (handshakes, failed) = std::mem::take(&mut *seen.lock().unwrap());
    Outcome {
        handshakes,
        failed,
        last_client,
        session_ended,
    }
}

/// A handshake each so many milliseconds, each on a thread of its own.
fn pace(
    front: SocketAddr,
    tls: &Arc<rustls::ClientConfig>,
    stop: &AtomicBool,
    seen: &Arc<Mutex<(Vec<Duration>, usize)>>,
) {
    let (pause, limit) = if strict() { (10, 300) } else { (50, 4000) };
    let mut clients = Vec::new();
    while !stop.load(SeqCst) {
        let (tls, seen) = (Arc::clone(tls), Arc::clone(seen));
        clients.push(std::thread::spawn(move || {
            let start = clock();
            let done = handshake(front, tls, Duration::from_millis(limit));
            let mut seen = seen.lock().unwrap();
            seen.0.push(start.elapsed());
            if let Err(error) = done {
                eprintln!("handshake failed after {:?}: {error}", start.elapsed());
                seen.1 += 1;
            }
        }));
        std::thread::sleep(Duration::from_millis(pause));
    }
    for client in clients {
        client.join().unwrap();
    }
}

/// A TLS handshake that must be over within the limit.
pub(crate) fn handshake(
    front: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    limit: Duration,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&front, limit)?;
    stream.set_read_timeout(Some(limit))?;
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let mut connection = rustls::ClientConnection::new(tls, name).map_err(std::io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(())
}

/// A plain session that the server in question holds.
fn session_on(proxy: &Proxy, server: &TlsServer) -> TcpStream {
    loop {
        let mut stream = connect(proxy.front());
        stream.write_all(b"hold\n").unwrap();
        let mut port = [0; 2];
        stream.read_exact(&mut port).unwrap();
        if u16::from_be_bytes(port) == server.address().port() {
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            return stream;
        }
    }
}

struct Ended(std::time::Instant);

impl Ended {
    fn elapsed_since(&self, start: std::time::Instant) -> Duration {
        self.0.saturating_duration_since(start)
    }
}

fn session_end(session: &mut TcpStream, failed_at: std::time::Instant) -> Ended {
    let end = session.read(&mut [0]);
    assert!(
        matches!(end, Ok(0)) || end.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
    );
    Ended(clock().max(failed_at))
}

fn strict() -> bool {
    std::env::var_os("HAPROXY_LITE_STRICT").is_some()
}
