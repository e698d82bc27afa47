//! Much at once, for long: reloads, hand-overs, floods, mixed traffic. `HAPROXY_LITE_SCALE=N` makes each N times as long.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::kit::{Config, PATIENCE, Proxy, Server, ask, connect, eventually, scale, try_connect};

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
            // The server hangs up on those who are silent for long.
            assert_eq!(ask(&mut watch_long, "still here"), "still here");
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
