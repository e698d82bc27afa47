//! A table of the packet filter that goes with its process.
//!
//! It is the socket's (Linux 5.12): the kernel removes it when the process ends, however it ends, and nobody else can change or flush it.
//! Older kernels have a table like any other: it stays behind when the process is killed, and goes with `nft flush ruleset`.

use std::collections::BTreeSet;
use std::io;

use super::expression::Set;
use super::nftables::{Batch, Family, Tables};
use super::set_keys::Key;

/// What a table holds.
pub(super) struct Contents {
    pub(super) family: Family,
    /// Adds its sets, chains and rules to a table without any.
    pub(super) rules: fn(&mut Batch, Family),
    /// All of its sets, each with what is in it; filled in this order.
    pub(super) sets: Vec<(Set, Vec<Key>)>,
}

/// What a set loses and gets at once.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) gone: Vec<Key>,
    pub(super) new: Vec<Key>,
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
    /// Where there is none: it was removed, and nobody has made another.
    removed: BTreeSet<Family>,
}

impl OwnTable {
    pub(super) fn open(name: impl Into<String>) -> io::Result<Self> {
        Ok(Self {
            tables: Tables::open()?,
            name: name.into(),
            owned: None,
            made: BTreeSet::new(),
            removed: BTreeSet::new(),
        })
    }

    /// Whether the table goes with this process and nobody else can remove it. If not, it has to be set again now and then.
    pub(super) fn is_owned(&self) -> bool {
        self.owned == Some(true)
    }

    /// No table of the family any more; that there was none is no fault.
    pub(super) fn remove(&mut self, family: Family) -> io::Result<()> {
        if self.removed.contains(&family) {
            return Ok(());
        }
        self.made.remove(&family);
        match self.tables.commit(Batch::without(family, &self.name)) {
            // A kernel without the family has no such table either.
            Err(error)
                if !is_any_of(
                    &error,
                    &[libc::EOPNOTSUPP, libc::EAFNOSUPPORT, libc::ENOENT],
                ) =>
            {
                return Err(error);
            }
            _ => {}
        }
        self.removed.insert(family);
        Ok(())
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
        self.make(contents)
    }

    /// A table with these rules, which stays as it is when it is there; whether it is a new one, whose sets are empty.
    pub(super) fn make_sure(
        &mut self,
        family: Family,
        rules: fn(&mut Batch, Family),
    ) -> io::Result<bool> {
        let mut is_there = self.made.contains(&family);
        if is_there && !self.is_owned() {
            is_there = self.tables.names(family)?.contains(&self.name);
        }
        if !is_there {
            self.make(&Contents {
                family,
                rules,
                sets: Vec::new(),
            })?;
        }
        Ok(!is_there)
    }

    /// Changes a set of a table that is there. What one difference says comes into force at once, unless it is a very long one: then what is
    /// gone goes before. All of them together do so when they fit into one send.
    pub(super) fn change(
        &mut self,
        family: Family,
        set: Set,
        differences: impl IntoIterator<Item = Difference>,
    ) -> io::Result<()> {
        let mut waiting = Difference::default();
        for difference in differences {
            if waiting.len() + difference.len() > MOST_IN_A_SEND {
                self.commit(family, set, std::mem::take(&mut waiting))?;
            }
            if difference.len() > MOST_IN_A_SEND {
                for part in difference.in_parts() {
                    self.commit(family, set, part)?;
                }
            } else {
                waiting.gone.extend(difference.gone);
                waiting.new.extend(difference.new);
            }
        }
        self.commit(family, set, waiting)
    }

    fn commit(&mut self, family: Family, set: Set, difference: Difference) -> io::Result<()> {
        if difference.gone.is_empty() && difference.new.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::of(family, &self.name);
        for some in messages(&difference.gone) {
            batch.without_elements(set.name, some.iter().cloned());
        }
        for some in messages(&difference.new) {
            batch.elements(set.name, set.number, some.iter().cloned());
        }
        self.tables.commit(batch)
    }

    /// What is there is not known any more: the next table takes its place.
    pub(super) fn forget(&mut self, family: Family) {
        self.made.remove(&family);
    }

    /// A table in place of whatever had its name.
    fn make(&mut self, contents: &Contents) -> io::Result<()> {
        self.removed.remove(&contents.family);
        let owned = self.afresh(contents)?;
        self.owned = Some(owned);
        self.made.insert(contents.family);
        Ok(())
    }

    /// Whether the kernel has made it this socket's own.
    fn afresh(&mut self, contents: &Contents) -> io::Result<bool> {
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
            for some in messages(keys) {
                let more = len(some);
                if bytes + more > MOST_IN_A_SEND {
                    let next = Batch::of(contents.family, &self.name);
                    self.tables.commit(std::mem::replace(&mut batch, next))?;
                    bytes = 0;
                }
                bytes += more;
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

impl Difference {
    fn len(&self) -> usize {
        len(&self.gone) + len(&self.new)
    }

    /// What is gone first.
    fn in_parts(self) -> Vec<Self> {
        let mut parts = Vec::new();
        for some in messages(&self.gone) {
            parts.push(Self {
                gone: some.to_vec(),
                new: Vec::new(),
            });
        }
        for some in messages(&self.new) {
            parts.push(Self {
                gone: Vec::new(),
                new: some.to_vec(),
            });
        }
        parts
    }
}

/// Bytes of keys in messages.
fn len(keys: &[Key]) -> usize {
    keys.iter().map(Key::len_in_a_message).sum()
}

/// As many keys as fit into a message each; those of a set are of one length, or nearly so.
fn messages(keys: &[Key]) -> std::slice::Chunks<'_, Key> {
    let longest = keys.iter().map(Key::len_in_a_message).max();
    keys.chunks((MOST_IN_A_MESSAGE / longest.unwrap_or(1)).max(1))
}

pub(super) fn is_any_of(error: &io::Error, codes: &[i32]) -> bool {
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&code))
}

/// Half of what the kernel takes (64 KiB).
const MOST_IN_A_MESSAGE: usize = 32 << 10;
/// Half of what a socket may send at once by default (212 992 bytes).
const MOST_IN_A_SEND: usize = 96 << 10;
