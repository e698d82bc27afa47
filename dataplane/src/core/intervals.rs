//! Disjoint intervals of numbers with logarithmic lowest, take and give: the free list of a pool.

use std::collections::BTreeMap;

/// A set of numbers kept as maximal disjoint intervals.
///
/// Every operation costs the logarithm of the number of intervals, plus the intervals that it swallows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntervalSet {
    /// First number of each interval to its last.
    intervals: BTreeMap<u128, u128>,
}

impl IntervalSet {
    /// Whether there is no number in the set.
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// The lowest number.
    pub fn lowest(&self) -> Option<u128> {
        self.intervals.keys().next().copied()
    }

    /// Whether `number` is in the set.
    pub fn contains(&self, number: u128) -> bool {
        self.interval_of(number).is_some()
    }

    /// Adds `first..=last`, joining it with what it touches.
    pub fn insert(&mut self, first: u128, last: u128) {
        let (mut first, mut last) = (first, last);
        if let Some((&before, &end)) = self.intervals.range(..=first).next_back()
            && end.saturating_add(1) >= first
        {
            first = before;
            last = last.max(end);
        }
        while let Some((&next, &end)) = self.intervals.range(first..).next() {
            if next > last.saturating_add(1) {
                break;
            }
            last = last.max(end);
            self.intervals.remove(&next);
        }
        self.intervals.insert(first, last);
    }

    /// Takes `first..=last` out; what was not in stays out.
    pub fn remove(&mut self, first: u128, last: u128) {
        if let Some((&before, &end)) = self.intervals.range(..first).next_back()
            && end >= first
        {
            self.intervals.insert(before, first - 1);
            if end > last {
                self.intervals.insert(last + 1, end);
                return;
            }
        }
        while let Some((&next, &end)) = self.intervals.range(first..=last).next() {
            self.intervals.remove(&next);
            if end > last {
                self.intervals.insert(last + 1, end);
            }
        }
    }

    /// The intervals from the lowest up.
    pub fn iter(&self) -> impl Iterator<Item = (u128, u128)> + '_ {
        self.intervals.iter().map(|(&first, &last)| (first, last))
    }

    /// The parts of `first..=last` that are in the set.
    pub fn within(&self, first: u128, last: u128) -> impl Iterator<Item = (u128, u128)> + '_ {
        let start = self.interval_of(first).map_or(first, |(start, _)| start);
        self.intervals
            .range(start..=last)
            .map(move |(&low, &high)| (low.max(first), high.min(last)))
    }

    fn interval_of(&self, number: u128) -> Option<(u128, u128)> {
        let (&first, &last) = self.intervals.range(..=number).next_back()?;
        (number <= last).then_some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn numbers(set: &IntervalSet) -> BTreeSet<u128> {
        set.iter().flat_map(|(first, last)| first..=last).collect()
    }

    #[test]
    fn the_ends_of_the_number_space_do_not_overflow() {
        let mut set = IntervalSet::default();
        set.insert(0, u128::MAX);
        set.remove(u128::MAX, u128::MAX);
        set.remove(0, 0);
        assert_eq!(set.lowest(), Some(1));
        set.insert(0, 0);
        set.insert(u128::MAX, u128::MAX);
        assert_eq!(set.iter().collect::<Vec<_>>(), [(0, u128::MAX)]);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_set(steps in prop::collection::vec((any::<bool>(), 0u128..60, 0u128..12), 0..60)) {
            let (mut set, mut plain) = (IntervalSet::default(), BTreeSet::new());
            for (insert, first, length) in steps {
                let last = first + length;
                if insert {
                    set.insert(first, last);
                    plain.extend(first..=last);
                } else {
                    set.remove(first, last);
                    plain.retain(|number| *number < first || *number > last);
                }
                prop_assert_eq!(&numbers(&set), &plain);
                prop_assert_eq!(set.lowest(), plain.first().copied());
                let pairs: Vec<_> = set.iter().collect();
                prop_assert!(pairs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "not maximal");
                let inside: BTreeSet<_> = set.within(10, 30).flat_map(|(a, b)| a..=b).collect();
                prop_assert_eq!(inside, plain.range(10..=30).copied().collect::<BTreeSet<_>>());
            }
        }
    }
}
