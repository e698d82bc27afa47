//! Random streams in both directions at once: sizes, pauses, slow readers, half-closes and resets of either side. Both
//! sides check every byte, and that what ends a stream is what the other side did to end it.
//! `HAPROXY_LITE_SCALE=N` makes each test N times as long.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::kit::{Config, Noise, Proxy, Random, Server, clock, connect, scale};

#[test]
fn e3_streams_through_pipes_arrive_as_sent_under_reloads() {
    let tally = run("", false);
    assert_eq!(tally.cut.load(SeqCst), 0);
}

#[test]
fn e3_streams_by_copying_arrive_as_sent_under_reloads() {
    let tally = run("splice: false", false);
    assert_eq!(tally.cut.load(SeqCst), 0);
}

#[test]
fn e3_streams_arrive_as_sent_while_a_server_comes_and_goes() {
    let tally = run("", true);
    let (streams, cut) = (tally.streams.load(SeqCst), tally.cut.load(SeqCst));
    assert!(cut < streams, "{cut} of {streams} were cut");
}

/// What happened.
#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    bytes: AtomicU64,
    streams: AtomicU64,
    /// Streams of the server that comes and goes that were reset.
    cut: AtomicU64,
    faults: Mutex<Vec<String>>,
}

impl Tally {
    fn blame(&self, fault: String) {
        self.faults.lock().unwrap().push(fault);
    }
}

fn run(top: &str, flaps: bool) -> Arc<Tally> {
    let tally: Arc<Tally> = Arc::default();
    let steady: Vec<Server> = ["a", "b"].map(|name| serve(name, None, &tally)).into();
    let mut fickle = flaps.then(|| serve("c", None, &tally));
    let mut config = Config::new([("a", steady[0].address()), ("b", steady[1].address())]).top(top);
    if let Some(fickle) = &fickle {
        let row = ("c".to_owned(), fickle.address(), String::new());
        config.servers.push(row);
    }
    let mut proxy = Proxy::start(config.clone());
    let front = proxy.front();
    let clients: Vec<_> = (0..6)
        .map(|seed| {
            let tally = Arc::clone(&tally);
            std::thread::spawn(move || {
                let mut random = Random(seed + 1);
                while !tally.stop.load(SeqCst) {
                    stream(front, &mut random, flaps, &tally);
                }
            })
        })
        .collect();
    let start = clock();
    let mut reloads = 0;
    while start.elapsed() < Duration::from_secs(3) * u32::try_from(scale()).unwrap() {
        reloads += 1;
        proxy.reload(config.clone().max_connections(1000 + reloads));
        if let Some(mut server) = fickle.take() {
            let address = server.address();
            server.stop_listening();
            std::thread::sleep(Duration::from_millis(300));
            fickle = Some(serve("c", Some(address), &tally));
        }
    }
    tally.stop.store(true, SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    eprintln!(
        "{top} {} streams, {} MB, {} cut, {reloads} reloads: {}",
        tally.streams.load(SeqCst),
        tally.bytes.load(SeqCst) / 1_000_000,
        tally.cut.load(SeqCst),
        proxy.status()["totals"]["ended"]
    );
    assert_eq!(*tally.faults.lock().unwrap(), Vec::<String>::new());
    assert!(tally.streams.load(SeqCst) > 20);
    tally
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Each side ends its direction when everything is sent; the other goes on.
    Both,
    /// The client resets after its bytes.
    ClientResets,
    /// The server resets after its bytes.
    ServerResets,
}

/// What the client asks for.
#[derive(Debug, Clone, Copy)]
struct Order {
    up: u64,
    down: u64,
    seed: u64,
    ending: Ending,
    slow_server: bool,
}

impl Order {
    const LENGTH: usize = 26;

    fn draw(random: &mut Random) -> Self {
        let mut length = || match random.below(6) {
            0 => random.below(100),
            1 | 2 => random.below(100_000),
            _ => random.below(12_000_000),
        } as u64;
        Self {
            up: length(),
            down: length(),
            seed: random.next(),
            ending: [
                Ending::Both,
                Ending::Both,
                Ending::ClientResets,
                Ending::ServerResets,
            ][random.below(4)],
            slow_server: random.below(6) == 0,
        }
    }

    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        for number in [self.up, self.down, self.seed] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend([self.ending as u8, u8::from(self.slow_server)]);
        bytes
    }

    fn read(from: &mut TcpStream) -> Option<Self> {
        let mut bytes = [0; Self::LENGTH];
        from.read_exact(&mut bytes).ok()?;
        let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        let endings = [Ending::Both, Ending::ClientResets, Ending::ServerResets];
        Some(Self {
            up: number(0),
            down: number(8),
            seed: number(16),
            ending: endings[usize::from(bytes[24])],
            slow_server: bytes[25] == 1,
        })
    }
}

/// How a direction ended for its reader.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Fin,
    Reset,
    /// Other bytes than were sent, or a silence.
    Fault(String),
}

/// Reads noise until the direction ends; its length, and how it ended.
fn read(from: &mut TcpStream, mut noise: Noise, most: u64, slow: bool) -> (u64, End) {
    let mut buffer = vec![0; if slow { 7000 } else { 300_000 }];
    let mut received = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return (received, End::Fin),
            Ok(length) => {
                if received + length as u64 > most || buffer[..length] != *noise.bytes(length) {
                    return (received, End::Fault("other bytes than sent".to_owned()));
                }
                received += length as u64;
            }
            Err(error) if is_reset(&error) => return (received, End::Reset),
            Err(error) => return (received, End::Fault(error.to_string())),
        }
        if slow && received % 5 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Sends noise in pieces with pauses; false: the other side has reset.
fn write(into: &mut TcpStream, mut noise: Noise, length: u64, mut sizes: Random) -> bool {
    let mut sent = 0;
    while sent < length {
        let size = (1 + sizes.below(200_000)).min(usize::try_from(length - sent).unwrap());
        if into.write_all(noise.bytes(size)).is_err() {
            return false;
        }
        sent += size as u64;
        if sizes.below(40) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    true
}

fn is_reset(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Both directions of one side at once: what was sent wholly, what was received, and how that ended.
fn exchange(
    stream: &TcpStream,
    (out, out_length): (Noise, u64),
    (inward, in_length): (Noise, u64),
    resets: bool,
    slow: bool,
) -> (bool, u64, End) {
    let mut writer = stream.try_clone().unwrap();
    let sizes = Random(out_length ^ 99);
    let sender = std::thread::spawn(move || {
        let whole = write(&mut writer, out, out_length, sizes);
        if whole && resets {
            reset(&writer);
            // Not a FIN: what ends the reader below sends nothing.
            let _ = writer.shutdown(Shutdown::Read);
        } else if whole {
            let _ = writer.shutdown(Shutdown::Write);
        }
        whole
    });
    let (received, end) = read(&mut stream.try_clone().unwrap(), inward, in_length, slow);
    if matches!(end, End::Fault(_)) {
        // Nothing more is expected; the sender must not wait for ever.
        reset(stream);
        let _ = stream.shutdown(Shutdown::Both);
    }
    (sender.join().unwrap(), received, end)
}

/// One stream of a client.
fn stream(front: SocketAddr, random: &mut Random, flaps: bool, tally: &Tally) {
    let order = Order::draw(random);
    let slow = random.below(6) == 0;
    let mut client = connect(front);
    let mut name = [0];
    let began = client
        .write_all(&order.to_bytes())
        .and_then(|()| client.read_exact(&mut name));
    // A connection that was cut before the server said who it is may have been the fickle one's.
    let may_be_cut = flaps && (began.is_err() || &name == b"c");
    if let Err(error) = began {
        if !(may_be_cut && is_reset(&error)) {
            tally.blame(format!("no beginning: {error}; {order:?}"));
        }
        tally.cut.fetch_add(1, SeqCst);
        return;
    }
    let resets = order.ending == Ending::ClientResets;
    let (whole, received, end) = exchange(
        &client,
        (Noise(order.seed), order.up),
        (Noise(order.seed ^ 1), order.down),
        resets,
        slow,
    );
    tally.streams.fetch_add(1, SeqCst);
    tally
        .bytes
        .fetch_add(received + if whole { order.up } else { 0 }, SeqCst);
    let expected = match order.ending {
        Ending::Both => end == End::Fin && received == order.down && whole,
        // Our own end of reading: nothing to be expected.
        Ending::ClientResets => !matches!(end, End::Fault(_)),
        // What was under way is lost with a reset. If our writer met it first, reading only sees an end.
        Ending::ServerResets => end == End::Reset || !whole && end == End::Fin,
    };
    let cut = may_be_cut && (end == End::Reset || !whole && end == End::Fin);
    if cut && !expected {
        tally.cut.fetch_add(1, SeqCst);
    } else if !expected {
        tally.blame(format!(
            "client of {}: {end:?} after {received}, sent {whole}; {order:?}",
            char::from(name[0])
        ));
    }
}

/// A server that takes orders.
fn serve(name: &'static str, address: Option<SocketAddr>, tally: &Arc<Tally>) -> Server {
    let tally = Arc::clone(tally);
    let any = "127.0.0.1:0".parse().unwrap();
    Server::on(address.unwrap_or(any), move |mut stream| {
        let Some(order) = Order::read(&mut stream) else {
            return;
        };
        if stream.write_all(name.as_bytes()).is_err() {
            return;
        }
        let resets = order.ending == Ending::ServerResets;
        let (whole, received, end) = exchange(
            &stream,
            (Noise(order.seed ^ 1), order.down),
            (Noise(order.seed), order.up),
            resets,
            order.slow_server,
        );
        let expected = match order.ending {
            Ending::Both => end == End::Fin && received == order.up && whole,
            // If our writer met the reset first, reading only sees an end.
            Ending::ClientResets => end == End::Reset || !whole && end == End::Fin,
            Ending::ServerResets => !matches!(end, End::Fault(_)),
        };
        let cut = name == "c" && !matches!(end, End::Fault(_)) && !(whole && end == End::Fin);
        if !expected && !cut {
            tally.blame(format!(
                "server {name}: {end:?} after {received}, sent {whole}; {order:?}"
            ));
        }
    })
}
