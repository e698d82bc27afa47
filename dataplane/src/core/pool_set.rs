//! All pools together: the order in which they are tried, and whose an address is.

use std::{collections::BTreeMap, net::IpAddr};

use crate::core::{
    family::{Family, number},
    intervals::IntervalSet,
    pool::{Pool, PoolId},
    range,
};

/// All pools; of two that hold one address the older has it.
#[derive(Debug, Clone, Default)]
pub struct PoolSet {
    /// In the order in which they are tried.
    pools: Vec<Member>,
    /// First number of each interval of each family, to its last and the index of its pool.
    owners: BTreeMap<(Family, u128), (u128, usize)>,
}

#[derive(Debug, Clone)]
struct Member {
    pool: Pool,
    addresses: BTreeMap<Family, IntervalSet>,
    overlaps: Vec<Overlap>,
}

/// Addresses a pool does not have because an older one has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The older pool.
    pub with: PoolId,
    /// One of the addresses.
    pub example: IpAddr,
}

impl PoolSet {
    /// Sorts out which pool has which addresses.
    pub fn new(pools: Vec<Pool>) -> Self {
        let mut members: Vec<Member> = pools.into_iter().map(Member::new).collect();
        members.sort_by(|a, b| (a.pool.created, &a.pool.id).cmp(&(b.pool.created, &b.pool.id)));
        for younger in 1..members.len() {
            let (older, rest) = members.split_at_mut(younger);
            if let Some(member) = rest.first_mut() {
                for other in older.iter() {
                    member.yield_to(other);
                }
            }
        }
        members.sort_by(|a, b| a.pool.rank().cmp(&b.pool.rank()));
        let mut owners = BTreeMap::new();
        for (index, member) in members.iter().enumerate() {
            for (&family, set) in &member.addresses {
                owners.extend(
                    set.iter()
                        .map(|(first, last)| ((family, first), (last, index))),
                );
            }
        }
        Self {
            pools: members,
            owners,
        }
    }

    /// Whether there is no pool.
    pub fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    /// The pools in the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = &Pool> {
        self.pools.iter().map(|member| &member.pool)
    }

    /// The pool that has `address`, and its place in the order.
    pub fn position_of(&self, address: IpAddr) -> Option<usize> {
        let (family, bits) = (Family::of(address), number(address));
        let (_, &(last, index)) = self
            .owners
            .range((family, 0)..=(family, bits))
            .next_back()?;
        (bits <= last).then_some(index)
    }

    /// The pool at place `index` of the order.
    pub fn get(&self, index: usize) -> Option<&Pool> {
        self.pools.get(index).map(|member| &member.pool)
    }

    /// The pool that has `address`.
    pub fn pool_of(&self, address: IpAddr) -> Option<&Pool> {
        self.position_of(address).and_then(|index| self.get(index))
    }

    /// The addresses of `family` that the pool at place `index` has.
    pub fn addresses(&self, index: usize, family: Family) -> Option<&IntervalSet> {
        self.pools.get(index)?.addresses.get(&family)
    }

    /// What the pool at place `index` had to leave to older pools.
    pub fn overlaps(&self, index: usize) -> &[Overlap] {
        self.pools.get(index).map_or(&[], |member| &member.overlaps)
    }

    /// How many addresses of `family` the pool at place `index` can give in all.
    pub fn capacity(&self, index: usize, family: Family) -> u128 {
        let Some(member) = self.pools.get(index) else {
            return 0;
        };
        let avoid = member.pool.avoid_buggy;
        member.addresses.get(&family).map_or(0, |set| {
            set.iter().fold(0, |sum: u128, (first, last)| {
                sum.saturating_add(range::count(family, first, last, avoid))
            })
        })
    }
}

impl Member {
    fn new(pool: Pool) -> Self {
        let mut addresses: BTreeMap<Family, IntervalSet> = BTreeMap::new();
        for range in &pool.ranges {
            let (first, last) = range.bounds();
            addresses
                .entry(range.family())
                .or_default()
                .insert(first, last);
        }
        for range in &pool.excluded {
            let (first, last) = range.bounds();
            addresses
                .entry(range.family())
                .or_default()
                .remove(first, last);
        }
        Self {
            pool,
            addresses,
            overlaps: Vec::new(),
        }
    }

    fn yield_to(&mut self, older: &Self) {
        for (&family, set) in &mut self.addresses {
            let Some(theirs) = older.addresses.get(&family) else {
                continue;
            };
            let shared: Vec<_> = theirs
                .iter()
                .flat_map(|(first, last)| set.within(first, last))
                .collect();
            if let Some(&(first, _)) = shared.first() {
                let overlap = Overlap {
                    with: older.pool.id.clone(),
                    example: family.address(first),
                };
                self.overlaps.push(overlap);
            }
            for (first, last) in shared {
                set.remove(first, last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::core::samples;

    fn pool(name: &str, created: i64, priority: u32, ranges: &[&str]) -> Pool {
        Pool {
            created,
            priority: NonZeroU32::new(priority),
            ..samples::pool(name, ranges)
        }
    }

    fn names(set: &PoolSet) -> Vec<&str> {
        set.iter().map(|pool| pool.id.name.as_str()).collect()
    }

    #[test]
    fn priority_then_scope_then_name_whatever_the_order_of_arrival() {
        let mut scoped = pool("scoped", 0, 0, &[]);
        scoped.scope.namespaces.insert("web".to_owned());
        let pools = [
            pool("b", 0, 0, &[]),
            pool("a", 0, 0, &[]),
            scoped,
            pool("last", 0, 20, &[]),
            pool("first", 0, 10, &[]),
        ];
        for turn in 0..pools.len() {
            let mut rotated = pools.to_vec();
            rotated.rotate_left(turn);
            assert_eq!(
                names(&PoolSet::new(rotated)),
                ["first", "last", "scoped", "a", "b"]
            );
        }
    }

    #[test]
    fn the_older_of_two_overlapping_pools_has_the_addresses() {
        let set = PoolSet::new(vec![
            pool("young", 2, 1, &["10.0.0.0/24"]),
            pool("old", 1, 2, &["10.0.0.16/28"]),
        ]);
        let owner = |text: &str| {
            set.pool_of(text.parse().unwrap())
                .map(|pool| pool.id.name.as_str())
        };
        assert_eq!(owner("10.0.0.15"), Some("young"));
        assert_eq!(owner("10.0.0.16"), Some("old"));
        assert_eq!(owner("10.0.0.31"), Some("old"));
        assert_eq!(owner("10.0.0.32"), Some("young"));
        assert_eq!(owner("10.0.1.0"), None);
        assert_eq!(owner("fd00::1"), None);
        assert_eq!(set.capacity(0, Family::V4), 240);
        assert_eq!(set.overlaps(0)[0].example.to_string(), "10.0.0.16");
        assert!(set.overlaps(1).is_empty());
    }

    #[test]
    fn excluded_addresses_belong_to_nobody() {
        let mut pool = pool("p", 0, 0, &["10.0.0.0/29", "fd00::/64"]);
        pool.excluded = vec!["10.0.0.2-10.0.0.3".parse().unwrap()];
        let set = PoolSet::new(vec![pool]);
        assert!(set.pool_of("10.0.0.2".parse().unwrap()).is_none());
        assert_eq!(set.capacity(0, Family::V4), 6);
        assert_eq!(set.capacity(0, Family::V6), 1 << 64);
    }
}
