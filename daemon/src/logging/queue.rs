//! The bounded queue between those who log and the thread that writes.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Where log lines are put. Putting never waits: a line that finds the queue full is counted instead.
#[derive(Debug, Clone)]
pub(super) struct LineQueue {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl LineQueue {
    /// Starts the thread that writes to `sink`.
    pub(super) fn start(sink: impl Write + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel(CAPACITY);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        // Without a thread there is nobody to write; the lines are counted as dropped, the process goes on.
        let _ = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(&receiver, &counter, sink));
        Self { sender, dropped }
    }

    /// Waits until everything put so far is written, at most `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let (done, wait) = sync_channel(1);
        if self.sender.try_send(Message::Flush(done)).is_ok() {
            match wait.recv_timeout(patience) {
                Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }
}

impl<'a> MakeWriter<'a> for LineQueue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            queue: self,
            bytes: Vec::new(),
        }
    }
}

/// One line while it is being formatted; put into the queue when dropped.
#[derive(Debug)]
pub(super) struct Line<'a> {
    queue: &'a LineQueue,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = std::mem::take(&mut self.bytes);
        if !line.is_empty() && self.queue.sender.try_send(Message::Line(line)).is_err() {
            self.queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_lines(receiver: &Receiver<Message>, dropped: &AtomicU64, mut sink: impl Write) {
    while let Ok(message) = receiver.recv() {
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(
                sink,
                "{{\"level\":\"WARN\",\"message\":\"log lines dropped because their reader is slow\",\"lines\":{lost}}}"
            );
        }
        match message {
            Message::Line(line) => {
                let _ = sink.write_all(&line);
            }
            Message::Flush(done) => {
                let _ = sink.flush();
                let _ = done.try_send(());
            }
        }
    }
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Lines that may wait for their reader.
const CAPACITY: usize = 1024;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Mutex, MutexGuard};

    use super::*;

    #[test]
    fn lines_arrive_in_order_and_flush_waits_for_them() {
        let (sink, written) = sink();
        let queue = LineQueue::start(sink);
        for number in 0..100 {
            writeln!(queue.make_writer(), "line {number}").unwrap();
        }
        queue.flush(Duration::from_secs(5));
        let text: Vec<u8> = written.try_iter().flatten().collect();
        let expected: String = (0..100).map(|number| format!("line {number}\n")).collect();
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn a_stalled_reader_stalls_nobody_and_the_loss_is_said() {
        static STALL: Mutex<()> = Mutex::new(());
        let stalled = STALL.lock().unwrap();
        let (sink, written) = channel();
        let queue = LineQueue::start(Stalling {
            stall: &STALL,
            sink,
        });
        for _ in 0..CAPACITY * 2 {
            writeln!(queue.make_writer(), "x").unwrap();
        }
        drop::<MutexGuard<'_, ()>>(stalled);
        writeln!(queue.make_writer(), "last").ok();
        queue.flush(Duration::from_secs(5));
        while let Ok(bytes) = written.recv_timeout(Duration::from_secs(5)) {
            if String::from_utf8_lossy(&bytes).contains("log lines dropped") {
                return;
            }
        }
        panic!("nobody said that lines were dropped");
    }

    struct Stalling {
        stall: &'static Mutex<()>,
        sink: Sender<Vec<u8>>,
    }

    impl Write for Stalling {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _open = self.stall.lock().unwrap();
            let _ = self.sink.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sink() -> (Stalling, Receiver<Vec<u8>>) {
        static OPEN: Mutex<()> = Mutex::new(());
        let (sink, written) = channel();
        (Stalling { stall: &OPEN, sink }, written)
    }
}
