//! A TLS server that can fail.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Authority, clock, http};

/// What a server does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    /// Answers.
    Serve,
    /// Answers 500 to HTTP requests.
    Error,
    /// Takes connections and says nothing.
    Hang,
    /// Takes connections and closes them.
    Close,
    /// Its process was killed: it does not listen, and its connections are closed.
    Refuse,
    /// SYNs get no answer.
    Swallow,
}

/// A server with a certificate for 127.0.0.1. A client that says `hold` instead of a TLS hello is told the port and kept.
pub(crate) struct TlsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    mode: AtomicU8,
    config: Arc<ServerConfig>,
    /// When a client's bytes came in last.
    last_client: Mutex<Option<Instant>>,
    listener: Mutex<Option<TcpListener>>,
    kept: Mutex<Vec<TcpStream>>,
    /// Connections that are being served, by their client's port.
    served: Mutex<BTreeMap<u16, TcpStream>>,
}

impl TlsServer {
    pub(crate) fn new(ca: &Authority) -> Self {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&any.into()).unwrap();
        // A short queue can be filled, and then SYNs are dropped.
        socket.listen(8).unwrap();
        socket.set_nonblocking(true).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            mode: AtomicU8::new(Mode::Serve as u8),
            config: ca.server_config("127.0.0.1", 4096),
            last_client: Mutex::default(),
            listener: Mutex::new(Some(listener)),
            kept: Mutex::default(),
            served: Mutex::default(),
        });
        std::thread::spawn({
            let shared = Arc::downgrade(&shared);
            move || {
                while let Some(shared) = shared.upgrade() {
                    accept(&shared, address);
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        });
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.shared.last_client.lock().unwrap() = None;
        self.shared.mode.store(mode as u8, SeqCst);
        if mode == Mode::Refuse {
            self.shared.listener.lock().unwrap().take();
            self.shared.kept.lock().unwrap().clear();
            for stream in std::mem::take(&mut *self.shared.served.lock().unwrap()).values() {
                // It may be over already.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        if mode == Mode::Swallow {
            let short = Duration::from_millis(50);
            while let Ok(filler) = TcpStream::connect_timeout(&self.address, short) {
                self.shared.kept.lock().unwrap().push(filler);
            }
        }
    }

    /// When a client was given to it last since the mode was set.
    pub(crate) fn last_client(&self) -> Option<Instant> {
        *self.shared.last_client.lock().unwrap()
    }
}

fn accept(shared: &Arc<Shared>, address: SocketAddr) {
    let mode = shared.mode.load(SeqCst);
    if mode == Mode::Swallow as u8 {
        return;
    }
    let listener = shared.listener.lock().unwrap();
    let Some(listener) = &*listener else { return };
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            let (Ok(peer), Ok(twin)) = (stream.peer_addr(), stream.try_clone()) else {
                return;
            };
            shared.served.lock().unwrap().insert(peer.port(), twin);
            serve(&shared, stream, address, mode);
            shared.served.lock().unwrap().remove(&peer.port());
        });
    }
}

fn serve(shared: &Shared, mut stream: TcpStream, address: SocketAddr, mode: u8) {
    // Whoever hangs up early was a check or a loser of a race.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let mut first = [0; 5];
    if stream.peek(&mut first).unwrap_or(0) == 0 {
        return;
    }
    if &first == b"hold\n" {
        let _ = stream.write_all(&address.port().to_be_bytes());
        shared.kept.lock().unwrap().push(stream);
        return;
    }
    if mode == Mode::Hang as u8 {
        shared.kept.lock().unwrap().push(stream);
        return;
    }
    if mode == Mode::Close as u8 {
        return;
    }
    let connection = ServerConnection::new(Arc::clone(&shared.config)).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    let mut request = [0; 1024];
    let read = stream.read(&mut request).unwrap_or(0);
    if read > 0 {
        let answer = if mode == Mode::Error as u8 {
            http(500, "no")
        } else {
            http(200, "ok")
        };
        let _ = stream.write_all(answer.as_bytes());
    } else if mode != Mode::Serve as u8 {
        // A handshake and nothing more: a client, not a check.
        *shared.last_client.lock().unwrap() = Some(clock());
    }
}
