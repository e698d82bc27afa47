//! A table of the packet filter that goes with its process.
//!
//! It is the socket's (Linux 5.12): the kernel removes it when the process ends, however it ends, and nobody else can change or flush it.
//! Older kernels have a table like any other: it stays behind when the process is killed, and goes with `nft flush ruleset`.

use std::collections::BTreeSet;
use std::io;

use super::expression::Set;
use super::nftables::{Batch, Family, Key, Tables};

/// What a table holds.
pub(super) struct Contents {
    pub(super) family: Family,
    /// Adds its sets, chains and rules to a table without any.
    pub(super) rules: fn(&mut Batch, Family),
    /// All of its sets, each with what is in it; filled in this order.
    pub(super) sets: Vec<(Set, Vec<Key>)>,
}

/// Makes, changes and removes the table of a name, in each family.
#[derive(Debug)]
pub(super) struct OwnTable {
    tables: Tables,
    name: String,
    /// Whether the table is this socket's; `None` before the first one.
    owned: Option<bool>,
    /// Where there is one, as far as this process knows.
    made: BTreeSet<Family>,
}

impl OwnTable {
    pub(super) fn open(name: impl Into<String>) -> io::Result<Self> {
        Ok(Self {
            tables: Tables::open()?,
            name: name.into(),
            owned: None,
            made: BTreeSet::new(),
        })
    }

    /// Whether the table goes with this process and nobody else can remove it. If not, it has to be set again now and then.
    pub(super) fn is_owned(&self) -> bool {
        self.owned == Some(true)
    }

    /// No table of the family any more; that there was none is no fault.
    pub(super) fn remove(&mut self, family: Family) -> io::Result<()> {
        self.made.remove(&family);
        match self.tables.commit(Batch::without(family, &self.name)) {
            // A kernel without the family has no such table either.
            Err(error)
                if is_any_of(
                    &error,
                    &[libc::EOPNOTSUPP, libc::EAFNOSUPPORT, libc::ENOENT],
                ) =>
            {
                Ok(())
            }
            result => result,
        }
    }

    /// This in place of everything else. A table that is there keeps its rules, with their counters.
    pub(super) fn set(&mut self, contents: &Contents) -> io::Result<()> {
        let family = contents.family;
        if self.made.contains(&family) {
            let mut emptied = Batch::of(family, &self.name);
            for (set, _) in &contents.sets {
                emptied.flush(set.name);
            }
            match self.begin_with(emptied, contents) {
                // Somebody has removed it.
                Err(error) if is_any_of(&error, &[libc::ENOENT]) => {}
                result => return result,
            }
        }
        let owned = self.make(contents)?;
        self.owned = Some(owned);
        self.made.insert(family);
        Ok(())
    }

    /// A table in place of whatever had its name; whether the kernel has made it this socket's own.
    fn make(&mut self, contents: &Contents) -> io::Result<bool> {
        let family = contents.family;
        if self.owned != Some(false) {
            let mut table = Batch::afresh_and_owned(family, &self.name);
            (contents.rules)(&mut table, family);
            match self.begin_with(table, contents) {
                // Perhaps a kernel before 5.12.
                Err(error)
                    if self.owned.is_none()
                        && is_any_of(&error, &[libc::EOPNOTSUPP, libc::EINVAL]) => {}
                result => return result.map(|()| true),
            }
        }
        let mut table = Batch::afresh(family, &self.name);
        (contents.rules)(&mut table, family);
        self.begin_with(table, contents).map(|()| false)
    }

    /// Fills the empty sets of a table after a batch that makes them so. What does not fit into one send follows in others.
    fn begin_with(&mut self, mut batch: Batch, contents: &Contents) -> io::Result<()> {
        let mut bytes = 0;
        for (set, keys) in &contents.sets {
            let each = keys.first().map_or(1, Key::len_in_a_message);
            for some in keys.chunks((MOST_IN_A_MESSAGE / each).max(1)) {
                if bytes + some.len() * each > MOST_IN_A_SEND {
                    let next = Batch::of(contents.family, &self.name);
                    self.tables.commit(std::mem::replace(&mut batch, next))?;
                    bytes = 0;
                }
                bytes += some.len() * each;
                batch.elements(set.name, set.number, some.iter().cloned());
            }
        }
        self.tables.commit(batch)
    }

    /// As on a kernel that does not know of owners.
    #[cfg(test)]
    pub(super) fn without_owner(mut self) -> Self {
        self.owned = Some(false);
        self
    }
}

fn is_any_of(error: &io::Error, codes: &[i32]) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}

/// Half of what the kernel takes (64 KiB).
const MOST_IN_A_MESSAGE: usize = 32 << 10;
/// Half of what a socket may send at once by default (212 992 bytes).
const MOST_IN_A_SEND: usize = 96 << 10;
