//! Where a thread keeps its sessions: in chunks, so that growth copies nothing and a wave of sessions gives its
//! memory back when it is over.

/// Names a value; stays invalid for ever once the value is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// Generations fit into so many bits, so that a key fits into an epoll token beside other things.
    const GENERATION_BITS: u32 = 24;

    /// The key in 56 bits.
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The key in the lower 56 bits of `bits`.
    pub(crate) fn from_bits(bits: u64) -> Self {
        let word = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        Self {
            index: word(bits),
            generation: word(bits >> 32) & Self::last_generation(),
        }
    }

    fn last_generation() -> u32 {
        (1 << Self::GENERATION_BITS) - 1
    }
}

/// Values by key.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Option<Box<Chunk<T>>>>,
    /// No chunk before this one has room.
    roomy: usize,
    len: usize,
    generation: u32,
}

#[derive(Debug)]
struct Chunk<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u16>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

const CHUNK: usize = 256;

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            roomy: 0,
            len: 0,
            generation: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        let full = |chunk: &Option<Box<Chunk<T>>>| {
            chunk
                .as_ref()
                .is_some_and(|c| c.free.is_empty() && c.slots.len() == CHUNK)
        };
        while self.chunks.get(self.roomy).is_some_and(full) {
            self.roomy += 1;
        }
        if self.roomy == self.chunks.len() {
            self.chunks.push(None);
        }
        self.generation = self.generation.wrapping_add(1) & Key::last_generation();
        self.len += 1;
        let generation = self.generation;
        let chunk = self.chunks[self.roomy].get_or_insert_with(|| {
            Box::new(Chunk {
                slots: Vec::with_capacity(CHUNK),
                free: Vec::new(),
            })
        });
        let slot = Slot {
            generation,
            value: Some(value),
        };
        let position = match chunk.free.pop() {
            Some(position) => {
                chunk.slots[usize::from(position)] = slot;
                usize::from(position)
            }
            None => {
                chunk.slots.push(slot);
                chunk.slots.len() - 1
            }
        };
        let index = u32::try_from(self.roomy * CHUNK + position).unwrap_or(u32::MAX);
        Key { index, generation }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slot_mut(key)?;
        slot.value.as_mut()
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let value = self.slot_mut(key)?.value.take()?;
        self.len -= 1;
        let (chunk_index, position) = place(key);
        let chunk = self.chunks[chunk_index].as_mut()?;
        chunk.free.push(u16::try_from(position).unwrap_or(u16::MAX));
        if chunk.free.len() == chunk.slots.len() && chunk_index > 0 {
            self.chunks[chunk_index] = None;
            while self.chunks.last().is_some_and(Option::is_none) {
                self.chunks.pop();
            }
        }
        self.roomy = self.roomy.min(chunk_index);
        Some(value)
    }

    /// The keys of all values that satisfy `wanted`.
    pub(crate) fn keys_where(&self, mut wanted: impl FnMut(&T) -> bool) -> Vec<Key> {
        let mut keys = Vec::new();
        for (number, chunk) in self.chunks.iter().enumerate() {
            for (position, slot) in chunk.iter().flat_map(|c| c.slots.iter().enumerate()) {
                if slot.value.as_ref().is_some_and(&mut wanted) {
                    let index = u32::try_from(number * CHUNK + position).unwrap_or(u32::MAX);
                    keys.push(Key {
                        index,
                        generation: slot.generation,
                    });
                }
            }
        }
        keys
    }

    fn slot_mut(&mut self, key: Key) -> Option<&mut Slot<T>> {
        let (chunk, position) = place(key);
        let slot = self
            .chunks
            .get_mut(chunk)?
            .as_mut()?
            .slots
            .get_mut(position)?;
        (slot.generation == key.generation).then_some(slot)
    }
}

fn place(key: Key) -> (usize, usize) {
    let index = key.index as usize;
    (index / CHUNK, index % CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_removed_value_finds_nothing() {
        let mut slab = Slab::new();
        let old = slab.insert("old");
        assert_eq!(slab.remove(old), Some("old"));
        let new = slab.insert("new");
        assert_eq!(slab.get_mut(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.get_mut(new), Some(&mut "new"));
        assert_eq!(Key::from_bits(new.to_bits() | 7 << 56), new);
    }

    #[test]
    fn memory_of_a_wave_is_given_back() {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..10_000).map(|i| slab.insert(i)).collect();
        assert_eq!(slab.keys_where(|i| i % 1000 == 0).len(), 10);
        for key in &keys[1..] {
            slab.remove(*key);
        }
        assert_eq!((slab.len, slab.chunks.len()), (1, 1));
        let key = slab.insert(7);
        assert_eq!(slab.get_mut(key), Some(&mut 7));
        assert_eq!(slab.get_mut(keys[0]), Some(&mut 0));
    }

    #[test]
    fn holes_are_filled_first() {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..CHUNK * 3).map(|i| slab.insert(i)).collect();
        for key in &keys[CHUNK..CHUNK * 2] {
            slab.remove(*key);
        }
        for i in 0..CHUNK {
            slab.insert(i);
        }
        assert_eq!((slab.len, slab.chunks.len()), (CHUNK * 3, 3));
    }
}
