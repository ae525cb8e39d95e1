//! Decoding of the chosen track, to 48 kHz stereo on the recording's timeline.

use gstreamer as gst;

use super::channels::ChannelRepair;
use super::sample_rate::{RATE_HZ, ms_from_frames};
use super::stretch::TimeStretcher;
use super::timeline::TimelineAligner;
use super::timestamp_bypass;
use crate::context::StepContext;
use crate::error::{Error, ErrorKind, Result};
use crate::gst::{MultiPartDecoder, TrackKind, capsfilter, downmixer, element_with};
use crate::limits::Limits;
use crate::media::{self, MediaInfo, Warning};
use crate::source::Source;

/// Summary of a decoded track.
pub struct DecodeSummary {
    /// Length, in frames at 48 kHz.
    pub frames: u64,
    /// Warnings about damage and repairs.
    pub warnings: Vec<Warning>,
}

/// Decodes the recording's audio, and passes all of it to `write_frames` in order. Gaps become
/// silence.
pub fn decode_track(
    source: Source,
    media: &MediaInfo,
    limits: &Limits,
    ctx: &StepContext,
    mut write_frames: impl FnMut(&[[f32; 2]]) -> Result<()>,
) -> Result<DecodeSummary> {
    crate::gst::init()?;
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", RATE_HZ as i32)
        .field("channels", 2)
        // Without a mask, two channels may be any. With it, five are mixed down to left and right.
        .field("channel-mask", gst::Bitmask::new(3))
        .build();
    let resampler = element_with("audioresample", &[("quality", "8")])?;
    timestamp_bypass::install(&resampler)?;
    let tail = vec![downmixer(2)?, resampler, capsfilter(&caps)?];
    let mut decoding = MultiPartDecoder::open(source, media, TrackKind::Audio, limits, tail)?;
    decoding.start()?;

    let max_frames = limits.max_duration_ms.saturating_mul(RATE_HZ) / 1000;
    let mut repair = ChannelRepair::new();
    let mut on_timeline = |frames: &[[f32; 2]]| {
        ctx.check_cancelled()?;
        repair.push(frames, &mut write_frames)
    };
    let (mut aligner, mut stretcher) = (TimelineAligner::default(), TimeStretcher::default());
    let mut is_ended = false;
    while !is_ended {
        match decoding.next(ctx)? {
            Some(decoded) => {
                let bytes = decoded
                    .buffer
                    .map_readable()
                    .map_err(|_| Error::internal("a buffer was not readable"))?;
                let sample = |b: &[u8]| finite(f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                aligner.push(decoded.time_ns, bytes.len() as u64 / 8);
                stretcher.push(bytes.chunks_exact(8).map(|f| [sample(&f[..4]), sample(&f[4..])]));
            }
            None => is_ended = true,
        }
        while let Some(placed) = aligner.next(is_ended) {
            if placed.end > max_frames as f64 {
                return Err(Error::new(ErrorKind::LimitExceeded, "too_long", "The recording is too long."));
            }
            stretcher.render(&placed, &mut on_timeline)?;
        }
    }
    stretcher.render_silence(aligner.missing_at_end(stretcher.rendered_frames()), &mut on_timeline)?;
    let (end_ms, mut warnings) = (ms_from_frames(stretcher.rendered_frames()), Vec::new());
    let expected_ms = media.audio.as_ref().map_or(0, |track| track.end_ms);
    if media::is_short(end_ms, expected_ms) {
        warnings.push(Warning::cut_short("sound", end_ms, expected_ms));
    } else if let Some((lost, packets)) = decoding.lost_packets() {
        warnings.push(Warning::damaged("sound", lost, packets));
    } else if decoding.end_error().is_some() {
        warnings.push(Warning::new("damaged", "The sound is damaged near its end."));
    }
    let video_end_ms = media.video.as_ref().map_or(0, |track| track.end_ms);
    let until_ms = media::padded_end_ms(end_ms, video_end_ms.min(limits.max_duration_ms));
    // The intended length of a truncated video is unknown.
    if stretcher.rendered_frames() > 0 && until_ms > end_ms && warnings.is_empty() {
        let padding = until_ms * RATE_HZ / 1000 - stretcher.rendered_frames();
        stretcher.render_silence(padding, &mut on_timeline)?;
    }
    repair.finish(&mut write_frames)?;
    warnings.extend(repair.warnings());
    match stretcher.rendered_frames() {
        0 => Err(Error::input("decode_failed", "The sound of this recording can't be played.")),
        frames => Ok(DecodeSummary { frames, warnings }),
    }
}

/// Replaces what is not a number, which damaged float audio may hold. It must not reach the
/// filters.
fn finite(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-4.0, 4.0) } else { 0.0 }
}
