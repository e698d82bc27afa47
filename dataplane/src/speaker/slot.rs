//! Orders to the segment thread. Of each kind only the last one counts, so nothing ever queues up.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::briefing::Brief;

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// What the API says.
    pub(super) brief: Option<Brief>,
    /// Keys of the heartbeats.
    pub(super) keys: Option<BTreeMap<String, Vec<u8>>>,
    /// Hand everything over within this time.
    pub(super) drain: Option<Duration>,
}

/// Giving end; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    order: Arc<Mutex<Order>>,
    bell: Arc<UnixStream>,
}

/// Taking end.
#[derive(Debug)]
pub(super) struct Standing {
    order: Arc<Mutex<Order>>,
    bell: UnixStream,
}

/// Makes both ends.
pub(super) fn slot() -> io::Result<(Orders, Standing)> {
    let (ring, bell) = UnixStream::pair()?;
    ring.set_nonblocking(true)?;
    bell.set_nonblocking(true)?;
    let order = Arc::new(Mutex::new(Order::default()));
    let orders = Orders {
        order: Arc::clone(&order),
        bell: Arc::new(ring),
    };
    Ok((orders, Standing { order, bell }))
}

impl Orders {
    pub(super) fn brief(&self, brief: Brief) {
        self.change(|order| order.brief = Some(brief));
    }

    pub(super) fn keys(&self, keys: BTreeMap<String, Vec<u8>>) {
        self.change(|order| order.keys = Some(keys));
    }

    pub(super) fn drain(&self, within: Duration) {
        self.change(|order| order.drain = Some(within));
    }

    fn change(&self, change: impl FnOnce(&mut Order)) {
        change(&mut self.order.lock().unwrap_or_else(PoisonError::into_inner));
        // A full bell is ringing already.
        let _ = (&*self.bell).write(&[1]);
    }
}

impl Standing {
    /// Takes what there is to do.
    pub(super) fn take(&mut self) -> Order {
        let mut rings = [0; 64];
        while matches!((&self.bell).read(&mut rings), Ok(64)) {}
        std::mem::take(&mut *self.order.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsFd for Standing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
