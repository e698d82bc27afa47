//! What people leave open for hours: watches, `logs -f`, `exec`, `port-forward`. Changes elsewhere do not cut them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::kit::{Config, Noise, Proxy, Server, connect, eventually, who};

#[test]
fn h10_long_lived_sessions_outlive_reloads_and_a_change_of_servers() {
    let first = serve("a");
    let config = Config::new([("a", first.address())]);
    let mut proxy = Proxy::start(config.clone());
    let sessions = Sessions::start(proxy.front());
    sessions.all_go_on("at first");
    proxy.reload(config.clone().max_connections(500));
    sessions.all_go_on("after a reload");
    proxy.reload(config.clone().timeouts("hedgeMillis: 200, drainSeconds: 5"));
    sessions.all_go_on("after another reload");
    let second = serve("b");
    let mut both = config.clone();
    both.servers
        .push(("b".to_owned(), second.address(), String::new()));
    proxy.reload(both);
    proxy.wait_for_state("b", "up");
    assert_eq!(who(proxy.front()), "b");
    sessions.all_go_on("with a server more");
    proxy.reload(config);
    assert_eq!(who(proxy.front()), "a");
    sessions.all_go_on("with a server less");
    let outcome = sessions.stop();
    assert_eq!(outcome, [Ok(()), Ok(()), Ok(()), Ok(())]);
    drop(second);
}

/// One session of each kind.
struct Sessions {
    stop: Arc<AtomicBool>,
    progress: [Arc<AtomicU64>; 4],
    threads: Vec<JoinHandle<Result<(), String>>>,
}

type Client = fn(&mut TcpStream, &mut dyn FnMut() -> bool) -> std::io::Result<()>;

const KINDS: [(&str, Client); 4] = [
    ("watch", watch),
    ("logs", logs),
    ("exec", exec),
    ("forward", forward),
];

impl Sessions {
    fn start(front: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let progress: [Arc<AtomicU64>; 4] = Default::default();
        let threads = KINDS
            .iter()
            .zip(&progress)
            .map(|((name, client), progress)| {
                let (stop, progress) = (Arc::clone(&stop), Arc::clone(progress));
                std::thread::spawn(move || {
                    let mut stream = connect(front);
                    let mut goes_on = || {
                        progress.fetch_add(1, SeqCst);
                        !stop.load(SeqCst)
                    };
                    writeln!(stream, "{name}")
                        .and_then(|()| client(&mut stream, &mut goes_on))
                        .map_err(|error| format!("{name}: {error}"))
                })
            })
            .collect();
        Self {
            stop,
            progress,
            threads,
        }
    }

    /// Each of them gets several steps further.
    fn all_go_on(&self, when: &str) {
        for ((name, _), progress) in KINDS.iter().zip(&self.progress) {
            let before = progress.load(SeqCst);
            eventually(&format!("{name} goes on {when}"), || {
                progress.load(SeqCst) >= before + 5
            });
        }
    }

    fn stop(self) -> [Result<(), String>; 4] {
        self.stop.store(true, SeqCst);
        let outcomes: Vec<_> = self
            .threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        outcomes.try_into().unwrap()
    }
}

/// Events that come now and then, in order.
fn watch(stream: &mut TcpStream, goes_on: &mut dyn FnMut() -> bool) -> std::io::Result<()> {
    let mut expected = 0_u64;
    while goes_on() {
        let mut event = [0; 8];
        stream.read_exact(&mut event)?;
        same(u64::from_be_bytes(event) == expected)?;
        expected += 1;
    }
    Ok(())
}

/// A stream without end.
fn logs(stream: &mut TcpStream, goes_on: &mut dyn FnMut() -> bool) -> std::io::Result<()> {
    let mut noise = Noise(5);
    let mut buffer = vec![0; 30_000];
    while goes_on() {
        stream.read_exact(&mut buffer)?;
        same(buffer == noise.bytes(buffer.len()))?;
    }
    Ok(())
}

/// A key at a time, and what the terminal says to it.
fn exec(stream: &mut TcpStream, goes_on: &mut dyn FnMut() -> bool) -> std::io::Result<()> {
    let mut key = 0_u8;
    while goes_on() {
        key = key.wrapping_add(1);
        stream.write_all(&[key])?;
        let mut said = [0];
        stream.read_exact(&mut said)?;
        same(said[0] == !key)?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Much in both directions.
fn forward(stream: &mut TcpStream, goes_on: &mut dyn FnMut() -> bool) -> std::io::Result<()> {
    let (mut out, mut back) = (Noise(9), Noise(9));
    let mut buffer = vec![0; 200_000];
    while goes_on() {
        stream.write_all(out.bytes(buffer.len()))?;
        stream.read_exact(&mut buffer)?;
        same(buffer == back.bytes(buffer.len()))?;
    }
    Ok(())
}

fn same(same: bool) -> std::io::Result<()> {
    same.then_some(())
        .ok_or_else(|| std::io::Error::other("other bytes than were sent"))
}

/// The other end of each kind; `who` is answered with the name.
fn serve(name: &'static str) -> Server {
    Server::new(move |mut stream| {
        let mut word = Vec::new();
        let mut byte = [0];
        while stream.read(&mut byte).is_ok_and(|read| read == 1) && byte[0] != b'\n' {
            word.push(byte[0]);
        }
        // The client's end ends it.
        let _ = match word.as_slice() {
            b"who" => writeln!(stream, "{name}"),
            b"watch" => (0_u64..).try_for_each(|event| {
                std::thread::sleep(Duration::from_millis(20));
                stream.write_all(&event.to_be_bytes())
            }),
            b"logs" => {
                let mut noise = Noise(5);
                std::iter::repeat(17_000).try_for_each(|length| {
                    std::thread::sleep(Duration::from_millis(1));
                    stream.write_all(noise.bytes(length))
                })
            }
            b"exec" => answer(&mut stream, |byte| !byte),
            b"forward" => answer(&mut stream, |byte| byte),
            _ => Ok(()),
        };
    })
}

fn answer(stream: &mut TcpStream, change: fn(u8) -> u8) -> std::io::Result<()> {
    let mut buffer = vec![0; 200_000];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        for byte in &mut buffer[..read] {
            *byte = change(*byte);
        }
        stream.write_all(&buffer[..read])?;
    }
}
