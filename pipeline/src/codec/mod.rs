//! Coded video: its parameter sets and messages, read without decoding.

mod bits;
pub mod hevc;
pub mod orientation;
pub mod sps;

pub use bits::Bits;
