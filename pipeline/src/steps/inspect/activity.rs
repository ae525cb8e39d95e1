//! How much speech each of several audio tracks has, in short spans spread over the recording.

use std::path::Path;
use std::time::Duration;

use gstreamer as gst;

use super::inspection::Inspection;
use super::scanned_track::ScannedTrack;
use crate::cpu_clock::ContentionClock;
use crate::error::{ErrorKind, Result};
use crate::gst::{TrackDecoder, TrackKind, capsfilter, downmixer, element_with};
use crate::voice::{self, Detector};

/// Level below which a track is silent, in dBFS: a muted microphone may still have noise.
pub const SILENCE_DBFS: f32 = -70.0;

/// Most spans of a track.
const MAX_SPANS: i64 = 6;
/// Length of a span, in windows of voice activity: 4.1 s.
const SPAN_WINDOWS: u64 = 128;
/// Length of a span, in samples.
const SPAN_SAMPLES: usize = (SPAN_WINDOWS * voice::WINDOW_SAMPLES) as usize;
/// Length of a span, in ns.
const SPAN_NS: i64 = (SPAN_WINDOWS * voice::WINDOW_SAMPLES * 1_000_000_000 / voice::RATE_HZ) as i64;
/// Most tracks that are compared. Others are ranked after them.
const MAX_TRACKS: usize = 8;
/// Time for all tracks together, on the step's clock.
const MAX_TIME: Duration = Duration::from_millis(2_400);
/// The part of it that the network takes for one track.
const DETECTION_TIME: Duration = Duration::from_millis(120);
/// The step's clock at the latest end: the chosen track still has to be decoded.
const MAX_END: Duration = Duration::from_millis(7_000);
/// Time that is given in any case.
const MIN_TIME: Duration = Duration::from_millis(500);
/// Longest wait for a buffer before the clock is read again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Level of no samples, in dBFS.
const SILENT_DBFS: f32 = -120.0;

/// Level and speech of a track, by its spans.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrackActivity {
    /// Level that one window in twenty exceeds, in dBFS; -120 for silence.
    pub level_dbfs: f32,
    /// Length of the speech, in ms.
    pub speech_ms: u64,
    /// Level of the speech, in dBFS; -120 without speech.
    pub speech_dbfs: f32,
}

/// Measures tracks in turn; `None` for one that cannot be decoded, or that there is no time for.
/// `total_ns` is the length of the longest.
pub fn measure(
    inspection: &Inspection<'_>,
    tracks: &[&ScannedTrack],
    total_ns: i64,
) -> Result<Vec<Option<TrackActivity>>> {
    let clock = inspection.clock;
    let start = clock.elapsed();
    let until = start + MAX_TIME.min(MAX_END.saturating_sub(start)).max(MIN_TIME);
    let compared = &tracks[..tracks.len().min(MAX_TRACKS)];
    let starts_ns = span_starts_ns(total_ns);
    let decode_until = until.saturating_sub(DETECTION_TIME * compared.len() as u32);
    let mut decoded = Vec::new();
    for (index, track) in compared.iter().enumerate() {
        let left = decode_until.saturating_sub(clock.elapsed());
        let until = clock.elapsed() + left / (compared.len() - index) as u32;
        decoded.push(match decode_spans(inspection, track, &starts_ns, until) {
            Ok(spans) => Some(spans).filter(|spans| !spans.samples.is_empty()),
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error),
            Err(_) => None,
        });
    }
    let mut activity = judge(inspection, decoded)?;
    activity.resize(tracks.len(), None);
    Ok(activity)
}

/// Measures what was decoded. Speech is looked for only if several tracks are audible.
fn judge(inspection: &Inspection<'_>, decoded: Vec<Option<Spans>>) -> Result<Vec<Option<TrackActivity>>> {
    let is_audible = |spans: &&Spans| level_dbfs(&spans.samples) >= SILENCE_DBFS;
    let detects_speech = decoded.iter().flatten().filter(is_audible).count() > 1;
    let longest = decoded.iter().flatten().map(|spans| spans.samples.len()).max().unwrap_or(0);
    let vad_model = inspection.request.vad_model_path.as_deref();
    let measure = |spans: Spans| -> Result<TrackActivity> {
        let mut activity = activity(&spans.samples, vad_model, detects_speech)?;
        // A track that is slow to decode is not worse for that.
        if spans.is_incomplete {
            activity.speech_ms = activity.speech_ms * longest as u64 / spans.samples.len() as u64;
        }
        Ok(activity)
    };
    let mut found = Vec::new();
    for spans in decoded {
        inspection.ctx.check_cancelled()?;
        found.push(spans.map(measure).transpose()?);
    }
    Ok(found)
}

/// The decoded spans of one track.
struct Spans {
    /// 16 kHz mono, one span after the other.
    samples: Vec<f32>,
    /// Whether there was no time for some of them.
    is_incomplete: bool,
}

/// Decodes the spans of one track that start at these times.
fn decode_spans(
    inspection: &Inspection<'_>,
    track: &ScannedTrack,
    starts_ns: &[i64],
    until: Duration,
) -> Result<Spans> {
    let clock = inspection.clock;
    let mut reader = SpanReader::open(inspection, track)?;
    let (mut all, mut is_incomplete) = (Vec::new(), false);
    for (index, &start_ns) in starts_ns.iter().enumerate() {
        let left = until.saturating_sub(clock.elapsed()) / (starts_ns.len() - index) as u32;
        // A demuxer can seek once the first buffer is out.
        let mut samples = reader.read(start_ns, index > 0, left)?;
        is_incomplete |= samples.len() < SPAN_SAMPLES && !reader.decoding.is_over();
        samples.truncate(SPAN_SAMPLES);
        all.append(&mut samples);
    }
    Ok(Spans { samples: all, is_incomplete })
}

/// Reads spans of a track from its start to its end.
struct SpanReader<'a> {
    inspection: &'a Inspection<'a>,
    decoding: TrackDecoder,
    /// End of what was read, in ns.
    covered_ns: i64,
    /// Whether seeking works, and goes forward.
    is_seekable: bool,
}

impl<'a> SpanReader<'a> {
    fn open(inspection: &'a Inspection<'a>, track: &ScannedTrack) -> Result<Self> {
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "F32LE")
            .field("layout", "interleaved")
            .field("rate", voice::RATE_HZ as i32)
            .field("channels", 2)
            .field("channel-mask", gst::Bitmask::new(3))
            .build();
        let resampler = element_with("audioresample", &[("quality", "2")])?;
        let tail = vec![downmixer(2)?, resampler, capsfilter(&caps)?];
        let media = inspection.media_info_with_audio(track.index);
        let limits = &inspection.request.limits;
        let decoding = TrackDecoder::open(inspection.source.clone(), &media, TrackKind::Audio, limits, tail)?;
        let mut decoding = decoding.in_media_time();
        decoding.start()?;
        Ok(Self { inspection, decoding, covered_ns: -1, is_seekable: true })
    }

    /// Reads the span at `start_ns`, or what comes next where that cannot be reached in time.
    fn read(&mut self, start_ns: i64, may_seek: bool, time: Duration) -> Result<Vec<f32>> {
        let clock: &ContentionClock = self.inspection.clock;
        let start = clock.elapsed();
        let mut sought = self.is_seekable && start_ns > self.covered_ns && may_seek;
        self.is_seekable &= !sought || self.decoding.seek(start_ns);
        sought &= self.is_seekable;
        let mut samples = Vec::with_capacity(SPAN_SAMPLES);
        while samples.len() < SPAN_SAMPLES && clock.elapsed() < start + time {
            let Some(decoded) = self.decoding.next_within(self.inspection.ctx, POLL_INTERVAL)? else {
                if self.decoding.is_over() {
                    break;
                }
                continue;
            };
            // If keyframes are far apart, a seek may go back: then reading goes on from there.
            if std::mem::take(&mut sought) && decoded.time_ns < self.covered_ns {
                self.is_seekable = false;
            }
            // Samples before the span are left out while there is time for that.
            let has_time = clock.elapsed() < start + time / 2;
            let earliest_ns = start_ns - SPAN_NS / 2;
            let from_ns = if has_time { self.covered_ns.max(earliest_ns) } else { self.covered_ns };
            if decoded.time_ns >= from_ns {
                append_mono(&decoded.buffer, &mut samples);
                let duration_ns = decoded.duration_ns.unwrap_or(0) as i64;
                self.covered_ns = decoded.time_ns.saturating_add(duration_ns);
            }
        }
        Ok(samples)
    }
}

/// Start times of spans, in ns: the first at the start, all of a short recording.
fn span_starts_ns(total_ns: i64) -> Vec<i64> {
    let room_ns = (total_ns - SPAN_NS).max(0);
    let spans = ((total_ns + SPAN_NS - 1) / SPAN_NS).clamp(1, MAX_SPANS);
    (0..spans).map(|index| room_ns * index / (spans - 1).max(1)).collect()
}

/// Appends a buffer of interleaved stereo: the left channel if the two cancel each other.
fn append_mono(buffer: &gst::Buffer, samples: &mut Vec<f32>) {
    let Ok(bytes) = buffer.map_readable() else { return };
    let sample = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).clamp(-4.0, 4.0);
    let frames = || bytes.chunks_exact(8).map(|frame| [sample(&frame[..4]), sample(&frame[4..])]);
    let energy = |sign: f32| frames().map(|[left, right]| (left + sign * right).powi(2)).sum::<f32>();
    let is_opposed = energy(-1.0) > 10.0 * energy(1.0);
    samples.extend(frames().map(|[left, right]| if is_opposed { left } else { (left + right) / 2.0 }));
}

/// The activity in spans; only their level if `detects_speech` is not set.
fn activity(samples: &[f32], vad_model: Option<&Path>, detects_speech: bool) -> Result<TrackActivity> {
    let level_dbfs = level_dbfs(samples);
    let mut found = TrackActivity { level_dbfs, speech_ms: 0, speech_dbfs: SILENT_DBFS };
    if !detects_speech || samples.is_empty() {
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
        assert_eq!(span_starts_ns(0), [0]);
        assert_eq!(span_starts_ns(4 * second), [0]);
        assert_eq!(span_starts_ns(7 * second), [0, 7 * second - SPAN_NS]);
        let hour = span_starts_ns(3600 * second);
        assert_eq!((hour.len(), hour[0], hour[5]), (6, 0, 3600 * second - SPAN_NS));
        for total in 1..200 {
            let starts = span_starts_ns(total * second);
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
