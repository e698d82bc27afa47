//! The packet filter as the clerk needs it: tables that pass on, and the guard. A kernel may have the one without the other.

use std::{io, net::Ipv4Addr};

use l2::linux::{
    guard::{Guard, Guarded},
    handover::{Handover, Own},
    nftables::Family,
};

use super::passing::{Change, TABLES};

/// The table of what nobody translated.
const GUARD: &str = "lbnode-speaker-guard";

/// What can be changed.
pub(super) trait Filter {
    /// Makes, changes or removes a table that passes on.
    fn change(&mut self, change: &Change) -> io::Result<()>;

    /// Guards this from now on, in place of everything else.
    fn guard(&mut self, what: &Guarded) -> io::Result<()>;

    /// Whether nobody else can remove the guard.
    fn is_owned(&self) -> bool;
}

/// What this kernel can do of it.
#[derive(Debug)]
pub(super) struct Kernel {
    handover: Option<Handover>,
    guard: Option<Guard>,
}

impl Kernel {
    /// With the tables by which an earlier process passes on, `None` if this kernel cannot do that. What it cannot do is told.
    pub(super) fn engage() -> (Self, Option<Vec<(String, Family)>>) {
        let (handover, found) = match handover() {
            Ok((handover, found)) => (Some(handover), Some(found)),
            Err(error) => {
                tracing::warn!(%error, "connections that are under way when an address is handed over are reset: the packet filter needs CAP_NET_ADMIN, and nf_tables with `dup` and `ct`");
                (None, None)
            }
        };
        let guard = match Guard::open(GUARD) {
            Ok(guard) => Some(guard),
            Err(error) => {
                tracing::warn!(%error, "what kube-proxy does not translate goes on to the segment again: the kernel has no packet filter");
                None
            }
        };
        (Self { handover, guard }, found)
    }
}

/// With a kernel that can do it, of IPv4 at least.
fn handover() -> io::Result<(Handover, Vec<(String, Family)>)> {
    let mut handover = Handover::open()?;
    handover.probe(
        &format!("{TABLES}probe"),
        Ipv4Addr::LOCALHOST.into(),
        Own::Tracked,
    )?;
    // Without a list the names may meet: then a table takes the other's place.
    let mut found = handover.tables(TABLES).unwrap_or_default();
    found.retain(|(name, _)| name != GUARD);
    Ok((handover, found))
}

impl Filter for Kernel {
    fn change(&mut self, change: &Change) -> io::Result<()> {
        let Some(handover) = &mut self.handover else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        match change {
            Change::PassOn { name, what } | Change::PassOnLess { name, what } => {
                handover.pass_on(name, what)
            }
            Change::Remove { name, family } => handover.remove(name, *family),
        }
    }

    fn guard(&mut self, what: &Guarded) -> io::Result<()> {
        match &mut self.guard {
            Some(guard) => guard.set(what),
            // That was told.
            None => Ok(()),
        }
    }

    fn is_owned(&self) -> bool {
        self.guard.as_ref().is_none_or(Guard::is_owned)
    }
}
