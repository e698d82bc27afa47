//! A client that sends a datagram all the time over one socket, and tells for how long none came back.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::{Seat, now};

/// A stream of datagrams under way.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    answers: Mutex<Vec<Instant>>,
}

/// When datagrams came back.
#[derive(Debug, Clone)]
pub struct Answers {
    begin: Instant,
    end: Instant,
    times: Vec<Instant>,
}

impl Stream {
    /// Starts at a place of a lab; `None` stays where this program is. The other end is to answer `echo …`.
    ///
    /// # Errors
    /// When there is no such place or no socket.
    pub fn start(seat: Option<&Seat>, target: SocketAddr, every: Duration) -> Result<Self> {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            answers: Mutex::default(),
        });
        let (ready, socket) = mpsc::sync_channel(1);
        let spawn = |name: &str, work: Box<dyn FnOnce() -> Result<()> + Send>| {
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(work)
                .context("cannot start a thread")
        };
        let (for_sender, seat_of_sender) = (Arc::clone(&shared), seat.cloned());
        let sender = spawn(
            "stream",
            Box::new(move || {
                if let Some(seat) = seat_of_sender {
                    seat.take()?;
                }
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
                socket.connect(target)?;
                ready.send(socket.try_clone()?)?;
                send(&socket, every, &for_sender);
                Ok(())
            }),
        )?;
        let Ok(socket) = socket.recv() else {
            let ended = sender.join().map_err(|_| anyhow!("it panicked"))?;
            return Err(ended.err().unwrap_or_else(|| anyhow!("it ended")));
        };
        let (for_receiver, seat) = (Arc::clone(&shared), seat.cloned());
        let receiver = spawn(
            "stream answers",
            Box::new(move || {
                if let Some(seat) = seat {
                    seat.take()?;
                }
                receive(&socket, &for_receiver)
            }),
        )?;
        Ok(Self {
            shared,
            threads: vec![sender, receiver],
        })
    }

    /// Waits until an answer has come.
    pub fn wait_for_an_answer(&self, limit: Duration) -> bool {
        let begin = now();
        while begin.elapsed() < limit {
            if !self.shared.answers().is_empty() {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Ends the stream; what is looked at began at `begin`.
    ///
    /// # Errors
    /// When a thread of it failed.
    pub fn finish(mut self, begin: Instant) -> Result<Answers> {
        let end = now();
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread
                .join()
                .map_err(|_| anyhow!("a stream of datagrams panicked"))??;
        }
        let times = self.shared.answers().clone();
        Ok(Answers { begin, end, times })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn answers(&self) -> std::sync::MutexGuard<'_, Vec<Instant>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    /// The longest time without an answer, of which at least the end is after the begin.
    pub fn longest_gap(&self) -> Duration {
        let inside = |time: &&Instant| **time > self.begin && **time <= self.end;
        let before = self.times.iter().rfind(|time| **time <= self.begin);
        let mut since = *before.unwrap_or(&self.begin);
        let mut longest = Duration::ZERO;
        for time in self.times.iter().filter(inside).chain([&self.end]) {
            longest = longest.max(time.saturating_duration_since(since));
            since = *time;
        }
        longest
    }
}

/// Sends when a datagram is due. What cannot be sent is lost, as it would be later.
fn send(socket: &UdpSocket, every: Duration, shared: &Shared) {
    let mut due = now();
    while !shared.stop.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(now()));
        let _ = socket.send(b"echo .");
        // Who was held up goes on from here, without a burst of what was missed.
        due = (due + every).max(now());
    }
}

fn receive(socket: &UdpSocket, shared: &Shared) -> Result<()> {
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    let mut answer = [0; 64];
    while !shared.stop.load(Ordering::Relaxed) {
        // An error is an answer of somebody else: nobody is there.
        if socket.recv(&mut answer).is_ok() {
            shared.answers().push(now());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_between_answers_or_up_to_the_end() {
        let begin = now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let answers = |times: &[u64]| Answers {
            begin: at(100),
            end: at(1000),
            times: times.iter().map(|time| at(*time)).collect(),
        };
        let gap = |times: &[u64]| answers(times).longest_gap().as_millis();
        // Long before the begin nothing counts; what reaches into it does, as a whole.
        assert_eq!(gap(&[0, 99, 101, 400, 999]), 599);
        assert_eq!(gap(&[0, 50, 990]), 940);
        assert_eq!(gap(&[99, 200]), 800);
        assert_eq!(gap(&[]), 900);
        assert_eq!(gap(&[99, 999, 1500]), 900);
    }

    #[test]
    fn answers_are_seen_until_they_stop() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let target = server.local_addr().expect("an address");
        let stream = Stream::start(None, target, Duration::from_millis(1)).expect("started");
        let mut bytes = [0; 64];
        let begin = now();
        while begin.elapsed() < Duration::from_millis(200) {
            let (_, from) = server.recv_from(&mut bytes).expect("a datagram");
            server.send_to(b".", from).expect("answered");
        }
        assert!(stream.wait_for_an_answer(Duration::from_secs(5)));
        thread::sleep(Duration::from_millis(500));
        let answers = stream.finish(begin).expect("finished");
        // What was on its way may have been read late on a busy machine.
        let gap = answers.longest_gap();
        assert!(gap >= Duration::from_millis(250), "{gap:?}");
    }
}
