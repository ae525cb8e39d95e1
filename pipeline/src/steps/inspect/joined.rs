//! Several recordings in one file as one: where each begins on the common timeline, and what all of them are.

use super::{InspectRequest, LONGEST_LOOK, keep, one};
use crate::container::appended::Found;
use crate::context::StepContext;
use crate::cpu_clock::ContentionClock;
use crate::error::Result;
use crate::media::{APPENDED, MediaInfo, RecordingPart, VideoTrack, Warning};
use crate::source::Source;

/// A video of another size counts where it lasts this long, in ms, or a tenth of the file.
const LASTS_MS: u64 = 30_000;

/// Inspects recordings that follow one another; `None` where the first cannot be read alone, or is all that can be.
pub fn inspect(
    found: &[Found],
    request: &InspectRequest,
    source: &Source,
    clock: &ContentionClock,
    ctx: &StepContext,
) -> Result<Option<MediaInfo>> {
    let (mut read, mut unread_bytes, mut failure) = (Vec::<(Found, MediaInfo)>::new(), 0, None);
    for &part in found {
        let late = !read.is_empty() && clock.elapsed() > LONGEST_LOOK;
        let info = if late {
            None
        } else {
            match one(request, part.within.view(source.clone()), None, clock, ctx) {
                Ok(info) => {
                    Some(info).filter(|info| read.first().is_none_or(|(_, first)| agree(first, info)))
                }
                Err(error) => {
                    keep(error, &mut failure)?;
                    None
                }
            }
        };
        match info {
            Some(info) => read.push((part, info)),
            None => unread_bytes += part.within.size_bytes,
        }
    }
    let size_bytes = source.size_bytes();
    Ok((!read.is_empty()).then(|| joined(&read, found.len(), unread_bytes, size_bytes)))
}

/// Whether a recording may follow another: what is done to the frames is the same for all of a file.
fn agree(first: &MediaInfo, next: &MediaInfo) -> bool {
    let treated = |video: &VideoTrack| (video.rotation_degrees, video.mirrored, video.hdr);
    match (&first.video, &next.video) {
        (Some(first), Some(next)) => treated(first) == treated(next),
        _ => true,
    }
}

/// All recordings as one.
fn joined(read: &[(Found, MediaInfo)], of: usize, unread_bytes: u64, size_bytes: u64) -> MediaInfo {
    let mut all =
        MediaInfo { size_bytes, duration_ms: 0, video_gap: None, warnings: Vec::new(), ..read[0].1.clone() };
    (all.video, all.audio) = (None, None);
    let total_ms: u64 = read.iter().map(|(found, info)| length_ms(found, info)).sum();
    for (found, info) in read {
        let start_ms = all.duration_ms;
        let length_ms = length_ms(found, info);
        let further = |end_ms: u64| if length_ms > info.duration_ms { length_ms } else { end_ms };
        if let Some(video) = &info.video {
            let mut video = video.clone();
            (video.start_ms, video.end_ms) = (start_ms + video.start_ms, start_ms + further(video.end_ms));
            let lasts = length_ms >= LASTS_MS.min(total_ms / 10);
            all.video = Some(match all.video.take() {
                Some(before) => with_video(before, &video, lasts),
                None => video,
            });
        }
        if let Some(audio) = &info.audio {
            let end_ms = start_ms + further(audio.end_ms);
            let mut joined = all.audio.take().unwrap_or_else(|| {
                let start_ms = start_ms + audio.start_ms;
                crate::media::AudioTrack { start_ms, ..audio.clone() }
            });
            joined.end_ms = end_ms;
            all.audio = Some(joined);
        }
        for warning in &info.warnings {
            if !all.warnings.contains(warning) {
                all.warnings.push(warning.clone());
            }
        }
        all.parts.push(RecordingPart {
            within: found.within,
            start_ms,
            origin_ns: info.origin_ns,
            video_gap: info.video_gap,
            video_index: info.video.as_ref().map(|video| video.stream_index),
            audio_index: info.audio.as_ref().map(|audio| audio.stream_index),
        });
        all.duration_ms = start_ms + length_ms;
    }
    if read.len() > 1 {
        let count = read.len();
        let message = format!("The file has {count} recordings, one after the other; they play as one.");
        all.warnings.push(Warning::new(APPENDED, message));
    }
    if unread_bytes > 0 {
        all.warnings.push(not_read(of - read.len(), unread_bytes, size_bytes));
    }
    all
}

/// How long a recording is, in ms. Of a large one only the front may have been scanned: its structure says more.
fn length_ms(found: &Found, info: &MediaInfo) -> u64 {
    let last_ms = found.last_ns.map_or(0, |ns| (ns.saturating_sub(info.origin_ns) / 1_000_000).max(0) as u64);
    if last_ms > info.duration_ms + 1000 { last_ms } else { info.duration_ms }
}

/// A video followed by another: as large as the largest that lasts.
fn with_video(before: VideoTrack, next: &VideoTrack, lasts: bool) -> VideoTrack {
    let area = |video: &VideoTrack| u64::from(video.width) * u64::from(video.height);
    let larger = if lasts && area(next) > area(&before) { next } else { &before };
    VideoTrack {
        width: larger.width,
        height: larger.height,
        variable_rate: before.variable_rate || next.variable_rate || before.frame_rate != next.frame_rate,
        interlaced: before.interlaced || next.interlaced,
        keyframes_apart_ms: before.keyframes_apart_ms.max(next.keyframes_apart_ms),
        end_ms: next.end_ms,
        ..before
    }
}

/// The warning that recordings in the file are left out.
fn not_read(count: usize, bytes: u64, of_bytes: u64) -> Warning {
    let what = if count == 1 {
        "One more recording follows".to_owned()
    } else {
        format!("{count} more recordings follow")
    };
    left_out(&what, bytes, of_bytes)
}

/// The warning that something else follows the recording in the file.
pub fn foreign(bytes: u64, of_bytes: u64) -> Warning {
    left_out("Something else follows the recording", bytes, of_bytes)
}

fn left_out(what: &str, bytes: u64, of_bytes: u64) -> Warning {
    let share = (bytes.saturating_mul(100) / of_bytes.max(1)).clamp(1, 100);
    Warning::new(
        "appended_not_read",
        format!(
            "{what} in the file, about {share}% of it, and can't be read. Please upload it as a file of its own."
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::media::{AudioTrack, Hdr, Rational};
    use crate::source::ByteRange;

    fn recording(size: Option<(u32, u32)>, audio: bool, duration_ms: u64) -> (Found, MediaInfo) {
        let video = size.map(|(width, height)| VideoTrack {
            codec: "vp8".into(),
            stream_index: 1,
            width,
            height,
            frame_rate: Rational::new(30, 1),
            variable_rate: false,
            rotation_degrees: 0,
            mirrored: false,
            oriented_by_frame: false,
            changes_size: false,
            interlaced: false,
            hdr: Hdr::None,
            keyframes_apart_ms: 0,
            chosen: None,
            start_ms: 10,
            end_ms: duration_ms,
        });
        let audio = audio.then(|| AudioTrack {
            codec: "opus".into(),
            stream_index: 2,
            channels: 1,
            sample_rate_hz: 48_000,
            language: None,
            chosen: None,
            start_ms: 0,
            end_ms: duration_ms - 20,
        });
        let info = MediaInfo {
            container: "matroska".into(),
            size_bytes: 100,
            within: None,
            parts: Vec::new(),
            duration_ms,
            origin_ns: 5_000_000,
            video_gap: None,
            video,
            audio,
            warnings: Vec::new(),
        };
        (Found { within: ByteRange { begins_at: 7, size_bytes: 100 }, last_ns: None }, info)
    }

    #[test]
    fn each_begins_where_the_one_before_ends() {
        let read = [
            recording(Some((320, 180)), true, 5000),
            recording(None, true, 3000),
            recording(Some((640, 360)), false, 4000),
        ];
        let all = joined(&read, 3, 0, 300);
        assert_eq!(all.parts.iter().map(|part| part.start_ms).collect::<Vec<_>>(), [0, 5000, 8000]);
        assert_eq!(all.parts[1].video_index, None);
        assert_eq!(all.parts[2].audio_index, None);
        let video = all.video.unwrap();
        assert_eq!((video.width, video.start_ms, video.end_ms, all.duration_ms), (640, 10, 12_000, 12_000));
        let audio = all.audio.unwrap();
        assert_eq!((audio.start_ms, audio.end_ms), (0, 7980));
        assert_eq!(all.warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>(), ["appended"]);
        assert!(!all.warnings[0].is_loss());
    }

    #[test]
    fn a_track_may_begin_in_a_later_recording() {
        let read = [recording(None, true, 5000), recording(Some((320, 180)), true, 4000)];
        let all = joined(&read, 2, 0, 300);
        assert_eq!(all.video.map(|video| (video.start_ms, video.end_ms)), Some((5010, 9000)));
    }

    #[test]
    fn a_short_one_does_not_decide_the_size() {
        let read = [recording(Some((320, 180)), true, 60_000), recording(Some((640, 360)), true, 2000)];
        assert_eq!(joined(&read, 2, 0, 300).video.map(|video| video.width), Some(320));
    }

    #[test]
    fn what_is_left_out_is_said() {
        let all = joined(&[recording(Some((320, 180)), true, 5000)], 3, 75, 300);
        assert_eq!(all.warnings.len(), 1);
        assert_eq!(all.warnings[0].code, "appended_not_read");
        assert!(all.warnings[0].message.starts_with("2 more recordings follow in the file, about 25% of it"));
        assert!(all.warnings[0].is_loss());
    }

    #[test]
    fn the_structure_says_how_long_a_large_one_is() {
        let mut long = recording(Some((320, 180)), true, 60_000);
        long.0.last_ns = Some(2_700_005_000_000);
        let all = joined(&[long, recording(Some((320, 180)), true, 2000)], 2, 0, 300);
        assert_eq!((all.parts[1].start_ms, all.duration_ms), (2_700_000, 2_702_000));
    }
}
