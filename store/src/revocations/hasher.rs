//! Hashes names of targets for a table in memory. They are hashes or UUIDs already, so two
//! multiplications with secret factors do: the default hasher costs a request ten times as much.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The secret of this process.
#[derive(Clone, Copy)]
pub(super) struct NameHashers {
    secret: [u64; 2],
}

impl Default for NameHashers {
    fn default() -> Self {
        let random = RandomState::new();
        Self { secret: [random.hash_one(0), random.hash_one(1)] }
    }
}

impl BuildHasher for NameHashers {
    type Hasher = NameHasher;

    fn build_hasher(&self) -> NameHasher {
        NameHasher { secret: self.secret, hash: 0 }
    }
}

/// The hasher of one name.
pub(super) struct NameHasher {
    secret: [u64; 2],
    hash: u64,
}

impl NameHasher {
    /// Multiplies to 128 bits and folds them: each bit of the result depends on all of both.
    fn mix(&mut self, a: u64, b: u64) {
        let product = u128::from(a ^ self.secret[0] ^ self.hash) * u128::from(b ^ self.secret[1]);
        self.hash = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(16) {
            let mut padded = [0; 16];
            padded[..chunk.len()].copy_from_slice(chunk);
            self.write_u128(u128::from_le_bytes(padded));
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.mix(value as u64, (value >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}
