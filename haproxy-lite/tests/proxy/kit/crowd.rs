//! Thousands of clients, and servers for them, in processes of their own: each has a limit of open files of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::clock;

/// Tells a copy of the test program to be a crowd: kind, address, number.
pub(crate) const CROWD_VARIABLE: &str = "HAPROXY_LITE_TEST_CROWD";

/// Such a process; killed when dropped.
pub(crate) struct Crowd {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Crowd {
    /// Servers that send back what they get, and their addresses.
    pub(crate) fn servers(number: usize) -> (Self, Vec<SocketAddr>) {
        let mut crowd = Self::start(&format!("serve 127.0.0.1:0 {number}"));
        let addresses = crowd.hear();
        let addresses = addresses.split(' ').map(|word| word.parse().unwrap());
        (crowd, addresses.collect())
    }

    /// Clients that are let in, and then silent.
    pub(crate) fn idle(front: SocketAddr, number: usize) -> Self {
        Self::start(&format!("idle {front} {number}"))
    }

    /// So many new clients each second; each asks once, and leaves.
    pub(crate) fn fresh(front: SocketAddr, per_second: usize) -> Self {
        Self::start(&format!("fresh {front} {per_second}"))
    }

    /// So many each second that connect and close or reset at once.
    pub(crate) fn storm(front: SocketAddr, per_second: usize) -> Self {
        Self::start(&format!("storm {front} {per_second}"))
    }

    /// Clients that send a byte a second.
    pub(crate) fn slow(front: SocketAddr, number: usize) -> Self {
        Self::start(&format!("slow {front} {number}"))
    }

    fn start(order: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crowd_process",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(CROWD_VARIABLE, order)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    /// The next thing that it says.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        while self.said.read_line(&mut line).unwrap() > 0 {
            if let Some((_, words)) = line.split_once(SAYS) {
                return words.trim_end().to_owned();
            }
            line.clear();
        }
        panic!("a crowd ended without a word");
    }

    /// Has every idle client ask once; how many were answered.
    pub(crate) fn ask(&mut self) -> usize {
        writeln!(self.child.stdin.as_mut().unwrap(), "ask").unwrap();
        self.hear().parse().unwrap()
    }

    /// Ends it, and hears what it has to say.
    pub(crate) fn finish(&mut self) -> String {
        drop(self.child.stdin.take());
        self.hear()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one client met.
type Met = (Duration, std::io::Result<()>);

/// Is a crowd until standard input ends.
pub(crate) fn run(order: &str) {
    let words: Vec<&str> = order.split(' ').collect();
    let (address, number) = (words[1].parse().unwrap(), words[2].parse().unwrap());
    let kind = words[0].to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(async move {
        match kind.as_str() {
            "serve" => serve(address, number).await,
            "idle" => idle(address, number).await,
            "slow" => slow(address, number).await,
            kind => come(address, number, kind == "storm").await,
        }
    });
    if let Err(error) = result {
        say(&error.to_string());
    }
}

async fn serve(address: SocketAddr, number: usize) -> std::io::Result<()> {
    let mut addresses = Vec::new();
    for _ in 0..number {
        let listener = TcpListener::bind(address).await?;
        addresses.push(listener.local_addr()?.to_string());
        tokio::spawn(async move {
            loop {
                if let Ok((mut stream, _)) = listener.accept().await {
                    tokio::spawn(async move {
                        let mut buffer = [0; 64];
                        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                            if stream.write_all(&buffer[..read]).await.is_err() {
                                return;
                            }
                        }
                    });
                }
            }
        });
    }
    say(&addresses.join(" "));
    wait_for_end().await;
    Ok(())
}

async fn idle(front: SocketAddr, number: usize) -> std::io::Result<()> {
    let mut streams = Vec::with_capacity(number);
    for _ in 0..number {
        let mut stream = TcpStream::connect(front).await?;
        once(&mut stream).await?;
        streams.push(stream);
    }
    say(&streams.len().to_string());
    let mut orders = orders();
    while orders.recv().await.is_some() {
        let mut answered = 0;
        for stream in &mut streams {
            answered += usize::from(once(stream).await.is_ok());
        }
        say(&answered.to_string());
    }
    Ok(())
}

async fn slow(front: SocketAddr, number: usize) -> std::io::Result<()> {
    let mut streams = Vec::new();
    for _ in 0..number {
        streams.push(TcpStream::connect(front).await?);
    }
    let mut broken = 0;
    let send = async {
        loop {
            for stream in &mut streams {
                broken += usize::from(stream.write_all(b"s").await.is_err());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! { () = send => {} () = wait_for_end() => {} }
    say(&broken.to_string());
    Ok(())
}

/// New clients at a steady rate, whatever became of those before them.
async fn come(front: SocketAddr, per_second: usize, leave_at_once: bool) -> std::io::Result<()> {
    let all: Arc<Mutex<Vec<Met>>> = Arc::default();
    let results = Arc::clone(&all);
    let period = Duration::from_secs(1) / u32::try_from(per_second).unwrap_or(1);
    let clients = async move {
        let begin = clock();
        for number in 0.. {
            let due = begin + period * number;
            tokio::time::sleep_until(due.into()).await;
            let results = Arc::clone(&results);
            tokio::spawn(async move {
                let met = client(front, due, leave_at_once, number % 2 == 0).await;
                results.lock().unwrap().push(met);
            });
        }
    };
    tokio::select! { () = clients => {} () = wait_for_end() => {} }
    let (mut times, mut failed, mut why) = (Vec::new(), 0_usize, String::new());
    // Those who are still there are waited for.
    while Arc::strong_count(&all) > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for (time, result) in all.lock().unwrap().drain(..) {
        times.push(time);
        if let Err(error) = result {
            failed += 1;
            why = error.to_string();
        }
    }
    times.sort_unstable();
    let at = |hundredths: usize| times.get(times.len() * hundredths / 100).copied();
    let (half, most) = (at(50).unwrap_or_default(), at(99).unwrap_or_default());
    say(&format!(
        "{} {failed} p50 {half:?} p99 {most:?} {why}",
        times.len()
    ));
    Ok(())
}

async fn client(front: SocketAddr, due: Instant, leave_at_once: bool, reset: bool) -> Met {
    let visit = async {
        let mut stream = TcpStream::connect(front).await?;
        if !leave_at_once {
            return once(&mut stream).await;
        }
        if reset {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    };
    let result = tokio::time::timeout(PATIENCE, visit).await;
    let result = result.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    (due.elapsed(), result)
}

/// A byte there, the same byte back.
async fn once(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"o").await?;
    stream.read_exact(&mut [0]).await.map(drop)
}

/// The lines of standard input.
fn orders() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

async fn wait_for_end() {
    let mut orders = orders();
    while orders.recv().await.is_some() {}
}

#[expect(clippy::print_stdout, reason = "its output is its result")]
fn say(words: &str) {
    println!("{SAYS}{words}");
}

const SAYS: &str = "crowd: ";
const PATIENCE: Duration = Duration::from_secs(10);
