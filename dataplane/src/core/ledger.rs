//! The ledger: which Service each address is given to, in the API, before anybody hears of it.
//!
//! Addresses are recorded in blocks of 256, each one object with optimistic locking. An address counts as given
//! only when its block says so. Two controllers that both believe they lead therefore cannot give one address
//! twice: the second write to the block fails, and its writer starts over from what is recorded.
//!
//! ```text
//!   allocator: A → x       record(A, x)                   confirmed(A, x)
//!   ─────────────────► wanted ──► block written, one at a time ──► status of x may be written
//! ```
//!
//! An entry stays until the status of its Service no longer shows the address, so an address is never in two
//! statuses at once either.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::core::{
    family::{Family, number},
    service::ServiceKey,
};

/// Bits of an address within its block.
const BLOCK_BITS: u8 = 8;

/// A block of 256 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId {
    family: Family,
    network: u128,
}

impl BlockId {
    /// The block of `address`.
    pub const fn of(address: IpAddr) -> Self {
        Self {
            family: Family::of(address),
            network: number(address) >> BLOCK_BITS,
        }
    }

    /// Name of its object.
    pub fn name(self) -> String {
        let first = self.family.address(self.network << BLOCK_BITS);
        match first {
            IpAddr::V4(v4) => format!("v4-{v4}"),
            IpAddr::V6(_) => format!("v6-{:030x}", self.network),
        }
    }
}

/// Who has which address of a block.
pub type Entries = BTreeMap<IpAddr, BTreeSet<ServiceKey>>;

/// A block to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockWrite {
    /// Which one.
    pub id: BlockId,
    /// The version that must still be there; `None`: there must be no such object.
    pub version: Option<String>,
    /// All its entries; empty: delete it.
    pub entries: Entries,
}

#[derive(Debug, Clone, Default)]
struct Block {
    /// `None`: there is no object.
    version: Option<String>,
    recorded: Entries,
    writing: Option<Entries>,
}

/// All blocks.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    blocks: BTreeMap<BlockId, Block>,
    wanted: Entries,
    dirty: BTreeSet<BlockId>,
}

impl Ledger {
    /// What the API says of a block; `None`: it is gone. Returns whether somebody else wrote it.
    pub fn handle_block(&mut self, id: BlockId, seen: Option<(String, Entries)>) -> bool {
        let block = self.blocks.entry(id).or_default();
        if block.writing.is_some() {
            // An own write is under way: its answer tells whether this was it.
            return false;
        }
        let (version, entries) = seen.map_or((None, Entries::new()), |(version, entries)| {
            (Some(version), entries)
        });
        // Versions of one object grow; what a watch delivers may be older than the answer to an own write.
        let number = |version: &Option<String>| version.as_ref()?.parse::<u64>().ok();
        let older = matches!((number(&version), number(&block.version)), (Some(new), Some(old)) if new < old);
        if older || block.version == version {
            return false;
        }
        let foreign = block.recorded != entries;
        block.version = version;
        block.recorded = entries;
        self.dirty.insert(id);
        foreign
    }

    /// Sets who should have `address`; whether that is news.
    pub fn want(&mut self, address: IpAddr, services: BTreeSet<ServiceKey>) -> bool {
        if *self.recorded(address) != services {
            self.dirty.insert(BlockId::of(address));
        }
        let before = if services.is_empty() {
            self.wanted.remove(&address)
        } else {
            self.wanted.insert(address, services.clone())
        };
        before.unwrap_or_default() != services
    }

    /// Forgets what anybody wants: it is about to be told again.
    pub fn forget_wishes(&mut self) {
        self.wanted.clear();
    }

    /// Forgets what anybody wants and what is being written.
    pub fn stand_down(&mut self) {
        self.wanted.clear();
        self.dirty.clear();
        for block in self.blocks.values_mut() {
            block.writing = None;
        }
    }

    /// The next block to write; every block has at most one write under way.
    pub fn poll_write(&mut self) -> Option<BlockWrite> {
        loop {
            let id = self.dirty.iter().copied().find(|id| {
                self.blocks
                    .get(id)
                    .is_none_or(|block| block.writing.is_none())
            })?;
            self.dirty.remove(&id);
            let entries = self.entries_of(id);
            let block = self.blocks.entry(id).or_default();
            if entries != block.recorded {
                block.writing = Some(entries.clone());
                return Some(BlockWrite {
                    id,
                    version: block.version.clone(),
                    entries,
                });
            }
        }
    }

    /// A write has succeeded; the object has `version` now, or is gone.
    pub fn handle_written(&mut self, id: BlockId, version: Option<String>) {
        let Some(block) = self.blocks.get_mut(&id) else {
            return;
        };
        if let Some(entries) = block.writing.take() {
            block.recorded = entries;
            block.version = version;
        }
        self.dirty.insert(id);
    }

    /// A write has failed, or it is unknown whether it did: `seen` is what is there now.
    pub fn handle_failed(&mut self, id: BlockId, seen: Option<(String, Entries)>) {
        if let Some(block) = self.blocks.get_mut(&id) {
            block.writing = None;
            block.version = None;
        }
        self.handle_block(id, seen);
        self.dirty.insert(id);
    }

    /// Whether `address` is recorded for `service`, and for nobody else who should not have it.
    pub fn is_confirmed(&self, address: IpAddr, service: &ServiceKey) -> bool {
        let recorded = self.recorded(address);
        let wanted = self.wanted.get(&address);
        recorded.contains(service)
            && recorded
                .iter()
                .all(|one| wanted.is_some_and(|wanted| wanted.contains(one)))
    }

    /// Who is recorded for `address`.
    pub fn recorded(&self, address: IpAddr) -> &BTreeSet<ServiceKey> {
        static NOBODY: BTreeSet<ServiceKey> = BTreeSet::new();
        let block = self.blocks.get(&BlockId::of(address));
        block
            .and_then(|block| block.recorded.get(&address))
            .unwrap_or(&NOBODY)
    }

    /// What is recorded in a block.
    pub fn entries(&self, id: BlockId) -> impl Iterator<Item = (IpAddr, &BTreeSet<ServiceKey>)> {
        let block = self.blocks.get(&id);
        let entries = block.into_iter().flat_map(|block| block.recorded.iter());
        entries.map(|(address, services)| (*address, services))
    }

    /// Every recorded address and who has it.
    pub fn all_recorded(&self) -> impl Iterator<Item = (IpAddr, &BTreeSet<ServiceKey>)> {
        self.blocks.values().flat_map(|block| {
            block
                .recorded
                .iter()
                .map(|(address, services)| (*address, services))
        })
    }

    fn entries_of(&self, id: BlockId) -> Entries {
        let first = id.family.address(id.network << BLOCK_BITS);
        let last = id.family.address(id.network << BLOCK_BITS | 0xff);
        self.wanted
            .range(first..=last)
            .map(|(address, services)| (*address, services.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 10, 0, last])
    }

    fn keys(names: &[&str]) -> BTreeSet<ServiceKey> {
        names
            .iter()
            .map(|name| ServiceKey::parse(name).unwrap())
            .collect()
    }

    #[test]
    fn names_of_blocks_are_names_kubernetes_accepts() {
        assert_eq!(BlockId::of(address(200)).name(), "v4-10.10.0.0");
        let six = BlockId::of("fd00::1234".parse().unwrap()).name();
        assert_eq!(six, "v6-fd0000000000000000000000000012");
    }

    #[test]
    fn an_address_is_confirmed_when_it_is_written_and_not_before() {
        let mut ledger = Ledger::default();
        let one = ServiceKey::new("a", "one");
        ledger.want(address(1), keys(&["a/one"]));
        let write = ledger.poll_write().unwrap();
        assert_eq!(write.version, None);
        assert!(!ledger.is_confirmed(address(1), &one));
        ledger.want(address(2), keys(&["a/two"]));
        assert_eq!(ledger.poll_write(), None, "one write at a time");
        ledger.handle_written(write.id, Some("5".to_owned()));
        assert!(ledger.is_confirmed(address(1), &one));
        let write = ledger.poll_write().unwrap();
        assert_eq!(
            (write.version.as_deref(), write.entries.len()),
            (Some("5"), 2)
        );
    }

    #[test]
    fn what_is_recorded_for_another_is_not_confirmed() {
        let mut ledger = Ledger::default();
        let id = BlockId::of(address(1));
        let old = Entries::from([(address(1), keys(&["a/old"]))]);
        ledger.handle_block(id, Some(("1".to_owned(), old)));
        let new = ServiceKey::new("a", "new");
        ledger.want(address(1), keys(&["a/old", "a/new"]));
        let write = ledger.poll_write().unwrap();
        ledger.handle_written(write.id, Some("2".to_owned()));
        ledger.want(address(1), keys(&["a/new"]));
        assert!(
            !ledger.is_confirmed(address(1), &new),
            "the old one's entry is still there"
        );
        let write = ledger.poll_write().unwrap();
        ledger.handle_written(write.id, Some("3".to_owned()));
        assert!(ledger.is_confirmed(address(1), &new));
    }

    #[test]
    fn a_foreign_write_is_noticed_and_an_own_one_is_not_taken_for_one() {
        let mut ledger = Ledger::default();
        ledger.want(address(1), keys(&["a/one"]));
        let write = ledger.poll_write().unwrap();
        assert!(!ledger.handle_block(write.id, Some(("1".to_owned(), write.entries.clone()))));
        ledger.handle_written(write.id, Some("1".to_owned()));
        assert!(!ledger.handle_block(write.id, Some(("1".to_owned(), write.entries))));
        let late = Some(("0".to_owned(), Entries::new()));
        assert!(!ledger.handle_block(write.id, late));
        let other = Entries::from([(address(9), keys(&["b/other"]))]);
        assert!(ledger.handle_block(write.id, Some(("2".to_owned(), other))));
    }

    #[test]
    fn a_conflict_makes_the_next_write_start_from_what_is_there() {
        let mut ledger = Ledger::default();
        ledger.want(address(1), keys(&["a/one"]));
        let write = ledger.poll_write().unwrap();
        let theirs = Entries::from([(address(1), keys(&["b/other"]))]);
        ledger.handle_failed(write.id, Some(("7".to_owned(), theirs)));
        assert!(
            ledger
                .recorded(address(1))
                .contains(&ServiceKey::new("b", "other"))
        );
        assert!(!ledger.is_confirmed(address(1), &ServiceKey::new("a", "one")));
    }

    #[test]
    fn an_empty_block_is_deleted() {
        let mut ledger = Ledger::default();
        ledger.want(address(1), keys(&["a/one"]));
        let write = ledger.poll_write().unwrap();
        ledger.handle_written(write.id, Some("1".to_owned()));
        ledger.want(address(1), BTreeSet::new());
        let write = ledger.poll_write().unwrap();
        assert!(write.entries.is_empty());
        ledger.handle_written(write.id, None);
        assert_eq!(ledger.poll_write(), None);
    }
}
