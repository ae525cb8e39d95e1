//! Measured renditions: several steps report them, and playlists list them.

use serde::{Deserialize, Serialize};

use crate::media::Rational;

/// A finished video rendition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoRenditionReport {
    /// Name of the rendition.
    pub name: String,
    /// Width, in pixels.
    pub width: u32,
    /// Height, in pixels.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: Rational,
    /// RFC 6381 codec string.
    pub codecs: String,
    /// Measured peak over one segment, in bits per second.
    pub bandwidth_bps: u64,
    /// Measured average, in bits per second.
    pub average_bandwidth_bps: u64,
    /// Path of its media playlist, as announced.
    pub playlist: String,
    /// Number of segments.
    pub segments: u32,
    /// Sum of the segments' durations, in ms.
    pub duration_ms: u64,
}

/// A finished audio rendition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioRenditionReport {
    /// Name of the rendition: `a32` or `a96`.
    pub name: String,
    /// Number of channels.
    pub channels: u32,
    /// RFC 6381 codec string.
    pub codecs: String,
    /// Measured peak over one segment, in bits per second.
    pub bandwidth_bps: u64,
    /// Measured average, in bits per second.
    pub average_bandwidth_bps: u64,
    /// Path of its media playlist, as announced.
    pub playlist: String,
    /// Number of segments.
    pub segments: u32,
    /// Sum of the segments' durations, in ms.
    pub duration_ms: u64,
}
