//! A track's sample entry: the decoder's configuration, and other properties for players.

use chalkstream_formats::Coding;
use chalkstream_formats::boxes::{find, find_path, split, u16_at, u32_at};

use crate::declined::{DeclineReason, declined};
use crate::fmp4::Colour;

/// Size of a visual sample entry's fields before its boxes.
const VISUAL_BYTES: usize = 78;
/// Maximum size of a video decoder's configuration. Parameter sets have some hundred bytes.
const MAX_VIDEO_CONFIG_BYTES: usize = 16 << 10;
/// Maximum size of an `AudioSpecificConfig`. Only one with a channel map is larger, and none of the
/// supported codecs needs that.
const MAX_AUDIO_CONFIG_BYTES: usize = 32;

/// The sample entry of a video track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoSampleEntry {
    /// The coding.
    pub coding: Coding,
    /// The decoder's configuration record.
    pub config: Vec<u8>,
    /// Width and height, in pixels.
    pub size: (u16, u16),
    /// Pixel aspect ratio, if declared.
    pub pixel_shape: Option<(u32, u32)>,
    /// Colour, if declared.
    pub colour: Option<Colour>,
    /// Whether frames must be cropped.
    pub cropped: bool,
}

/// The sample entry of an audio track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioSampleEntry {
    /// The `AudioSpecificConfig`.
    pub config: Vec<u8>,
    /// Number of channels.
    pub channels: u16,
    /// Samples per second.
    pub sample_rate_hz: u16,
}

/// Returns type and content of a track's only sample entry.
pub fn single_entry(stbl: &[u8]) -> Result<([u8; 4], &[u8]), DeclineReason> {
    let several = || {
        declined(
            "several_descriptions",
            "The recording changes its format on the way, so players would stumble.",
        )
    };
    let stsd = find(stbl, b"stsd").ok_or_else(several)?;
    let entries = stsd.get(8..).ok_or_else(several)?;
    if u32_at(stsd, 4) != Some(1) {
        return Err(several());
    }
    split(entries).map(|(kind, content, _)| (kind, content)).ok_or_else(several)
}

/// Parses an `avc1`, `hvc1` or `hev1` entry.
///
/// With `hev1`, parameter sets may be among the samples; only those in the configuration count
/// here.
pub fn parse_video(kind: [u8; 4], entry: &[u8]) -> Result<VideoSampleEntry, DeclineReason> {
    let unreadable = || declined("damaged_index", "The recording's index is damaged.");
    let (coding, configuration) = match &kind {
        b"avc1" => (Coding::Avc, b"avcC"),
        b"hvc1" | b"hev1" => (Coding::Hevc, b"hvcC"),
        _ => return Err(declined("codec", "The picture is in a format that browsers do not play.")),
    };
    let (width, height) =
        (u16_at(entry, 24).ok_or_else(unreadable)?, u16_at(entry, 26).ok_or_else(unreadable)?);
    let boxes = entry.get(VISUAL_BYTES..).ok_or_else(unreadable)?;
    let config = find(boxes, configuration).filter(|config| config.len() <= MAX_VIDEO_CONFIG_BYTES);
    let config = config.ok_or_else(unreadable)?.to_vec();
    let pair = |content: &[u8]| Some((u32_at(content, 0)?, u32_at(content, 4)?));
    let pixel_shape = find(boxes, b"pasp").and_then(pair).filter(|&(across, down)| across > 0 && down > 0);
    let cropped = find(boxes, b"clap").is_some_and(|clap| {
        let is_uncropped = |at: usize, length: u16| {
            let (Some(number), Some(by)) = (u32_at(clap, at), u32_at(clap, at + 4)) else { return false };
            u64::from(number) == u64::from(by) * u64::from(length)
        };
        !is_uncropped(0, width) || !is_uncropped(8, height)
    });
    let colour = find(boxes, b"colr").and_then(colour);
    Ok(VideoSampleEntry { coding, config, size: (width, height), pixel_shape, colour, cropped })
}

/// Parses `colr` in ISO's or QuickTime's form.
fn colour(content: &[u8]) -> Option<Colour> {
    let full_range = match content.get(..4)? {
        b"nclx" => content.get(10)? >> 7 == 1,
        b"nclc" => false,
        _ => return None,
    };
    Some(Colour {
        primaries: u16_at(content, 4)?,
        transfer: u16_at(content, 6)?,
        matrix: u16_at(content, 8)?,
        full_range,
    })
}

/// Parses an `mp4a` entry of AAC-LC or HE-AAC; `None` for any other audio.
pub fn parse_audio(kind: [u8; 4], entry: &[u8]) -> Option<AudioSampleEntry> {
    if &kind != b"mp4a" {
        return None;
    }
    // QuickTime's later versions have more fields before the boxes, and `esds` inside `wave`.
    let boxes = entry.get(28 + [0, 16, 36].get(usize::from(u16_at(entry, 8)?))?..)?;
    let esds = match find(boxes, b"esds") {
        Some(esds) => esds,
        None => find_path(boxes, &[b"wave", b"esds"])?,
    };
    let config = decoder_config(esds.get(4..)?)?;
    let (channels, sample_rate_hz) = audio_config(config)?;
    Some(AudioSampleEntry { config: config.to_vec(), channels, sample_rate_hz })
}

/// Splits off a descriptor with this tag (ISO/IEC 14496-1, 8.3.3): its content, and the bytes after
/// it.
fn descriptor(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (&tag, mut rest) = bytes.split_first()?;
    let mut length = 0_usize;
    for _ in 0..4 {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    (tag == wanted && length <= rest.len()).then(|| rest.split_at(length))
}

/// Finds the decoder's configuration in the elementary stream descriptor of MPEG-4 audio.
fn decoder_config(bytes: &[u8]) -> Option<&[u8]> {
    let (stream, _) = descriptor(bytes, 0x03)?;
    let flags = *stream.get(2)?;
    let mut at = 3;
    if flags & 0x80 != 0 {
        at += 2;
    }
    if flags & 0x40 != 0 {
        at += 1 + usize::from(*stream.get(at)?);
    }
    if flags & 0x20 != 0 {
        at += 2;
    }
    let (decoder, _) = descriptor(stream.get(at..)?, 0x04)?;
    if decoder.first() != Some(&0x40) {
        return None;
    }
    let (config, _) = descriptor(decoder.get(13..)?, 0x05)?;
    (config.len() <= MAX_AUDIO_CONFIG_BYTES).then_some(config)
}

/// Returns channels and sample rate of an `AudioSpecificConfig` of AAC-LC or HE-AAC.
fn audio_config(config: &[u8]) -> Option<(u16, u16)> {
    const RATES: [u16; 13] =
        [0, 0, 0, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
    let bits = |from: usize, count: usize| {
        (from..from + count).try_fold(0_usize, |value, at| {
            Some(value << 1 | usize::from(config.get(at / 8)? >> (7 - at % 8) & 1))
        })
    };
    let kind = bits(0, 5)?;
    let rate = *RATES.get(bits(5, 4)?).filter(|&&rate| rate > 0)?;
    let channels = bits(9, 4)? as u16;
    // 2: AAC-LC; 5: spectral band replication; 29: that and parametric stereo.
    (matches!(kind, 2 | 5 | 29) && (1..=6).contains(&channels)).then_some((channels, rate))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fmp4::{Track, TrackMedia, init_segment, read};

    /// The sample table of a track as we write it.
    fn stbl(media: TrackMedia) -> Vec<u8> {
        let init = init_segment(&Track { timescale: 1000, language: None, media });
        read::find(&init, "moov/trak/mdia/minf/stbl").unwrap().to_vec()
    }

    #[test]
    fn a_video_entry_is_read_back() {
        let colour = Colour { primaries: 5, transfer: 6, matrix: 6, full_range: true };
        let config = vec![1, 77, 0, 30, 0xff];
        let media =
            TrackMedia::CameraAvc { config: config.clone(), width: 640, height: 480, colour: Some(colour) };
        let made = stbl(media);
        let (kind, entry) = single_entry(&made).unwrap();
        let expected = VideoSampleEntry {
            coding: Coding::Avc,
            config,
            size: (640, 480),
            pixel_shape: Some((1, 1)),
            colour: Some(colour),
            cropped: false,
        };
        assert_eq!(parse_video(kind, entry), Ok(expected));
        assert_eq!(parse_video(*b"avc3", entry).unwrap_err().code, "codec");
        assert_eq!(parse_video(kind, &entry[..40]).unwrap_err().code, "damaged_index");
        assert!(parse_audio(kind, entry).is_none());
    }

    #[test]
    fn an_audio_entry_is_read_back_if_players_support_its_aac() {
        let made = |config: &[u8]| {
            let made = stbl(TrackMedia::Aac {
                config: config.to_vec(),
                channels: 2,
                sample_rate_hz: 44_100,
                bitrate_bps: 1,
            });
            let (kind, entry) = single_entry(&made).unwrap();
            parse_audio(kind, entry)
        };
        let plain = made(&[0x12, 0x10]).unwrap();
        assert_eq!((plain.channels, plain.sample_rate_hz), (2, 44_100));
        // HE-AAC of 22.05 kHz that becomes 44.1.
        assert_eq!(made(&[0x2b, 0x92, 0x08, 0x00]).map(|s| s.sample_rate_hz), Some(22_050));
        assert_eq!(made(&[0x0a, 0x10]), None, "AAC Main");
        assert_eq!(made(&[0x12, 0x00]), None, "channels declared elsewhere");
        assert_eq!(made(&[0x12]), None);
    }
}
