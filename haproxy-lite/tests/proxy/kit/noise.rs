//! Bytes and numbers that look random and can be made again.

use std::sync::LazyLock;

/// A stream of bytes; the same start gives the same stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noise(pub(crate) u64);

/// The stream repeats after this many bytes: a prime, so that no buffer's size divides it and a lost or doubled
/// buffer shows.
const PERIOD: u64 = 4_194_301;
/// Most bytes at once.
const MOST: usize = 1 << 20;

static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut random = Random(7);
    let period: Vec<u8> = (0..PERIOD)
        .map(|_| random.next().to_le_bytes()[3])
        .collect();
    let mut block = period.clone();
    block.extend_from_slice(&period[..MOST]);
    block
});

impl Noise {
    /// The next bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> &'static [u8] {
        let at = usize::try_from(self.0 % PERIOD).unwrap();
        self.0 = (self.0 % PERIOD) + length as u64;
        &BLOCK[at..at + length]
    }
}

/// Numbers.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }
}
