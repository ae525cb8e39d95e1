//! Several recordings in one file, reported as one on a common timeline.

use super::inspection::MAX_DECODE_TIME;
use super::unreadable::defer_unless_fatal;
use crate::container::appended::AppendedRecording;
use crate::cpu_clock::ContentionClock;
use crate::error::{Error, Result};
use crate::media::{APPENDED, AudioTrack, MediaInfo, RecordingPart, VideoTrack, Warning};
use crate::source::ByteRange;

/// A video of another size counts if it lasts this long, in ms, or for a tenth of the file.
const MIN_LASTING_MS: u64 = 30_000;

/// Inspects recordings that follow one another, each by `inspect_part`. `None` if not one of them
/// can be read.
pub fn inspect(
    recordings: &[AppendedRecording],
    size_bytes: u64,
    clock: &ContentionClock,
    inspect_part: impl Fn(ByteRange) -> Result<MediaInfo>,
) -> Result<Option<MediaInfo>> {
    let mut read = Vec::<(AppendedRecording, MediaInfo)>::new();
    let (mut unread_bytes, mut failure) = (0, None::<Error>);
    for &recording in recordings {
        let is_late = !read.is_empty() && clock.elapsed() > MAX_DECODE_TIME;
        let media = if is_late {
            None
        } else {
            match inspect_part(recording.within) {
                Ok(media) => Some(media),
                Err(error) => {
                    defer_unless_fatal(error, &mut failure)?;
                    None
                }
            }
        };
        match media.filter(|media| read.first().is_none_or(|(_, first)| can_follow(first, media))) {
            Some(media) => read.push((recording, media)),
            None => unread_bytes += recording.within.size_bytes,
        }
    }
    if read.is_empty() {
        return Ok(None);
    }
    let mut media = join(&read, size_bytes);
    if unread_bytes > 0 {
        media.warnings.push(unread_recordings(recordings.len() - read.len(), unread_bytes, size_bytes));
    }
    Ok(Some(media))
}

/// Whether a recording may follow another: all frames of a file are treated alike.
fn can_follow(first: &MediaInfo, next: &MediaInfo) -> bool {
    let treatment = |video: &VideoTrack| (video.rotation_degrees, video.mirrored, video.hdr);
    match (&first.video, &next.video) {
        (Some(first), Some(next)) => treatment(first) == treatment(next),
        _ => true,
    }
}

/// All recordings as one.
fn join(read: &[(AppendedRecording, MediaInfo)], size_bytes: u64) -> MediaInfo {
    let mut all = MediaInfo {
        size_bytes,
        duration_ms: 0,
        video_gap: None,
        video: None,
        audio: None,
        warnings: Vec::new(),
        ..read[0].1.clone()
    };
    let total_ms: u64 = read.iter().map(|(recording, media)| duration_ms(recording, media)).sum();
    for (recording, media) in read {
        append(&mut all, recording, media, MIN_LASTING_MS.min(total_ms / 10));
    }
    if read.len() > 1 {
        let count = read.len();
        let message = format!("The file has {count} recordings, one after the other; they play as one.");
        all.warnings.push(Warning::new(APPENDED, message));
    }
    all
}

/// Appends a recording. Its size counts if it lasts at least `min_lasting_ms`.
fn append(all: &mut MediaInfo, recording: &AppendedRecording, media: &MediaInfo, min_lasting_ms: u64) {
    let (start_ms, duration_ms) = (all.duration_ms, duration_ms(recording, media));
    // A track of a recording that was read in part goes on until the end.
    let end_ms = |end_ms| start_ms + if duration_ms > media.duration_ms { duration_ms } else { end_ms };
    if let Some(video) = &media.video {
        let next =
            VideoTrack { start_ms: start_ms + video.start_ms, end_ms: end_ms(video.end_ms), ..video.clone() };
        all.video = Some(match all.video.take() {
            Some(before) => with_video(before, &next, duration_ms >= min_lasting_ms),
            None => next,
        });
    }
    if let Some(audio) = &media.audio {
        let first = || AudioTrack { start_ms: start_ms + audio.start_ms, ..audio.clone() };
        let joined = all.audio.take().unwrap_or_else(first);
        all.audio = Some(AudioTrack { end_ms: end_ms(audio.end_ms), ..joined });
    }
    for warning in &media.warnings {
        if !all.warnings.contains(warning) {
            all.warnings.push(warning.clone());
        }
    }
    all.parts.push(RecordingPart {
        within: recording.within,
        start_ms,
        origin_ns: media.origin_ns,
        video_gap: media.video_gap,
        video_index: media.video.as_ref().map(|video| video.stream_index),
        audio_index: media.audio.as_ref().map(|audio| audio.stream_index),
    });
    all.duration_ms = start_ms + duration_ms;
}

/// Length of a recording, in ms. Of a large one only the front may have been scanned, but its
/// structure says where it ends.
fn duration_ms(recording: &AppendedRecording, media: &MediaInfo) -> u64 {
    let after_origin_ms = |ns: i64| (ns.saturating_sub(media.origin_ns) / 1_000_000).max(0) as u64;
    let last_ms = recording.last_ns.map_or(0, after_origin_ms);
    if last_ms > media.duration_ms + 1000 { last_ms } else { media.duration_ms }
}

/// A video followed by another one: as large as the larger of them, if that lasts.
fn with_video(before: VideoTrack, next: &VideoTrack, next_lasts: bool) -> VideoTrack {
    let area = |video: &VideoTrack| u64::from(video.width) * u64::from(video.height);
    let larger = if next_lasts && area(next) > area(&before) { next } else { &before };
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
fn unread_recordings(count: usize, bytes: u64, file_bytes: u64) -> Warning {
    let what = if count == 1 {
        "One more recording follows".to_owned()
    } else {
        format!("{count} more recordings follow")
    };
    left_out(&what, bytes, file_bytes)
}

/// The warning that something else follows the recording in the file.
pub fn foreign_content(bytes: u64, file_bytes: u64) -> Warning {
    left_out("Something else follows the recording", bytes, file_bytes)
}

fn left_out(what: &str, bytes: u64, file_bytes: u64) -> Warning {
    let share = (bytes.saturating_mul(100) / file_bytes.max(1)).clamp(1, 100);
    Warning::new(
        "appended_not_read",
        format!(
            "{what} in the file, about {share}% of it, and can't be read. \
             Please upload it as a file of its own."
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::media::{Hdr, Rational};
    use crate::steps::inspect::unreadable::nothing_playable;

    fn recording(size: Option<(u32, u32)>, audio: bool, duration_ms: u64) -> (AppendedRecording, MediaInfo) {
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
        let within = ByteRange { begins_at: 7, size_bytes: 100 };
        (AppendedRecording { within, last_ns: None }, info)
    }

    #[test]
    fn each_begins_where_the_one_before_ends() {
        let read = [
            recording(Some((320, 180)), true, 5000),
            recording(None, true, 3000),
            recording(Some((640, 360)), false, 4000),
        ];
        let all = join(&read, 300);
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
        let all = join(&read, 300);
        assert_eq!(all.video.map(|video| (video.start_ms, video.end_ms)), Some((5010, 9000)));
    }

    #[test]
    fn a_short_one_does_not_decide_the_size() {
        let read = [recording(Some((320, 180)), true, 60_000), recording(Some((640, 360)), true, 2000)];
        assert_eq!(join(&read, 300).video.map(|video| video.width), Some(320));
    }

    #[test]
    fn what_is_left_out_is_said() {
        let (_, media) = recording(Some((320, 180)), true, 5000);
        let within = |size_bytes| ByteRange { begins_at: 0, size_bytes };
        let recordings = [225, 25, 50].map(|size| AppendedRecording { within: within(size), last_ns: None });
        let inspect_part = |part: ByteRange| match part.size_bytes {
            225 => Ok(media.clone()),
            _ => Err(nothing_playable(None)),
        };
        let all =
            inspect(&recordings, 300, &ContentionClock::for_this_process(), inspect_part).unwrap().unwrap();
        assert_eq!(all.warnings.len(), 1);
        assert_eq!(all.warnings[0].code, "appended_not_read");
        assert!(all.warnings[0].message.starts_with("2 more recordings follow in the file, about 25% of it"));
        assert!(all.warnings[0].is_loss());
    }

    #[test]
    fn the_structure_says_how_long_a_large_one_is() {
        let mut long = recording(Some((320, 180)), true, 60_000);
        long.0.last_ns = Some(2_700_005_000_000);
        let all = join(&[long, recording(Some((320, 180)), true, 2000)], 300);
        assert_eq!((all.parts[1].start_ms, all.duration_ms), (2_700_000, 2_702_000));
    }
}
