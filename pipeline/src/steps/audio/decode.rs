//! The chosen track decoded, to 48 kHz stereo on the recording's timeline.

use gstreamer as gst;

use super::channels::Repair;
use super::packet_times;
use super::stretch::Stretcher;
use super::timeline::{Placer, RATE_HZ, ms_of_frames};
use crate::context::StepContext;
use crate::error::{Error, ErrorKind, Result};
use crate::gst::{MultiPartDecoder, TrackKind, capsfilter, downmixer, element_with};
use crate::limits::Limits;
use crate::media::{self, MediaInfo, Warning};
use crate::source::Source;

/// What was decoded.
pub struct Pass {
    /// Length, in frames at 48 kHz.
    pub frames: u64,
    /// What was odd.
    pub warnings: Vec<Warning>,
}

/// Decodes the recording's sound and hands `take` all of it in order, silence where there is none.
pub fn decode(
    source: Source,
    media: &MediaInfo,
    limits: &Limits,
    ctx: &StepContext,
    mut take: impl FnMut(&[[f32; 2]]) -> Result<()>,
) -> Result<Pass> {
    crate::gst::init()?;
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", RATE_HZ as i32)
        .field("channels", 2)
        // Without a mask two channels could be anything; with it five are mixed down to left and right.
        .field("channel-mask", gst::Bitmask::new(3))
        .build();
    let resampler = element_with("audioresample", &[("quality", "8")])?;
    packet_times::bypass(&resampler)?;
    let tail = vec![downmixer(2)?, resampler, capsfilter(&caps)?];
    let mut decoding = MultiPartDecoder::open(source, media, TrackKind::Audio, limits, tail)?;
    decoding.start()?;

    let most_frames = limits.max_duration_ms.saturating_mul(RATE_HZ) / 1000;
    let mut repair = Repair::new();
    let mut on_timeline = |frames: &[[f32; 2]]| {
        ctx.check_cancelled()?;
        repair.push(frames, &mut take)
    };
    let (mut placer, mut stretcher) = (Placer::default(), Stretcher::default());
    let mut is_over = false;
    while !is_over {
        match decoding.next(ctx)? {
            Some(decoded) => {
                let bytes = decoded
                    .buffer
                    .map_readable()
                    .map_err(|_| Error::internal("a buffer was not readable"))?;
                let sample = |b: &[u8]| finite(f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                placer.push(decoded.time_ns, bytes.len() as u64 / 8);
                stretcher.push(bytes.chunks_exact(8).map(|f| [sample(&f[..4]), sample(&f[4..])]));
            }
            None => is_over = true,
        }
        while let Some(placed) = placer.next(is_over) {
            if placed.until > most_frames as f64 {
                return Err(Error::new(ErrorKind::LimitExceeded, "too_long", "The recording is too long."));
            }
            stretcher.place(&placed, &mut on_timeline)?;
        }
    }
    stretcher.silence(placer.missing(stretcher.made()), &mut on_timeline)?;
    let (end_ms, mut warnings) = (ms_of_frames(stretcher.made()), Vec::new());
    let expected_ms = media.audio.as_ref().map_or(0, |track| track.end_ms);
    if media::is_short(end_ms, expected_ms) {
        warnings.push(Warning::cut_short("sound", end_ms, expected_ms));
    } else if let Some((lost, packets)) = decoding.lost_packets() {
        warnings.push(Warning::damaged("sound", lost, packets));
    } else if decoding.end_error().is_some() {
        warnings.push(Warning::new("damaged", "The sound is damaged near its end."));
    }
    if let Some(error) = decoding.end_error() {
        tracing::warn!(after_ms = end_ms, error = %error, "the sound ends early");
    }
    let picture_ms = media.video.as_ref().map_or(0, |track| track.end_ms);
    let until_ms = media::padded_end_ms(end_ms, picture_ms.min(limits.max_duration_ms));
    // How long the video of a cut-off file should be is unknown.
    if stretcher.made() > 0 && until_ms > end_ms && warnings.is_empty() {
        let held = until_ms * RATE_HZ / 1000 - stretcher.made();
        stretcher.silence(held, &mut on_timeline)?;
    }
    repair.finish(&mut take)?;
    warnings.extend(repair.notes());
    match stretcher.made() {
        0 => Err(Error::input("decode_failed", "The sound of this recording can't be played.")),
        frames => Ok(Pass { frames, warnings }),
    }
}

/// Damaged float sound can hold anything; nothing but numbers may reach the filters.
fn finite(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-4.0, 4.0) } else { 0.0 }
}
