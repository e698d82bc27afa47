//! Servers behind the proxy.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::{PATIENCE, http};

/// A server that does with each connection what it was made for; it stops listening when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers each line: `who` with its name, others with themselves.
    pub(crate) fn echo(name: &'static str) -> Self {
        Self::echo_on(name, "127.0.0.1:0")
    }

    /// The same at an address of the test's choice.
    pub(crate) fn echo_on(name: &'static str, address: &str) -> Self {
        Self::on(address.parse().unwrap(), move |stream| {
            answer_lines(name, stream, || false)
        })
    }

    /// The same, and an HTTP request is answered with 200 or 500.
    pub(crate) fn http_or_echo(name: &'static str, healthy: &Arc<AtomicBool>) -> Self {
        let healthy = Arc::clone(healthy);
        Self::http_with(name, move || !healthy.load(SeqCst))
    }

    /// The same; `ill` decides for each request.
    pub(crate) fn http_with(
        name: &'static str,
        ill: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::new(move |stream| answer_lines(name, stream, &ill))
    }

    /// Hands its connections to the test.
    pub(crate) fn by_hand() -> (Self, Receiver<TcpStream>) {
        let (sender, receiver) = channel();
        let sender = Mutex::new(sender);
        let server = Self::new(move |stream| {
            // A health check is over before the test looks.
            let _ = sender.lock().unwrap().send(stream);
        });
        (server, receiver)
    }

    pub(crate) fn new(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0".parse().unwrap(), serve)
    }

    /// At an address of the test's choice.
    pub(crate) fn on(
        address: SocketAddr,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            None,
        )
        .unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(1024).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let serve = Arc::new(serve);
        let acceptor = std::thread::spawn({
            let stopping = Arc::clone(&stopping);
            move || {
                for stream in listener.incoming() {
                    if stopping.load(SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    stream.set_nodelay(true).unwrap();
                    stream.set_read_timeout(Some(PATIENCE * 3)).unwrap();
                    let serve = Arc::clone(&serve);
                    std::thread::spawn(move || serve(stream));
                }
            }
        });
        Self {
            address,
            stopping,
            acceptor: Some(acceptor),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening; connections stay.
    pub(crate) fn stop_listening(&mut self) {
        self.stopping.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop_listening();
    }
}

fn answer_lines(name: &str, stream: TcpStream, ill: impl Fn() -> bool) {
    let mut answers = stream.try_clone().unwrap();
    let mut request = false;
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let line = line.trim_end();
        request |= line.starts_with("GET ");
        let answer = match (request, line) {
            (true, "") => {
                let (status, body) = if ill() {
                    (500, "not today")
                } else {
                    (200, "ok")
                };
                let _ = answers.write_all(http(status, body).as_bytes());
                return;
            }
            (true, _) => continue,
            (false, "who") => name,
            (false, line) => line,
        };
        if answers.write_all(format!("{answer}\n").as_bytes()).is_err() {
            return;
        }
    }
}

/// An address where SYNs are dropped, as at a machine without power: a listener whose queue is full.
pub(crate) struct BlackHole {
    listener: socket2::Socket,
    fillers: Vec<TcpStream>,
}

impl BlackHole {
    pub(crate) fn new() -> Self {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(1).unwrap();
        Self {
            listener,
            fillers: Vec::new(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap().as_socket().unwrap()
    }

    /// From here on nothing gets through.
    pub(crate) fn swallow(&mut self) {
        let short = std::time::Duration::from_millis(100);
        while let Ok(filler) = TcpStream::connect_timeout(&self.address(), short) {
            self.fillers.push(filler);
        }
    }

    /// Takes one connection out of the queue.
    pub(crate) fn accept(&self) -> TcpStream {
        self.listener.accept().unwrap().0.into()
    }
}
