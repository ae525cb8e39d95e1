//! How much speech each of several audio tracks has, in short spans spread over the recording.

use std::path::Path;
use std::time::Duration;

use gstreamer as gst;

use super::probe;
use super::scanned::Scanned;
use crate::context::StepContext;
use crate::cpu_clock::ContentionClock;
use crate::error::{ErrorKind, Result};
use crate::gst::{TrackDecoder, TrackKind, capsfilter, downmixer, element_with};
use crate::limits::Limits;
use crate::media::MediaInfo;
use crate::source::Source;
use crate::voice::{self, Detector};

/// Spans of each track.
const SPANS: i64 = 6;
/// Length of a span, in windows of voice activity: 4.1 s.
const SPAN_WINDOWS: u64 = 128;
/// The same in samples.
const SPAN_SAMPLES: usize = (SPAN_WINDOWS * voice::WINDOW_SAMPLES) as usize;
/// The same in ns.
const SPAN_NS: i64 = (SPAN_WINDOWS * voice::WINDOW_SAMPLES * 1_000_000_000 / voice::RATE_HZ) as i64;
/// Tracks that are compared; the others come after them.
const MAX_TRACKS: usize = 8;
/// Time for all tracks together, on the step's clock.
const MAX_TIME: Duration = Duration::from_millis(2_400);
/// Part of it that the network takes for a track.
const JUDGING: Duration = Duration::from_millis(120);
/// The step's clock when no more time is given: the chosen track still has to be probed.
const LATEST: Duration = Duration::from_millis(7_000);
/// Time that is given in any case.
const MIN_TIME: Duration = Duration::from_millis(500);
/// How often the clock is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What the spans of a track hold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Activity {
    /// Level that one window in twenty exceeds, in dBFS; -120 for silence.
    pub level_dbfs: f32,
    /// Length of the speech, in ms.
    pub speech_ms: u64,
    /// Level of the speech, in dBFS; -120 without speech.
    pub speech_dbfs: f32,
}

/// What is needed to decode a track.
pub struct Inputs<'a> {
    /// The recording.
    pub source: &'a Source,
    /// What is known of it so far.
    pub info: &'a MediaInfo,
    /// Limits it is held to.
    pub limits: &'a Limits,
    /// Length of the longest track, in ns.
    pub total_ns: i64,
    /// The voice activity model.
    pub vad_model: Option<&'a Path>,
}

/// Measures tracks in turn; `None` for one that cannot be decoded, or that there is no time for.
pub fn measure(
    inputs: &Inputs<'_>,
    tracks: &[&Scanned],
    clock: &ContentionClock,
    ctx: &StepContext,
) -> Result<Vec<Option<Activity>>> {
    let begun = clock.elapsed();
    let until = begun + MAX_TIME.min(LATEST.saturating_sub(begun)).max(MIN_TIME);
    let compared = &tracks[..tracks.len().min(MAX_TRACKS)];
    let mut spans = Vec::new();
    let decoded_by = until.saturating_sub(JUDGING * compared.len() as u32);
    for (index, track) in compared.iter().enumerate() {
        let left = decoded_by.saturating_sub(clock.elapsed());
        let share = clock.elapsed() + left / (compared.len() - index) as u32;
        spans.push(match decode(inputs, track, share, clock, ctx) {
            Ok(spans) => Some(spans).filter(|spans| !spans.samples.is_empty()),
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            Err(error) => {
                tracing::debug!(%error, track = track.index, "an audio track could not be compared");
                None
            }
        });
    }
    let is_audible = |spans: &&Spans| level_dbfs(&spans.samples) >= super::choose::SILENCE_DBFS;
    let compare = spans.iter().flatten().filter(is_audible).count() > 1;
    let longest = spans.iter().flatten().map(|spans| spans.samples.len()).max().unwrap_or(0);
    let mut found = Vec::new();
    for spans in spans {
        ctx.check_cancelled()?;
        let judged = spans.map(|spans| -> Result<Activity> {
            let mut activity = activity(&spans.samples, inputs.vad_model, compare)?;
            // A track that is slow to decode is not worse for that.
            if spans.cut {
                activity.speech_ms = activity.speech_ms * longest as u64 / spans.samples.len() as u64;
            }
            Ok(activity)
        });
        found.push(judged.transpose()?);
    }
    found.resize(tracks.len(), None);
    Ok(found)
}

/// The spans of one track.
struct Spans {
    /// 16 kHz mono, one span after the other.
    samples: Vec<f32>,
    /// Whether there was no time for some of it.
    cut: bool,
}

/// Decodes the spans of one track.
fn decode(
    inputs: &Inputs<'_>,
    track: &Scanned,
    until: Duration,
    clock: &ContentionClock,
    ctx: &StepContext,
) -> Result<Spans> {
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", voice::RATE_HZ as i32)
        .field("channels", 2)
        .field("channel-mask", gst::Bitmask::new(3))
        .build();
    let tail = vec![downmixer(2)?, element_with("audioresample", &[("quality", "2")])?, capsfilter(&caps)?];
    let info = probe::with_audio(inputs.info, track);
    let decoding = TrackDecoder::open(inputs.source.clone(), &info, TrackKind::Audio, inputs.limits, tail)?;
    let mut decoding = decoding.in_media_time();
    decoding.start()?;
    let starts = starts_ns(inputs.total_ns);
    let (mut all, mut covered_ns, mut seekable, mut cut) = (Vec::new(), -1, true, false);
    for (index, &start_ns) in starts.iter().enumerate() {
        let begun = clock.elapsed();
        let left = until.saturating_sub(begun) / (starts.len() - index) as u32;
        // A demuxer can seek once the first buffer is out.
        let mut sought = seekable && start_ns > covered_ns && index > 0;
        seekable &= !sought || decoding.seek(start_ns);
        sought &= seekable;
        let mut samples = Vec::with_capacity(SPAN_SAMPLES);
        while samples.len() < SPAN_SAMPLES && clock.elapsed() < begun + left {
            let Some(decoded) = decoding.next_within(ctx, LOOK)? else {
                if decoding.is_over() {
                    break;
                }
                continue;
            };
            // Where keyframes are far apart, a seek may go back: from there it is read on.
            if std::mem::take(&mut sought) && decoded.time_ns < covered_ns {
                seekable = false;
            }
            // What lies before the span is left out while there is time for that.
            let patient = clock.elapsed() < begun + left / 2;
            if decoded.time_ns >= if patient { covered_ns.max(start_ns - SPAN_NS / 2) } else { covered_ns } {
                append_mono(&decoded.buffer, &mut samples);
                covered_ns = decoded.time_ns.saturating_add(decoded.duration_ns.unwrap_or(0) as i64);
            }
        }
        cut |= samples.len() < SPAN_SAMPLES && !decoding.is_over();
        samples.truncate(SPAN_SAMPLES);
        all.append(&mut samples);
    }
    Ok(Spans { samples: all, cut })
}

/// Where spans start, in ns: the first at the start, all of a short recording.
fn starts_ns(total_ns: i64) -> Vec<i64> {
    let room_ns = (total_ns - SPAN_NS).max(0);
    let spans = ((total_ns + SPAN_NS - 1) / SPAN_NS).clamp(1, SPANS);
    (0..spans).map(|index| room_ns * index / (spans - 1).max(1)).collect()
}

/// Appends a buffer of interleaved stereo. Of channels that cancel each other, one is taken.
fn append_mono(buffer: &gst::Buffer, samples: &mut Vec<f32>) {
    let Ok(bytes) = buffer.map_readable() else { return };
    let sample = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).clamp(-4.0, 4.0);
    let frames = || bytes.chunks_exact(8).map(|frame| [sample(&frame[..4]), sample(&frame[4..])]);
    let energy = |sign: f32| frames().map(|[left, right]| (left + sign * right).powi(2)).sum::<f32>();
    let opposed = energy(-1.0) > 10.0 * energy(1.0);
    samples.extend(frames().map(|[left, right]| if opposed { left } else { (left + right) / 2.0 }));
}

/// What spans hold; without `judged`, their level alone.
fn activity(samples: &[f32], vad_model: Option<&Path>, judged: bool) -> Result<Activity> {
    let level_dbfs = level_dbfs(samples);
    let mut found = Activity { level_dbfs, speech_ms: 0, speech_dbfs: SILENT_DBFS };
    if !judged || samples.is_empty() {
        return Ok(found);
    }
    let (mut detector, mut probabilities) = (Detector::for_raw_audio(vad_model), Vec::new());
    detector.push(samples, &mut probabilities)?;
    detector.finish(&mut probabilities)?;
    let windows = samples.chunks(voice::WINDOW_SAMPLES as usize).zip(&probabilities);
    let speech: Vec<f32> = windows
        .filter(|(_, p)| **p >= voice::MIN_PROBABILITY)
        .map(|(window, _)| mean_square(window))
        .collect();
    found.speech_ms = speech.len() as u64 * voice::WINDOW_SAMPLES * 1000 / voice::RATE_HZ;
    if !speech.is_empty() {
        found.speech_dbfs = dbfs(speech.iter().sum::<f32>() / speech.len() as f32);
    }
    Ok(found)
}

/// Level of no samples, in dBFS.
const SILENT_DBFS: f32 = -120.0;

fn level_dbfs(samples: &[f32]) -> f32 {
    let mut windows: Vec<f32> = samples.chunks(voice::WINDOW_SAMPLES as usize).map(mean_square).collect();
    windows.sort_by(f32::total_cmp);
    windows.get(windows.len() * 19 / 20).map_or(SILENT_DBFS, |energy| dbfs(*energy))
}

fn mean_square(window: &[f32]) -> f32 {
    window.iter().map(|sample| sample * sample).sum::<f32>() / window.len().max(1) as f32
}

fn dbfs(mean_square: f32) -> f32 {
    10.0 * mean_square.max(1e-12).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_spread_over_the_recording() {
        let second = 1_000_000_000;
        assert_eq!(starts_ns(0), [0]);
        assert_eq!(starts_ns(4 * second), [0]);
        assert_eq!(starts_ns(7 * second), [0, 7 * second - SPAN_NS]);
        let hour = starts_ns(3600 * second);
        assert_eq!((hour.len(), hour[0], hour[5]), (6, 0, 3600 * second - SPAN_NS));
        for total in 1..200 {
            let starts = starts_ns(total * second);
            assert!(starts.windows(2).all(|pair| pair[1] > pair[0]), "{total}: {starts:?}");
        }
    }

    #[test]
    fn levels_are_those_of_the_loud_windows() {
        assert_eq!(level_dbfs(&[]), SILENT_DBFS);
        assert_eq!(level_dbfs(&[0.0; 9000]), SILENT_DBFS);
        // A click does not make a track audible.
        let mut click = vec![0.0; 32_000];
        click[500] = 1.0;
        assert_eq!(level_dbfs(&click), SILENT_DBFS);
        assert!((level_dbfs(&vec![0.1; 32_000]) + 20.0).abs() < 0.01);
    }
}
