//! The chosen track decoded, to 48 kHz stereo on the recording's timeline.

use gstreamer as gst;

use super::timeline::{Placer, RATE_HZ, ms_of_frames};
use crate::error::{Error, ErrorKind, Result};
use crate::gst::{Kind, Sequence, capsfilter, element_with, mixer};
use crate::media::{self, Limits, MediaInfo, Warning};
use crate::source::Source;
use crate::step::StepContext;

/// Frames of silence handed out at a time.
static SILENCE: [[f32; 2]; 4800] = [[0.0; 2]; 4800];

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
    let tail = vec![mixer(2)?, element_with("audioresample", &[("quality", "8")])?, capsfilter(&caps)?];
    let mut decoding = Sequence::open(source, media, Kind::Audio, limits, tail)?;
    decoding.start()?;

    let most_frames = limits.max_duration_ms.saturating_mul(RATE_HZ) / 1000;
    let silence = |mut frames: u64, take: &mut dyn FnMut(&[[f32; 2]]) -> Result<()>| {
        while frames > 0 {
            ctx.check()?;
            let now = frames.min(SILENCE.len() as u64);
            take(&SILENCE[..now as usize])?;
            frames -= now;
        }
        Ok::<_, Error>(())
    };
    let mut placer = Placer::default();
    let mut frames: Vec<[f32; 2]> = Vec::new();
    while let Some(decoded) = decoding.next(ctx)? {
        let bytes =
            decoded.buffer.map_readable().map_err(|_| Error::internal("a buffer was not readable"))?;
        let sample = |b: &[u8]| finite(f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        frames.clear();
        frames.extend(bytes.chunks_exact(8).map(|f| [sample(&f[..4]), sample(&f[4..])]));
        let placement = placer.place(decoded.time_ns, frames.len() as u64);
        if placer.frames() > most_frames {
            return Err(Error::new(ErrorKind::LimitExceeded, "too_long", "The recording is too long."));
        }
        silence(placement.silence, &mut take)?;
        take(&frames[placement.skip as usize..])?;
    }
    silence(placer.finish(), &mut take)?;
    let (end_ms, mut warnings) = (ms_of_frames(placer.frames()), Vec::new());
    let expected_ms = media.audio.as_ref().map_or(0, |track| track.end_ms);
    if media::is_short(end_ms, expected_ms) {
        warnings.push(Warning::cut_short("sound", end_ms, expected_ms));
    } else if let Some((lost, packets)) = decoding.lost() {
        warnings.push(Warning::damaged("sound", lost, packets));
    } else if decoding.broken().is_some() {
        warnings.push(Warning::new("damaged", "The sound is damaged near its end."));
    }
    if let Some(error) = decoding.broken() {
        tracing::warn!(after_ms = end_ms, error = %error, "the sound ends early");
    }
    let picture_ms = media.video.as_ref().map_or(0, |track| track.end_ms);
    let until_ms = media::held_until(end_ms, picture_ms.min(limits.max_duration_ms));
    let mut all = placer.frames();
    // Of a file that is cut off nobody knows how long the picture is.
    if all > 0 && until_ms > end_ms && warnings.is_empty() {
        let held = until_ms * RATE_HZ / 1000 - all;
        silence(held, &mut take)?;
        all += held;
    }
    match all {
        0 => Err(Error::input("decode_failed", "The sound of this recording can't be played.")),
        frames => Ok(Pass { frames, warnings }),
    }
}

/// Damaged float sound can hold anything; nothing but numbers may reach the filters.
fn finite(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-4.0, 4.0) } else { 0.0 }
}
