//! Fragmented MP4: init segments and fragments, written by hand.
//!
//! One track a file, no edit list: media source players ignore edit lists, so every shift (priming, edits, a late
//! start) is already in the time stamps. The first decode time of a segment equals its first presentation time, and no
//! picture is decoded after it is shown ([`decode_times`]), so that nothing starts below zero and nothing has to be shifted
//! back.

mod boxes;
mod codec;
mod fragment;
mod init;
mod times;

#[cfg(test)]
pub(crate) mod read;
#[cfg(test)]
mod tests;

pub use codec::{aac_codec, avc_codec, codec_of_init, hevc_codec};
pub use fragment::{Sample, SampleInfo, fragment, fragment_header, write_fragment};
pub use init::init_segment;
pub use times::decode_times;

/// The only track of a file; its number is always 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Ticks per second of every time in the track: 90,000 (or a multiple of the frame rate) for pictures, the
    /// sample rate for sound.
    pub timescale: u32,
    /// ISO 639-2/T code of three lower-case letters; none for undetermined.
    pub language: Option<[u8; 3]>,
    /// What the track holds.
    pub media: Media,
}

/// What a track holds, with the decoder's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// H.264, samples length-prefixed with square pixels in BT.709.
    Avc {
        /// The whole `AVCDecoderConfigurationRecord` (the encoder's `codec_data`).
        config: Vec<u8>,
        /// Width, in pixels.
        width: u16,
        /// Height, in pixels.
        height: u16,
    },
    /// H.264 as a camera made it: its own colour, or none told here.
    CameraAvc {
        /// The whole `AVCDecoderConfigurationRecord`.
        config: Vec<u8>,
        /// Width, in pixels.
        width: u16,
        /// Height, in pixels.
        height: u16,
        /// Colour, where the camera told it.
        colour: Option<Colour>,
    },
    /// H.265 as a camera made it, its parameter sets in the configuration alone (`hvc1`).
    CameraHevc {
        /// The whole `HEVCDecoderConfigurationRecord`.
        config: Vec<u8>,
        /// Width, in pixels.
        width: u16,
        /// Height, in pixels.
        height: u16,
        /// Colour, where the camera told it.
        colour: Option<Colour>,
    },
    /// AAC, samples without ADTS headers.
    Aac {
        /// The `AudioSpecificConfig`.
        config: Vec<u8>,
        /// Channels.
        channels: u16,
        /// Samples per second.
        sample_rate_hz: u16,
        /// Mean bits per second aimed at.
        bitrate_bps: u32,
    },
}

/// Colour as ISO/IEC 23091-2 numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// `ColourPrimaries`; 1 is BT.709.
    pub primaries: u16,
    /// `TransferCharacteristics`.
    pub transfer: u16,
    /// `MatrixCoefficients`.
    pub matrix: u16,
    /// Whether luma uses all values.
    pub full_range: bool,
}

impl Colour {
    /// Standard definition's successor, limited range: what all our own renditions are.
    pub const BT709: Self = Self { primaries: 1, transfer: 1, matrix: 1, full_range: false };
}

impl Track {
    /// RFC 6381 codec string, for `CODECS`.
    pub fn codecs(&self) -> String {
        match &self.media {
            Media::Avc { config, .. } | Media::CameraAvc { config, .. } => avc_codec(config),
            Media::CameraHevc { config, .. } => hevc_codec(config),
            Media::Aac { config, .. } => aac_codec(config),
        }
    }
}
