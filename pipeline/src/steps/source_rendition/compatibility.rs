//! Decides from a file's index whether browsers can play its video as it is: all of them (H.264) or
//! some (H.265). Pure.

use crate::codec::hevc;
use crate::codec::sps::{self, SequenceParameterSet};
use crate::declined::{DeclineReason, declined};
use crate::fmp4::{Colour, TrackMedia};
use crate::media::{Hdr, MediaInfo, padded_end_ms};
use crate::mp4::sample_entry::VideoSampleEntry;
use chalkstream_formats::Coding;

/// Highest level accepted: 4K at 60 frames per second.
const MAX_LEVEL: u8 = 52;

/// Checks what `inspect` found about the file.
pub fn check_file(media: &MediaInfo) -> Result<(), DeclineReason> {
    if media.within.is_some() {
        return Err(declined("inside_photo", "The recording is a part of a photo."));
    }
    if !media.parts.is_empty() {
        return Err(declined("appended", "The file has several recordings, one after the other."));
    }
    if media.container != "mp4" {
        return Err(declined("container", "Only MP4 and MOV recordings can be played as they are."));
    }
    let video = media
        .video
        .as_ref()
        .ok_or_else(|| declined("no_picture", "The recording has no picture, only sound."))?;
    if !matches!(video.codec.as_str(), "h264" | "hevc") {
        return Err(declined("codec", "The picture is in a format that not every browser plays."));
    }
    if video.rotation_degrees != 0 || video.mirrored || video.oriented_by_frame {
        return Err(declined(
            "turned",
            "The picture is stored turned or mirrored, and not every player sets it right.",
        ));
    }
    if video.changes_size {
        return Err(declined("several_descriptions", "The recording changes its format on the way."));
    }
    if video.interlaced {
        return Err(interlaced());
    }
    // The source's tracks cannot be extended.
    let audio_end_ms = media.audio.as_ref().map_or(0, |track| track.end_ms);
    if padded_end_ms(video.end_ms, audio_end_ms) > video.end_ms {
        return Err(declined(
            "ends_early",
            "The picture ends long before the sound, and players would stop there.",
        ));
    }
    // H.265 is offered only to players that can display it.
    if video.hdr != Hdr::None && video.codec == "h264" {
        return Err(hdr());
    }
    Ok(())
}

fn hdr() -> DeclineReason {
    declined("hdr", "The video is HDR, which not every screen can show.")
}

fn interlaced() -> DeclineReason {
    declined("interlaced", "The video is interlaced, which browsers do not deinterlace.")
}

/// Checks a video track by its sample entry. Returns its description for the init segment, and the
/// bytes of a NAL unit's length. `displayed_size` is the size upright and with square pixels.
pub fn check_video(
    entry: &VideoSampleEntry,
    displayed_size: (u32, u32),
) -> Result<(TrackMedia, usize), DeclineReason> {
    let stretched = entry.pixel_shape.is_some_and(|(across, down)| across != down);
    let (media, length_bytes, square) = match entry.coding {
        Coding::Avc => {
            let (sequence, length_bytes, config) = avc(entry)?;
            let square = sequence.pixel_shape.is_none_or(|(across, down)| across == down)
                && is_near((sequence.width, sequence.height), displayed_size);
            let media = TrackMedia::CameraAvc {
                config,
                width: sequence.width as u16,
                height: sequence.height as u16,
                colour: sequence.colour.or(entry.colour),
            };
            (media, length_bytes, square)
        }
        Coding::Hevc => {
            let length_bytes = hevc::check_config(&entry.config)?;
            let (width, height) = entry.size;
            let square = is_near((width.into(), height.into()), displayed_size);
            let colour: Option<Colour> = entry.colour;
            let config = hevc::hvc1_config(&entry.config);
            (TrackMedia::CameraHevc { config, width, height, colour }, length_bytes, square)
        }
    };
    if stretched || !square {
        return Err(declined(
            "pixel_shape",
            "The picture is stored stretched, and not every player sets it right.",
        ));
    }
    if entry.cropped {
        return Err(declined(
            "cropped",
            "A part of the picture is to be cut away, and not every player does so.",
        ));
    }
    Ok((media, length_bytes))
}

/// Whether the displayed size is the coded one. Other boxes of the file may state a different size.
fn is_near(coded: (u32, u32), displayed_size: (u32, u32)) -> bool {
    coded.0.abs_diff(displayed_size.0) <= 1 && coded.1.abs_diff(displayed_size.1) <= 1
}

/// Reads an H.264 decoder configuration: the sequence, the bytes of a unit's length, and the
/// configuration without anything else.
fn avc(entry: &VideoSampleEntry) -> Result<(SequenceParameterSet, usize, Vec<u8>), DeclineReason> {
    let unreadable = || declined("damaged_index", "The recording's index is damaged.");
    let (sets, length_bytes) = parameter_sets(&entry.config).ok_or_else(unreadable)?;
    let mut sequences = sets.iter().filter(|set| set.first().is_some_and(|head| head & 0x1f == 7));
    let (Some(first), None) = (sequences.next(), sequences.next()) else {
        return Err(declined("several_descriptions", "The recording changes its format on the way."));
    };
    let sequence = sps::parse_sps(first).ok_or_else(unreadable)?;
    check_sequence(&sequence)?;
    let picture_sets: Vec<&[u8]> =
        sets.iter().filter(|set| set.first().is_some_and(|head| head & 0x1f == 8)).copied().collect();
    for set in &picture_sets {
        if sps::has_slice_groups(set).ok_or_else(unreadable)? {
            return Err(profile());
        }
    }
    let config = configuration(&entry.config, first, &picture_sets);
    Ok((sequence, length_bytes, config))
}

/// Builds a configuration of these parameter sets alone, with the first bytes of `head`. The rest
/// of the original may hold anything.
fn configuration(head: &[u8], sequence: &[u8], picture_sets: &[&[u8]]) -> Vec<u8> {
    let mut made = head[..5].to_vec();
    for (mark, sets) in [(0xe0, &[sequence][..]), (0, picture_sets)] {
        made.push(mark | sets.len() as u8);
        for set in sets {
            made.extend((set.len() as u16).to_be_bytes());
            made.extend(*set);
        }
    }
    // In High profile this states 4:2:0 with eight bits, which is all that was accepted.
    if head[1] == 100 {
        made.extend([0xfd, 0xf8, 0xf8, 0]);
    }
    made
}

fn profile() -> DeclineReason {
    declined("profile", "The picture uses a form of H.264 that browsers do not play.")
}

fn check_sequence(sequence: &SequenceParameterSet) -> Result<(), DeclineReason> {
    if !matches!(sequence.profile, 66 | 77 | 100) {
        return Err(profile());
    }
    if sequence.chroma_format != 1 || sequence.bit_depths != (8, 8) {
        return Err(declined("colour_depth", "The picture has finer colours than browsers play."));
    }
    if !sequence.frames_only {
        return Err(interlaced());
    }
    if sequence.level > MAX_LEVEL || sequence.level < 9 {
        return Err(declined(
            "level",
            "The picture is larger or faster than browsers can be relied on to play.",
        ));
    }
    if sequence.width.min(sequence.height) < 16 || sequence.width.max(sequence.height) > 4096 {
        return Err(declined("size", "The picture has a size that not every player shows."));
    }
    // PQ and HLG, in case the media tool did not report them.
    if sequence.colour.is_some_and(|colour| matches!(colour.transfer, 16 | 18)) {
        return Err(hdr());
    }
    Ok(())
}

/// Returns the parameter sets of an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 5.3.3.1),
/// and the bytes of a unit's length.
fn parameter_sets(config: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    if config.first() != Some(&1) {
        return None;
    }
    let length_bytes = usize::from(config.get(4)? & 3) + 1;
    let mut sets = Vec::new();
    let mut rest = config.get(5..)?;
    for mask in [0x1f, 0xff] {
        let (&count, after) = rest.split_first()?;
        rest = after;
        for _ in 0..count & mask {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            sets.push(after.get(..length)?);
            rest = after.get(length..)?;
        }
    }
    (length_bytes != 3).then_some((sets, length_bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::media::{AudioTrack, VideoTrack};

    fn media() -> MediaInfo {
        MediaInfo::for_tests(Some(VideoTrack::for_tests(1920, 1080)), None)
    }

    fn refused(change: impl FnOnce(&mut MediaInfo, &mut VideoTrack)) -> String {
        let mut media = media();
        let mut video = media.video.take().unwrap();
        change(&mut media, &mut video);
        media.video = Some(video);
        check_file(&media).map_or_else(|declined| declined.code, |()| "fine".into())
    }

    #[test]
    fn a_file_is_refused_for_what_inspect_found() {
        assert_eq!(refused(|_, _| ()), "fine");
        assert_eq!(refused(|media, _| media.container = "matroska".into()), "container");
        assert_eq!(refused(|_, video| video.codec = "vp9".into()), "codec");
        assert_eq!(refused(|_, video| video.rotation_degrees = 90), "turned");
        assert_eq!(refused(|_, video| video.mirrored = true), "turned");
        assert_eq!(refused(|_, video| video.oriented_by_frame = true), "turned");
        assert_eq!(refused(|_, video| video.changes_size = true), "several_descriptions");
        assert_eq!(refused(|_, video| video.interlaced = true), "interlaced");
        assert_eq!(refused(|_, video| video.hdr = Hdr::Hlg), "hdr");
        assert_eq!(check_file(&MediaInfo { video: None, ..media() }).unwrap_err().code, "no_picture");
        let with_audio = |end_ms| {
            let media = media();
            let audio = AudioTrack { end_ms, ..AudioTrack::for_tests() };
            check_file(&MediaInfo { audio: Some(audio), ..media })
                .map_or_else(|declined| declined.code, |()| "fine".into())
        };
        assert_eq!((with_audio(10_000), with_audio(12_000)), ("fine".to_owned(), "ends_early".to_owned()));
    }

    fn good() -> SequenceParameterSet {
        SequenceParameterSet {
            profile: 100,
            level: 40,
            chroma_format: 1,
            bit_depths: (8, 8),
            max_reference_frames: 4,
            frames_only: true,
            width: 1920,
            height: 1080,
            pixel_shape: None,
            colour: None,
        }
    }

    #[test]
    fn a_sequence_is_refused_for_what_browsers_do_not_play() {
        let code = |sequence: SequenceParameterSet| {
            check_sequence(&sequence).map_or_else(|declined| declined.code, |()| "fine".into())
        };
        assert_eq!(code(good()), "fine");
        assert_eq!(code(SequenceParameterSet { profile: 244, ..good() }), "profile");
        assert_eq!(code(SequenceParameterSet { profile: 88, ..good() }), "profile");
        assert_eq!(code(SequenceParameterSet { chroma_format: 2, ..good() }), "colour_depth");
        assert_eq!(code(SequenceParameterSet { bit_depths: (10, 8), ..good() }), "colour_depth");
        assert_eq!(code(SequenceParameterSet { frames_only: false, ..good() }), "interlaced");
        assert_eq!(code(SequenceParameterSet { level: 60, ..good() }), "level");
        assert_eq!(code(SequenceParameterSet { width: 8192, ..good() }), "size");
        let hlg = Colour { primaries: 9, transfer: 18, matrix: 9, full_range: false };
        assert_eq!(code(SequenceParameterSet { colour: Some(hlg), ..good() }), "hdr");
    }

    #[test]
    fn a_configuration_gives_its_parameter_sets() {
        let config = [1, 77, 0, 30, 0xff, 0xe1, 0, 2, 0x67, 1, 2, 0, 1, 0x68, 0, 1, 0x69];
        let (sets, length_bytes) = parameter_sets(&config).unwrap();
        assert_eq!((sets, length_bytes), (vec![&[0x67, 1][..], &[0x68], &[0x69]], 4));
        assert!(parameter_sets(&config[..12]).is_none());
        assert!(parameter_sets(&[0; 8]).is_none());
        let (size, config) = ((640, 480), config.to_vec());
        let entry = VideoSampleEntry {
            coding: Coding::Avc,
            config,
            size,
            pixel_shape: None,
            colour: None,
            cropped: false,
        };
        assert_eq!(check_video(&entry, (640, 480)).unwrap_err().code, "damaged_index");
        let entry =
            [&[1, 100, 0, 30, 0xff, 0xe1, 0, 2, 0x67, 1, 1, 0, 1, 0x68][..], b"where it was made"].concat();
        let made = configuration(&entry, &[0x67, 1], &[&[0x68]]);
        assert_eq!(made, [&entry[..14], &[0xfd, 0xf8, 0xf8, 0]].concat());
    }
}
