//! Renditions as they were made and measured: what several steps report, and playlists list.

use serde::{Deserialize, Serialize};

use crate::media::Rational;

/// One video rendition as made and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoRenditionReport {
    /// Its name.
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
    /// Measured mean, in bits per second.
    pub average_bandwidth_bps: u64,
    /// Path of its media playlist, as announced.
    pub playlist: String,
    /// Number of segments.
    pub segments: u32,
    /// Sum of the segments' durations, in ms.
    pub duration_ms: u64,
}

/// One audio rendition as made and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioRenditionReport {
    /// Its name: `a32` or `a96`.
    pub name: String,
    /// Channels.
    pub channels: u32,
    /// RFC 6381 codec string.
    pub codecs: String,
    /// Measured peak over one segment, in bits per second.
    pub bandwidth_bps: u64,
    /// Measured mean, in bits per second.
    pub average_bandwidth_bps: u64,
    /// Path of its media playlist, as announced.
    pub playlist: String,
    /// Number of segments.
    pub segments: u32,
    /// Sum of the segments' durations, in ms.
    pub duration_ms: u64,
}
