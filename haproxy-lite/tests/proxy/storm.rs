//! Much at once, for long: reloads, hand-overs, floods, mixed traffic. `HAPROXY_LITE_SCALE=N` makes each N times as long.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::kit::{Config, PATIENCE, Proxy, Server, ask, clock, connect, eventually, try_connect};

#[test]
fn h11_reloads_under_load_fail_nobody_and_leak_nothing() {
    let [a, b, c] = ["a", "b", "c"].map(Server::echo);
    let with = |names: &[&str]| {
        let all = [("a", &a), ("b", &b), ("c", &c)];
        let chosen = all.iter().filter(|(name, _)| names.contains(name));
        Config::new(chosen.map(|(name, server)| (*name, server.address())))
    };
    let mut config = with(&["a"]);
    let mut proxy = Proxy::start(config.clone());
    let watch_long = connect(proxy.front());
    let mut watch_long = watch_long;
    assert_eq!(ask(&mut watch_long, "who"), "a");
    let load = Clients::start(proxy.front(), 4);
    let mut descriptors = None;
    let mut memory = None;
    for round in 0..20 * scale() {
        let names: &[&str] = match round % 4 {
            0 => &["a", "b"],
            1 => &["a", "b", "c"],
            2 => &["a", "c"],
            _ => &["a"],
        };
        let mut next = with(names);
        (next.frontends, next.admin) = (config.frontends.clone(), config.admin);
        config = next;
        proxy.reload(config.clone());
        if round % 4 == 3 {
            let (now_open, now_resident) = (open_descriptors(&proxy), proxy.resident());
            let first = *descriptors.get_or_insert(now_open);
            assert!(
                now_open <= first + 40,
                "{now_open} descriptors after {round} reloads, {first} at first"
            );
            let first = *memory.get_or_insert(now_resident);
            assert!(
                now_resident <= first + (4 << 20),
                "{now_resident} bytes after {round} reloads, {first} at first"
            );
        }
    }
    assert_eq!(ask(&mut watch_long, "still here"), "still here");
    let (served, failed) = load.stop();
    let ended = proxy.status()["totals"]["ended"].clone();
    eprintln!(
        "{} reloads, {served} connections, {failed} failed: {ended}",
        20 * scale()
    );
    assert_eq!(failed, 0, "of {served}: {ended}");
}

#[test]
fn hand_overs_under_load_fail_nobody() {
    let server = Server::echo("a");
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let config =
        Config::new([("a", server.address())]).top(&format!("adminSocket: {}", socket.display()));
    let mut proxy = Proxy::start(config.clone());
    let load = Clients::start(proxy.front(), 4);
    for _ in 0..3 * scale() {
        let successor = Proxy::start(config.clone());
        let mut predecessor = std::mem::replace(&mut proxy, successor);
        assert_eq!(predecessor.wait().code(), Some(0));
    }
    let (served, failed) = load.stop();
    eprintln!(
        "{} hand-overs, {served} connections, {failed} failed",
        3 * scale()
    );
    assert_eq!(failed, 0, "of {served}");
}

#[test]
fn h29_floods_leave_nothing_behind() {
    let server = Server::echo("a");
    let proxy = Proxy::start(Config::new([("a", server.address())]).max_connections(5000));
    let flood = || {
        let mut idle: Vec<TcpStream> = (0..300).map(|_| connect(proxy.front())).collect();
        for stream in idle.iter_mut().step_by(3) {
            // Slow-loris: a byte and nothing more.
            stream.write_all(b"w").unwrap();
        }
        for number in 0..1000 {
            let Ok(stream) = try_connect(proxy.front()) else {
                continue;
            };
            if number % 2 == 0 {
                // It is the flood's own end that is reset.
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            }
        }
    };
    flood();
    proxy.wait_until("the first flood is over", |s| s["totals"]["sessions"] == 0);
    let (memory, descriptors) = (proxy.resident(), open_descriptors(&proxy));
    for _ in 0..3 * scale() {
        flood();
        proxy.wait_until("the flood is over", |s| s["totals"]["sessions"] == 0);
    }
    eventually("descriptors are back", || {
        open_descriptors(&proxy) <= descriptors + 5
    });
    let after = proxy.resident();
    assert!(
        after <= memory + (2 << 20),
        "{memory} bytes before, {after} after"
    );
    assert_eq!(crate::kit::who(proxy.front()), "a");
}

#[test]
fn e3_random_streams_arrive_whole_under_reloads_and_flaps() {
    let good = Arc::new(AtomicBool::new(true));
    let servers: Vec<Server> = (0..2).map(|_| Server::new(mirror)).collect();
    let config = Config::new([("a", servers[0].address()), ("b", servers[1].address())]);
    let mut proxy = Proxy::start(config.clone());
    let bytes = Arc::new(AtomicUsize::new(0));
    let front = proxy.front();
    let clients: Vec<_> = (0..6_u64)
        .map(|seed| {
            let (good, bytes) = (Arc::clone(&good), Arc::clone(&bytes));
            std::thread::spawn(move || {
                let mut random = Random(seed + 1);
                while good.load(SeqCst) {
                    bytes.fetch_add(stream_of_its_own(front, &mut random), SeqCst);
                }
            })
        })
        .collect();
    let start = clock();
    let mut most = 1000;
    while start.elapsed() < Duration::from_secs(3) * u32::try_from(scale()).unwrap() {
        most += 1;
        proxy.reload(config.clone().max_connections(most));
    }
    good.store(false, SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    eprintln!(
        "{} MB of random streams in {} reloads",
        bytes.load(SeqCst) / 1_000_000,
        most - 1000
    );
    assert!(bytes.load(SeqCst) > 1_000_000);
}

/// One stream with random sizes, pauses and an end of its own choice; returns its bytes.
fn stream_of_its_own(front: SocketAddr, random: &mut Random) -> usize {
    let stream = connect(front);
    let length = match random.below(4) {
        0 => random.below(100),
        1 => random.below(100_000),
        _ => random.below(8_000_000),
    };
    let (slow, seed) = (random.below(5) == 0, random.next());
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let mut noise = Random(seed);
        let mut sizes = Random(seed ^ 1);
        let mut sent = 0;
        while sent < length {
            let size = (1 + sizes.below(200_000)).min(length - sent);
            writer.write_all(&noise.bytes(size)).unwrap();
            sent += size;
            if sizes.below(20) == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut noise = Random(seed);
    let mut reader = stream;
    let mut buffer = vec![0; 300_000];
    let mut received = 0;
    loop {
        let window = if slow { 5000 } else { buffer.len() };
        let read = reader.read(&mut buffer[..window]).unwrap();
        if read == 0 {
            break;
        }
        assert!(
            buffer[..read] == noise.bytes(read),
            "different after {received} of {length} bytes"
        );
        received += read;
        if slow && random.below(50) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(received, length, "the end came early");
    sender.join().unwrap();
    length * 2
}

fn mirror(mut stream: TcpStream) {
    let mut buffer = vec![0; 100_000];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

/// Clients that connect, ask and leave, all the time.
struct Clients {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Clients {
    fn start(front: SocketAddr, clients: usize) -> Self {
        let (stop, served, failed) = (Arc::default(), Arc::default(), Arc::default());
        let mut all = Self {
            stop,
            served,
            failed,
            threads: Vec::new(),
        };
        for _ in 0..clients {
            let (stop, served, failed) = (
                Arc::clone(&all.stop),
                Arc::clone(&all.served),
                Arc::clone(&all.failed),
            );
            all.threads.push(std::thread::spawn(move || {
                while !stop.load(SeqCst) {
                    let counter = if once(front).is_ok() {
                        &served
                    } else {
                        &failed
                    };
                    counter.fetch_add(1, SeqCst);
                }
            }));
        }
        all
    }

    /// Served and failed connections.
    fn stop(self) -> (usize, usize) {
        self.stop.store(true, SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
        (self.served.load(SeqCst), self.failed.load(SeqCst))
    }
}

fn once(front: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&front, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"who\n")?;
    stream.read_exact(&mut [0; 2])
}

fn open_descriptors(proxy: &Proxy) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", proxy.pid()))
        .unwrap()
        .count()
}

fn scale() -> usize {
    std::env::var("HAPROXY_LITE_SCALE")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1)
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}
