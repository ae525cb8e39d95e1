//! Coded video: what its parameter sets and messages say, read without decoding.

mod bits;
pub mod hevc;
pub mod orientation;
pub mod sps;

pub use bits::Bits;
