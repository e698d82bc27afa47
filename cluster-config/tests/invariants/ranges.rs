//! What holds for range sets. Shared with the fuzz target `ranges`.

use cluster_config::net::{AddressSet, IpRange, IpSet};

/// The algebra over steps out of a text, one a line: `+RANGE`, `-RANGE`, `&RANGE`.
pub(crate) fn hold(text: &str) {
    let mut set = IpSet::new();
    for line in text.lines().take(64) {
        let Some((step, rest)) = line.split_at_checked(1) else {
            continue;
        };
        let Ok(range) = rest.parse::<IpRange>() else {
            continue;
        };
        assert_eq!(range.to_string().parse(), Ok(range));
        let single: IpSet = [range].into_iter().collect();
        let before = set.clone();
        match step {
            "+" => set.insert(range),
            "-" => set.remove(range),
            "&" => set = set.intersection(&single),
            _ => continue,
        }
        let same = match step {
            "+" => before.union(&single),
            "-" => before.subtract(&single),
            _ => single.intersection(&before),
        };
        assert_eq!(set, same);
        assert_eq!(set.subtract(&single).union(&set.intersection(&single)), set);
        assert_eq!(set.overlaps(&single), !set.intersection(&single).is_empty());
    }
    let mut last = None;
    for range in set.ranges() {
        // Disjoint, in order, not adjacent.
        assert!(range.first() <= range.last());
        if let Some(last) = last {
            assert!(last < range.first());
        }
        last = Some(range.last());
        assert!(set.contains(range.first()) && set.contains(range.last()));
    }
    for avoid in [false, true] {
        let pool = AddressSet::new(set.clone(), avoid);
        let size = pool.size();
        for index in [0, 1, size / 2, size.saturating_sub(1)] {
            if let Some(address) = pool.nth(index) {
                assert!(pool.contains(address));
            } else {
                assert!(index >= size || size == u128::MAX);
            }
        }
        if size < u128::MAX {
            assert_eq!(pool.nth(size), None);
        }
    }
}
