//! Changes of the packet filter, on a thread of their own: one waits for those that others make (kube-proxy's with
//! thousands of Services), and heartbeats cannot.

use std::{
    io,
    net::Ipv4Addr,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use l2::linux::{
    handover::{Handover, Own, PassOn},
    nftables::Family,
};

use super::passing::TABLES;

/// How long an announcement waits for the packet filter. A node that stands still for longer is soon taken for dead.
const PATIENCE: Duration = Duration::from_millis(50);

enum Order {
    PassOn {
        name: String,
        what: PassOn,
        done: Sender<io::Result<()>>,
    },
    Remove {
        name: String,
        family: Family,
    },
}

/// Takes orders, and does them one after the other; ends with this.
#[derive(Debug)]
pub(super) struct Clerk {
    orders: Sender<Order>,
}

impl Clerk {
    /// With a kernel that can do all of it, and the tables that an earlier process has left.
    ///
    /// # Errors
    /// The kernel's: no packet filter, no `dup`, missing CAP_NET_ADMIN; or there is no thread to be had.
    pub(super) fn engage() -> io::Result<(Self, Vec<(String, Family)>)> {
        let mut kernel = supported()?;
        // Without a list the names may meet: then a table takes the other's place.
        let found = kernel.tables(TABLES).unwrap_or_default();
        let (orders, standing) = channel();
        thread::Builder::new()
            .name("packet-filter".to_owned())
            .spawn(move || work(&mut kernel, &standing))?;
        Ok((Self { orders }, found))
    }

    /// Makes a table, or says why not; when that takes too long it comes later.
    pub(super) fn pass_on(&self, name: String, what: PassOn) -> io::Result<()> {
        let (done, answer) = channel();
        self.order(Order::PassOn { name, what, done });
        answer
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Makes a table anew, some time.
    pub(super) fn replace(&self, name: String, what: PassOn) {
        let (done, _) = channel();
        self.order(Order::PassOn { name, what, done });
    }

    /// Removes a table, some time.
    pub(super) fn remove(&self, name: String, family: Family) {
        self.order(Order::Remove { name, family });
    }

    fn order(&self, order: Order) {
        // A thread that panicked does nothing any more; the tables end by themselves.
        let _ = self.orders.send(order);
    }
}

fn work(kernel: &mut Handover, orders: &Receiver<Order>) {
    for order in orders {
        match order {
            Order::PassOn { name, what, done } => {
                // Who does not wait any longer is not told.
                let _ = done.send(kernel.pass_on(&name, &what));
            }
            Order::Remove { name, family } => {
                if let Err(error) = kernel.remove(&name, family) {
                    tracing::warn!(table = name, %error, "cannot remove a table of the packet filter; it has no effect after the grace");
                }
            }
        }
    }
}

/// A socket to the packet filter of a kernel that can do it, of IPv4 at least; what the kernel needs is loaded.
fn supported() -> io::Result<Handover> {
    const LOOPBACK: u32 = 1;
    let mut kernel = Handover::open()?;
    let name = format!("{TABLES}probe");
    let nothing = PassOn {
        interface: LOOPBACK,
        addresses: Vec::new(),
        predecessor: Ipv4Addr::LOCALHOST.into(),
        predecessor_macs: Vec::new(),
        own: Own::Tracked,
        grace: Duration::from_secs(1),
    };
    kernel.pass_on(&name, &nothing)?;
    kernel.remove(&name, Family::Ipv4)?;
    Ok(kernel)
}
