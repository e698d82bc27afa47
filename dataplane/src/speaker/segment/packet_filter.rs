//! The packet filter as the clerk needs it: tables that pass on, and the watch over what this node answers for. A kernel may have the one
//! without the other.

use std::{io, net::Ipv4Addr};

use l2::linux::{
    guard::{Guard, Guarded},
    handover::{Handover, Own},
    nftables::Family,
    source_ranges::{Doorkeeper, SourceRanges},
};

use super::passing::{Change, TABLES};

/// The table of what nobody translated.
const GUARD: &str = "lbnode-speaker-guard";
/// The table of who may connect.
const DOOR: &str = "lbnode-speaker-source-ranges";

/// What holds for the addresses that this node answers for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Watch {
    /// What nobody translated ends here.
    pub(super) guarded: Guarded,
    /// Who may connect.
    pub(super) source_ranges: SourceRanges,
}

/// What a watch is made of; each has a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Guard,
    SourceRanges,
}

impl Part {
    pub(super) const ALL: [Self; 2] = [Self::Guard, Self::SourceRanges];
}

/// What can be changed.
pub(super) trait Filter {
    /// Makes, changes or removes a table that passes on.
    fn change(&mut self, change: &Change) -> io::Result<()>;

    /// A part of this holds from now on, in place of everything else; what has not changed is not touched.
    fn watch(&mut self, part: Part, what: &Watch) -> io::Result<()>;

    /// Whether nobody else can remove the watch's tables.
    fn is_owned(&self) -> bool;
}

/// What this kernel can do of it.
#[derive(Debug)]
pub(super) struct Kernel {
    handover: Option<Handover>,
    guard: Option<Guard>,
    doorkeeper: Option<Doorkeeper>,
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
        let (guard, doorkeeper) = match Guard::open(GUARD)
            .and_then(|guard| Ok((guard, Doorkeeper::open(DOOR)?)))
        {
            Ok((guard, doorkeeper)) => (Some(guard), Some(doorkeeper)),
            Err(error) => {
                tracing::warn!(%error, "what kube-proxy does not translate goes on to the segment again, and source ranges are left to kube-proxy: the kernel has no packet filter");
                (None, None)
            }
        };
        let kernel = Self {
            handover,
            guard,
            doorkeeper,
        };
        (kernel, found)
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
    found.retain(|(name, _)| name != GUARD && name != DOOR);
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

    fn watch(&mut self, part: Part, what: &Watch) -> io::Result<()> {
        // That there is none was told.
        match part {
            Part::Guard => match &mut self.guard {
                Some(guard) => guard.set(&what.guarded),
                None => Ok(()),
            },
            Part::SourceRanges => match &mut self.doorkeeper {
                Some(doorkeeper) => doorkeeper.set(&what.source_ranges),
                None => Ok(()),
            },
        }
    }

    fn is_owned(&self) -> bool {
        self.guard.as_ref().is_none_or(Guard::is_owned)
            && self.doorkeeper.as_ref().is_none_or(Doorkeeper::is_owned)
    }
}
