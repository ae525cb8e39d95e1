//! Fragmented MP4: init segments and fragments, written by hand.
//!
//! Each file has one track and no edit list, which players with Media Source Extensions ignore.
//! Every shift (priming, edits, a late start) is in the time stamps instead. The first decode time
//! of a segment equals its first presentation time, and no frame is decoded after its presentation
//! ([`decode_times`]). So no time is negative, and none has to be shifted back.

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
pub use fragment::{FragmentSample, SampleInfo, fragment, fragment_header, write_fragment};
pub use init::init_segment;
pub use times::decode_times;

/// The only track of a file; its number is always 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Ticks per second of every time in the track. For video, 90,000 or a multiple of the frame
    /// rate; for audio, the sample rate.
    pub timescale: u32,
    /// ISO 639-2/T code of three lower-case letters; `None` if undetermined.
    pub language: Option<[u8; 3]>,
    /// Content of the track.
    pub media: TrackMedia,
}

/// Content of a track, with the decoder's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackMedia {
    /// H.264 of square pixels in BT.709, in length-prefixed units.
    Avc {
        /// The `AVCDecoderConfigurationRecord` (the encoder's `codec_data`).
        config: Vec<u8>,
        /// Width, in pixels.
        width: u16,
        /// Height, in pixels.
        height: u16,
    },
    /// H.264 as a camera made it, in its own colour.
    CameraAvc {
        /// The `AVCDecoderConfigurationRecord`.
        config: Vec<u8>,
        /// Width, in pixels.
        width: u16,
        /// Height, in pixels.
        height: u16,
        /// Colour, if the camera declared it.
        colour: Option<Colour>,
    },
    /// H.265 as a camera made it, with parameter sets in the configuration alone (`hvc1`).
    CameraHevc {
        /// The `HEVCDecoderConfigurationRecord`.
        config: Vec<u8>,
        /// Width, in pixels.
        width: u16,
        /// Height, in pixels.
        height: u16,
        /// Colour, if the camera declared it.
        colour: Option<Colour>,
    },
    /// AAC without ADTS headers.
    Aac {
        /// The `AudioSpecificConfig`.
        config: Vec<u8>,
        /// Number of channels.
        channels: u16,
        /// Samples per second.
        sample_rate_hz: u16,
        /// Target average, in bits per second.
        bitrate_bps: u32,
    },
}

/// Colour, in the numbers of ISO/IEC 23091-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// `ColourPrimaries`; 1 is BT.709.
    pub primaries: u16,
    /// `TransferCharacteristics`.
    pub transfer: u16,
    /// `MatrixCoefficients`.
    pub matrix: u16,
    /// Whether samples use the full range.
    pub full_range: bool,
}

impl Colour {
    /// BT.709 of limited range, as in all our own renditions.
    pub const BT709: Self = Self { primaries: 1, transfer: 1, matrix: 1, full_range: false };
}

impl Track {
    /// Returns the RFC 6381 codec string, for `CODECS`.
    pub fn codecs(&self) -> String {
        match &self.media {
            TrackMedia::Avc { config, .. } | TrackMedia::CameraAvc { config, .. } => avc_codec(config),
            TrackMedia::CameraHevc { config, .. } => hevc_codec(config),
            TrackMedia::Aac { config, .. } => aac_codec(config),
        }
    }
}
