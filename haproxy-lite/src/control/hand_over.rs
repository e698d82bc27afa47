//! Listening sockets go from a running proxy to its successor, so that an upgrade refuses nobody.
//!
//! ```text
//!  successor                                   predecessor (on its admin socket)
//!     │ ── hand-over ─────────────────────────────► │
//!     │ ◄── one line of JSON per front end, with sockets
//!     │ ◄── {"done":true}                           │   goes on serving
//!     │     checks servers until one is up          │
//!     │     listens on the sockets                  │
//!     │ ── took-over ─────────────────────────────► │   stops accepting, ends after its last session
//! ```

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::{MOST_DESCRIPTORS, receive_with_descriptors, send_with_descriptors};

/// What the sockets of a message are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Item {
    /// Listeners of a front end.
    Frontend { name: String, address: SocketAddr },
    /// The listener of the admin server.
    Admin { address: SocketAddr },
    /// That was all.
    Done,
}

/// Sockets and what they are.
pub(crate) type Parcel = (Item, Vec<OwnedFd>);

/// A running proxy that has handed its sockets over and waits to be relieved.
#[derive(Debug)]
pub(crate) struct Predecessor {
    stream: UnixStream,
    parcels: Vec<Parcel>,
}

impl Predecessor {
    /// Asks whoever answers on `path`; `None`: nobody does.
    ///
    /// # Errors
    /// Somebody answers and does not hand over.
    pub(crate) fn ask(path: &Path) -> io::Result<Option<Self>> {
        let Ok(stream) = UnixStream::connect(path) else {
            return Ok(None);
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        io::Write::write_all(&mut &stream, b"hand-over\n")?;
        let mut parcels = Vec::new();
        loop {
            // One message per item: a peek would not see where the next begins, so each is answered.
            let mut buffer = [0; 1024];
            let (read, sockets) = receive_with_descriptors(stream.as_fd(), &mut buffer)?;
            let line = buffer[..read].strip_suffix(b"\n").ok_or_else(unexpected)?;
            let item: Item = serde_json::from_slice(line).map_err(|_| unexpected())?;
            io::Write::write_all(&mut &stream, b"next\n")?;
            if item == Item::Done {
                return Ok(Some(Self { stream, parcels }));
            }
            parcels.push((item, sockets));
        }
    }

    /// The sockets of a front end; empty if there are none.
    pub(crate) fn take_frontend(&mut self, name: &str, address: SocketAddr) -> Vec<OwnedFd> {
        let wanted = Item::Frontend {
            name: name.to_owned(),
            address,
        };
        self.take(|item| *item == wanted)
    }

    /// The socket of the admin server at this address.
    pub(crate) fn take_admin(&mut self, address: SocketAddr) -> Option<OwnedFd> {
        self.take(|item| *item == Item::Admin { address }).pop()
    }

    /// Tells it to stop accepting.
    pub(crate) fn relieve(self) {
        // If it is gone already, that is what was wanted.
        let _ = io::Write::write_all(&mut &self.stream, b"took-over\n");
    }

    fn take(&mut self, wanted: impl Fn(&Item) -> bool) -> Vec<OwnedFd> {
        let mut taken = Vec::new();
        for (_, sockets) in self.parcels.iter_mut().filter(|(item, _)| wanted(item)) {
            taken.append(sockets);
        }
        taken
    }
}

/// Sends one item; the receiver says `next` before the following one.
///
/// # Errors
/// The successor is gone.
pub(crate) fn send(stream: &UnixStream, item: &Item, sockets: &[OwnedFd]) -> io::Result<()> {
    let line = format!("{}\n", serde_json::to_string(item)?);
    let most = sockets.len().min(MOST_DESCRIPTORS);
    let borrowed: Vec<_> = sockets[..most].iter().map(OwnedFd::as_fd).collect();
    let sent = send_with_descriptors(stream.as_fd(), line.as_bytes(), &borrowed)?;
    if sent == line.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}

fn unexpected() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the admin socket's owner does not hand over",
    )
}

const PATIENCE: Duration = Duration::from_secs(3);
