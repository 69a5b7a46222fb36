//! Numbers and ids that look random and are the same in every run.
//!
//! Owns the generator (splitmix64). It must never be used for anything that is to be secret.

use uuid::Uuid;

/// A source of numbers and ids: the same seed gives the same ones in the same order.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// Begins anew.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A fresh id.
    pub fn draw(&mut self) -> Uuid {
        let bits = (u128::from(self.number()) << 64) | u128::from(self.number());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }
}
