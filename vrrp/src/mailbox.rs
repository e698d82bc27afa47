//! A bounded queue into a thread that waits on file descriptors.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Sending end; clones share the queue.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    queue: SyncSender<T>,
    bell: Arc<UnixStream>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            bell: Arc::clone(&self.bell),
        }
    }
}

/// Receiving end.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    queue: Receiver<T>,
    bell: UnixStream,
}

/// Makes a queue for so many messages.
pub(crate) fn mailbox<T>(capacity: usize) -> io::Result<(Sender<T>, Mailbox<T>)> {
    let (ring, bell) = UnixStream::pair()?;
    ring.set_nonblocking(true)?;
    bell.set_nonblocking(true)?;
    let (sender, receiver) = sync_channel(capacity);
    Ok((
        Sender {
            queue: sender,
            bell: Arc::new(ring),
        },
        Mailbox {
            queue: receiver,
            bell,
        },
    ))
}

impl<T> Sender<T> {
    /// Puts a message in and wakes the reader; never blocks. False: the queue is full or has no reader.
    pub(crate) fn send(&self, message: T) -> bool {
        let sent = match self.queue.try_send(message) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        };
        // A full bell is ringing already.
        let _ = (&*self.bell).write(&[1]);
        sent
    }
}

impl<T> Mailbox<T> {
    /// Takes everything that is there.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        let mut rings = [0; 64];
        while matches!((&self.bell).read(&mut rings), Ok(64)) {}
        self.queue.try_iter()
    }
}

impl<T> AsFd for Mailbox<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
