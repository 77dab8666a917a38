//! Seeded random numbers, the same on every machine and in every version, so that a campaign is
//! repeatable.

use std::ops::RangeInclusive;

/// A stream of random numbers (`SplitMix64`).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of many independent streams of a seed.
    pub fn stream(seed: u64, number: u64) -> Self {
        let mut mixed = Self(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        Self(mixed.number())
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in the range. Ranges are small against 2^64, so the bias is negligible.
    pub fn in_range(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.number() % (range.end() - range.start() + 1)
    }

    /// True with this chance in percent.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.in_range(1..=100) <= chance
    }

    /// A random item of a list, which must not be empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let last = items.len() as u64 - 1;
        #[expect(clippy::cast_possible_truncation, reason = "it is below the length")]
        let at = self.in_range(0..=last) as usize;
        &items[at]
    }

    /// A random item, chosen by weight.
    pub fn weighted<T: Copy>(&mut self, items: &[(T, u64)]) -> T {
        let total: u64 = items.iter().map(|(_, weight)| weight).sum();
        let mut at = self.in_range(0..=total - 1);
        for (item, weight) in items {
            if at < *weight {
                return *item;
            }
            at -= weight;
        }
        items[0].0
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_repeats_its_numbers_and_its_streams_differ() {
        let take = |mut random: Random| [random.number(), random.number()];
        assert_eq!(take(Random::stream(1, 2)), take(Random::stream(1, 2)));
        assert_ne!(take(Random::stream(1, 2)), take(Random::stream(1, 3)));
        assert_ne!(take(Random::stream(1, 2)), take(Random::stream(2, 2)));
    }

    #[test]
    fn weights_and_ranges_are_respected() {
        let mut random = Random::new(7);
        for _ in 0..1_000 {
            assert!((3..=5).contains(&random.in_range(3..=5)));
            assert_ne!(random.weighted(&[('a', 1), ('b', 0), ('c', 2)]), 'b');
        }
        assert!(!random.percent(0) && random.percent(100));
    }
}
