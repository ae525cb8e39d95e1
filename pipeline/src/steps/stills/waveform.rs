//! The poster of a recording without video: its waveform.

use gstreamer as gst;
use image::{Rgb, RgbImage};

use super::request::StillsRequest;
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::gst::{MultiPartDecoder, TrackKind, capsfilter, downmixer, element};
use crate::source::Source;

/// Samples per second that are analysed: enough for speech.
const RATE_HZ: usize = 8000;
/// Samples of one level: a tenth of a second.
const LEVEL_SAMPLES: usize = RATE_HZ / 10;
/// Bars on the poster.
const BARS: usize = 48;
/// Size of the poster, in pixels.
const SIZE_PIXELS: (u32, u32) = (960, 540);

/// Returns the level over time: the root mean square of each tenth of a second.
pub fn levels(source: Source, request: &StillsRequest, ctx: &StepContext) -> Result<Vec<f32>> {
    crate::gst::init()?;
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", RATE_HZ as i32)
        .field("channels", 1)
        .build();
    let tail = vec![downmixer(1)?, element("audioresample")?, capsfilter(&caps)?];
    let mut decoding =
        MultiPartDecoder::open(source, &request.media, TrackKind::Audio, &request.limits, tail)?;
    decoding.start()?;
    let max_levels = request.limits.max_duration_ms as usize / 100;
    let (mut levels, mut energy, mut count) = (Vec::new(), 0.0f32, 0);
    while let Some(decoded) = decoding.next(ctx)? {
        let bytes =
            decoded.buffer.map_readable().map_err(|_| Error::internal("a buffer was not readable"))?;
        for sample in bytes.chunks_exact(4) {
            let sample = f32::from_le_bytes([sample[0], sample[1], sample[2], sample[3]]);
            energy += if sample.is_finite() { sample.clamp(-4.0, 4.0).powi(2) } else { 0.0 };
            count += 1;
            if count == LEVEL_SAMPLES {
                levels.push((energy / LEVEL_SAMPLES as f32).sqrt());
                (energy, count) = (0.0, 0);
            }
        }
        if levels.len() > max_levels {
            break;
        }
        ctx.report_progress(levels.len() as u64 * 100, request.media.duration_ms);
    }
    Ok(levels)
}

/// Heights of the bars, 0 to 1: the 90th percentile of each stretch, in dB relative to the loudest.
fn bars(levels: &[f32]) -> Vec<f32> {
    let loud: Vec<f32> = (0..BARS)
        .map(|i| {
            let (from, to) = (i * levels.len() / BARS, (i + 1) * levels.len() / BARS);
            let mut part = levels.get(from..to.max(from + 1).min(levels.len())).unwrap_or(&[]).to_vec();
            part.sort_by(f32::total_cmp);
            part.get(part.len() * 9 / 10).copied().unwrap_or(0.0)
        })
        .collect();
    let max = loud.iter().copied().fold(0.0, f32::max);
    if max < 1e-5 {
        return vec![0.0; BARS];
    }
    // 36 dB below the loudest is height 0.
    loud.iter().map(|level| (1.0 + 20.0 * (level / max).max(1e-6).log10() / 36.0).clamp(0.0, 1.0)).collect()
}

/// Draws rounded bars around the middle, on a dark ground.
pub fn draw(levels: &[f32]) -> RgbImage {
    let bars = bars(levels);
    let (width, height) = (SIZE_PIXELS.0 as f32, SIZE_PIXELS.1 as f32);
    let margin = 72.0;
    let pitch = (width - 2.0 * margin) / BARS as f32;
    let radius = pitch * 0.3;
    let tallest = height * 0.31;
    RgbImage::from_fn(SIZE_PIXELS.0, SIZE_PIXELS.1, |x, y| {
        let (x, y) = (x as f32 + 0.5, y as f32 + 0.5);
        let ground = mix([0x17, 0x29, 0x3a], [0x0b, 0x14, 0x20], y / height);
        let at = (x - margin) / pitch;
        if !(0.0..BARS as f32).contains(&at) {
            return Rgb(ground);
        }
        let middle = margin + (at.floor() + 0.5) * pitch;
        let half = radius + bars[at as usize] * tallest;
        // Distance to a line with round ends, blended over one pixel.
        let beyond = ((y - height / 2.0).abs() - (half - radius)).max(0.0);
        let distance = (x - middle).hypot(beyond) - radius;
        let cover = (0.5 - distance).clamp(0.0, 1.0);
        Rgb(mix(ground, mix([0x5e, 0xea, 0xd4], [0x60, 0xa5, 0xfa], at / BARS as f32), cover))
    })
}

fn mix(from: [u8; 3], to: [u8; 3], share: f32) -> [u8; 3] {
    std::array::from_fn(|i| (f32::from(from[i]) * (1.0 - share) + f32::from(to[i]) * share).round() as u8)
}
