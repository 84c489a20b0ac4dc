//! The core's own small generator (xorshift64*). Seeded once, so that a run can be repeated; good
//! enough to spread load, never to keep a secret.

/// A reproducible stream of numbers.
#[derive(Debug, Clone)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: mix(seed) | 1 }
    }

    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number in `0..bound`; 0 when the bound is 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        // Multiply-shift of the upper half: no division, and no bias that matters below 2^32.
        (((self.next() >> 32) * bound as u64) >> 32) as usize
    }
}

/// Spreads the bits of a number (splitmix64's finisher); also used to hash block ids.
pub(super) fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stream() {
        let (mut one, mut two) = (Random::new(7), Random::new(7));
        assert!((0..100).all(|_| one.next() == two.next()));
    }

    #[test]
    fn numbers_stay_below_their_bound_and_cover_it() {
        let mut random = Random::new(1);
        let mut seen = [false; 5];
        (0..1000).for_each(|_| seen[random.below(5)] = true);
        assert_eq!(seen, [true; 5]);
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
    }
}
