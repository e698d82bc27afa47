//! The ledger: which Service each address is given to, in the API, before anybody hears of it.
//!
//! Addresses are recorded in blocks of 16, each one object with optimistic locking. An address counts as given
//! only when its block says so. Two controllers that both believe they lead therefore cannot give one address
//! twice: the second write to the block fails, and its writer starts over from what is recorded.
//!
//! ```text
//!   allocator: A → x       record(A, x)                   confirmed(A, x)
//!   ─────────────────► wanted ──► block written, one at a time ──► status of x may be written
//! ```
//!
//! An entry is a permit with a version: the address may appear in the status of that Service by a write on top of
//! exactly that version. So it is known when a permit can no longer be used, however late a write of somebody else
//! may arrive: the Service has been seen at a later version, without the address. Only then does an entry go, and
//! only when nobody else's is left does the next Service get the address: it is never in two statuses at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::core::{
    family::{Family, number},
    service::ServiceKey,
};

/// Bits of an address within its block: few, as the API server takes longer over a larger object, and the whole of it is written
/// with each change (with 90 entries twice as long as with ten).
const BLOCK_BITS: u8 = 4;
const WITHIN_BLOCK: u128 = (1 << BLOCK_BITS) - 1;

/// A block of 16 addresses.
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

    fn range(self) -> std::ops::RangeInclusive<IpAddr> {
        let first = self.network << BLOCK_BITS;
        self.family.address(first)..=self.family.address(first | WITHIN_BLOCK)
    }

    /// The block with this name.
    pub fn parse(name: &str) -> Option<Self> {
        let address = match name.split_once('-')? {
            ("v4", text) => text.parse::<std::net::Ipv4Addr>().ok()?.into(),
            ("v6", text) => {
                let network = u128::from_str_radix(text, 16).ok()?;
                Family::V6.address(network.checked_mul(1 << BLOCK_BITS)?)
            }
            _ => return None,
        };
        let id = Self::of(address);
        (id.name() == name).then_some(id)
    }

    /// Name of its object.
    pub fn name(self) -> String {
        let first = self.family.address(self.network << BLOCK_BITS);
        match first {
            IpAddr::V4(v4) => format!("v4-{v4}"),
            IpAddr::V6(_) => format!("v6-{:031x}", self.network),
        }
    }
}

/// Services that have an address, and the version of each that the address may be written on.
pub type Holders = BTreeMap<ServiceKey, String>;

/// Who has which address of a block.
pub type Entries = BTreeMap<IpAddr, Holders>;

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
    /// What the blocks should say.
    wanted: Entries,
    /// Who is meant to have each address; the others in `wanted` are on their way out.
    given: BTreeMap<IpAddr, BTreeSet<ServiceKey>>,
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

    /// Sets who should have `address`, and who `kept` it because it may still be in their status; whether that
    /// is news.
    pub fn want(&mut self, address: IpAddr, given: Holders, kept: Holders) -> bool {
        let names: BTreeSet<ServiceKey> = given.keys().cloned().collect();
        let mut holders = kept;
        holders.extend(given);
        if *self.recorded(address) != holders {
            self.dirty.insert(BlockId::of(address));
        }
        let given_before = replace(&mut self.given, address, names.clone());
        let before = replace(&mut self.wanted, address, holders.clone());
        before != holders || given_before != names
    }

    /// Forgets what anybody wants: it is about to be told again.
    pub fn forget_wishes(&mut self) {
        self.wanted.clear();
        self.given.clear();
    }

    /// Forgets what anybody wants and what is being written.
    pub fn stand_down(&mut self) {
        self.forget_wishes();
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
        let block = self.blocks.entry(id).or_default();
        block.writing = None;
        (block.version, block.recorded) = match seen {
            Some((version, entries)) => (Some(version), entries),
            None => (None, Entries::new()),
        };
        self.dirty.insert(id);
    }

    /// Whether `service` may be written with `address` on top of `version`: it is recorded for that, and nobody is
    /// recorded who should not have the address.
    pub fn permits(&self, address: IpAddr, service: &ServiceKey, version: &str) -> bool {
        let permit = self.recorded(address).get(service);
        permit.is_some_and(|permit| permit == version) && !self.is_contested(address)
    }

    /// Whether somebody is recorded for `address` who should not have it.
    pub fn is_contested(&self, address: IpAddr) -> bool {
        let given = self.given.get(&address);
        let mut recorded = self.recorded(address).keys();
        recorded.any(|one| !given.is_some_and(|given| given.contains(one)))
    }

    /// Who is recorded for `address`.
    pub fn recorded(&self, address: IpAddr) -> &Holders {
        static NOBODY: Holders = Holders::new();
        let block = self.blocks.get(&BlockId::of(address));
        block
            .and_then(|block| block.recorded.get(&address))
            .unwrap_or(&NOBODY)
    }

    /// Addresses of a block that are recorded or should be.
    pub fn addresses(&self, id: BlockId) -> BTreeSet<IpAddr> {
        let recorded = self
            .blocks
            .get(&id)
            .into_iter()
            .flat_map(|block| block.recorded.keys());
        recorded
            .chain(self.wanted.range(id.range()).map(|(address, _)| address))
            .copied()
            .collect()
    }

    /// Every recorded address and who has it.
    pub fn all_recorded(&self) -> impl Iterator<Item = (IpAddr, &Holders)> {
        self.blocks.values().flat_map(|block| {
            block
                .recorded
                .iter()
                .map(|(address, services)| (*address, services))
        })
    }

    fn entries_of(&self, id: BlockId) -> Entries {
        self.wanted
            .range(id.range())
            .map(|(address, services)| (*address, services.clone()))
            .collect()
    }
}

/// Sets what belongs to `address`, nothing if it is empty; what was there.
fn replace<T: Default + PartialEq>(map: &mut BTreeMap<IpAddr, T>, address: IpAddr, value: T) -> T {
    let before = if value == T::default() {
        map.remove(&address)
    } else {
        map.insert(address, value)
    };
    before.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 10, 0, last])
    }

    fn key(name: &str) -> ServiceKey {
        ServiceKey::parse(name).unwrap()
    }

    fn holders(names: &[(&str, &str)]) -> Holders {
        names
            .iter()
            .map(|(name, version)| (key(name), (*version).to_owned()))
            .collect()
    }

    fn want(ledger: &mut Ledger, last: u8, given: &[(&str, &str)]) {
        ledger.want(address(last), holders(given), Holders::new());
    }

    #[test]
    fn names_of_blocks_are_names_kubernetes_accepts() {
        assert_eq!(BlockId::of(address(200)).name(), "v4-10.10.0.192");
        let six = BlockId::of("fd00::1234".parse().unwrap()).name();
        assert_eq!(six, "v6-fd00000000000000000000000000123");
        for address in [address(200), "fd00::1234".parse().unwrap()] {
            assert_eq!(
                BlockId::parse(&BlockId::of(address).name()),
                Some(BlockId::of(address))
            );
        }
        for name in [
            "",
            "v4-10.0.0.1",
            "v6-12",
            "v6-ffffffffffffffffffffffffffffffff",
            "x",
        ] {
            assert_eq!(BlockId::parse(name), None, "{name}");
        }
    }

    #[test]
    fn an_address_is_permitted_when_it_is_recorded_and_not_before() {
        let mut ledger = Ledger::default();
        want(&mut ledger, 1, &[("a/one", "3")]);
        let write = ledger.poll_write().unwrap();
        assert_eq!(write.version, None);
        assert!(!ledger.permits(address(1), &key("a/one"), "3"));
        want(&mut ledger, 2, &[("a/two", "4")]);
        assert_eq!(ledger.poll_write(), None, "one write at a time");
        ledger.handle_written(write.id, Some("5".to_owned()));
        assert!(ledger.permits(address(1), &key("a/one"), "3"));
        assert!(
            !ledger.permits(address(1), &key("a/one"), "4"),
            "a permit is for one version"
        );
        let write = ledger.poll_write().unwrap();
        assert_eq!(
            (write.version.as_deref(), write.entries.len()),
            (Some("5"), 2)
        );
    }

    #[test]
    fn an_address_that_another_may_still_show_is_not_permitted() {
        let mut ledger = Ledger::default();
        let id = BlockId::of(address(1));
        let old = Entries::from([(address(1), holders(&[("a/old", "1")]))]);
        ledger.handle_block(id, Some(("1".to_owned(), old)));
        let new = key("a/new");
        ledger.want(
            address(1),
            holders(&[("a/new", "2")]),
            holders(&[("a/old", "1")]),
        );
        let write = ledger.poll_write().unwrap();
        ledger.handle_written(write.id, Some("2".to_owned()));
        assert!(
            !ledger.permits(address(1), &new, "2"),
            "the old one is kept"
        );
        want(&mut ledger, 1, &[("a/new", "2")]);
        assert!(
            !ledger.permits(address(1), &new, "2"),
            "the old one's entry is still there"
        );
        let write = ledger.poll_write().unwrap();
        ledger.handle_written(write.id, Some("3".to_owned()));
        assert!(ledger.permits(address(1), &new, "2"));
    }

    #[test]
    fn a_foreign_write_is_noticed_and_an_own_one_is_not_taken_for_one() {
        let mut ledger = Ledger::default();
        want(&mut ledger, 1, &[("a/one", "1")]);
        let write = ledger.poll_write().unwrap();
        assert!(!ledger.handle_block(write.id, Some(("1".to_owned(), write.entries.clone()))));
        ledger.handle_written(write.id, Some("1".to_owned()));
        assert!(!ledger.handle_block(write.id, Some(("1".to_owned(), write.entries))));
        let late = Some(("0".to_owned(), Entries::new()));
        assert!(!ledger.handle_block(write.id, late));
        let other = Entries::from([(address(9), holders(&[("b/other", "1")]))]);
        assert!(ledger.handle_block(write.id, Some(("2".to_owned(), other))));
    }

    #[test]
    fn a_conflict_makes_the_next_write_start_from_what_is_there() {
        let mut ledger = Ledger::default();
        want(&mut ledger, 1, &[("a/one", "1")]);
        let write = ledger.poll_write().unwrap();
        let theirs = Entries::from([(address(1), holders(&[("b/other", "1")]))]);
        ledger.handle_failed(write.id, Some(("7".to_owned(), theirs)));
        assert!(ledger.recorded(address(1)).contains_key(&key("b/other")));
        assert!(!ledger.permits(address(1), &key("a/one"), "1"));
        assert!(ledger.is_contested(address(1)));
        ledger.handle_failed(write.id, None);
        assert!(
            ledger.recorded(address(1)).is_empty(),
            "the block is gone, and its entries are"
        );
    }

    #[test]
    fn an_empty_block_is_deleted() {
        let mut ledger = Ledger::default();
        want(&mut ledger, 1, &[("a/one", "1")]);
        let write = ledger.poll_write().unwrap();
        ledger.handle_written(write.id, Some("1".to_owned()));
        want(&mut ledger, 1, &[]);
        let write = ledger.poll_write().unwrap();
        assert!(write.entries.is_empty());
        ledger.handle_written(write.id, None);
        assert_eq!(ledger.poll_write(), None);
    }
}
