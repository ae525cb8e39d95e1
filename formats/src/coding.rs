//! How compressed video samples are laid out.

/// A video coding whose samples are made of NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// H.264.
    Avc,
    /// H.265.
    Hevc,
}

/// How the samples of a video track are divided into NAL units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NalFraming {
    /// The coding.
    pub coding: Coding,
    /// Bytes of the length field before each unit: 1 to 4.
    pub length_bytes: u32,
}
