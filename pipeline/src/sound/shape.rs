//! The second pass: gain and limiter, then both renditions and the WAV for speech, in one go over the decoded sound.

use std::path::Path;

use super::AudioReport;
use super::aac::AacEncoder;
use super::fir::Decimator;
use super::limiter::Limiter;
use super::loudness::{CEILING_DBTP, Loudness, amplitude};
use super::pcm::{PcmReader, WavWriter};
use super::rendition::{RENDITIONS, Rendition};
use crate::error::Result;
use crate::step::StepContext;

/// Path of the WAV for speech, as announced.
pub const SPEECH_PATH: &str = "work/speech.wav";

/// Frames handled at a time: half a second.
const BLOCK_FRAMES: usize = 24_000;

/// Makes everything out of the decoded sound at `pcm`, `frames` long. `progress` is told the frames done.
pub fn shape(
    pcm: &Path,
    frames: u64,
    loudness: &Loudness,
    language: Option<[u8; 3]>,
    ctx: &StepContext,
    mut progress: impl FnMut(u64),
) -> Result<Vec<AudioReport>> {
    let gain = amplitude(loudness.gain_db()) as f32;
    let mut limiter = Limiter::new(amplitude(CEILING_DBTP) as f32);
    let mut decimator = Decimator::new();
    let mut speech = WavWriter::create(&ctx.path(SPEECH_PATH)?, 16_000)?;
    let mut lanes = RENDITIONS
        .iter()
        .map(|plan| {
            let encoder = AacEncoder::start(plan.channels, plan.bitrate_bps)?;
            Ok((encoder, Rendition::new(ctx, *plan, language, frames)))
        })
        .collect::<Result<Vec<_>>>()?;

    let mut reader = PcmReader::open(pcm)?;
    let (mut input, mut limited, mut mono, mut low) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut done, mut ended) = (0, false);
    while !ended {
        ctx.check()?;
        reader.read(BLOCK_FRAMES, &mut input)?;
        limited.clear();
        if input.is_empty() {
            ended = true;
            limiter.finish(&mut limited);
        } else {
            input.iter_mut().flatten().for_each(|sample| *sample *= gain);
            limiter.push(&input, &mut limited);
        }
        mono.clear();
        // Channels that cancel each other would leave nothing.
        mono.extend(limited.iter().map(|[l, r]| if loudness.opposed { *l } else { (l + r) / 2.0 }));
        low.clear();
        decimator.push(&mono, &mut low);
        if ended {
            decimator.finish(&mut low);
        }
        speech.write(&low)?;
        for (encoder, rendition) in &mut lanes {
            let samples = if rendition.channels() == 1 { &mono } else { limited.as_flattened() };
            if !samples.is_empty() {
                encoder.push(samples, |packet| rendition.packet(packet))?;
            }
        }
        done += limited.len() as u64;
        progress(done);
    }
    speech.finish()?;
    ctx.output(SPEECH_PATH)?;
    lanes
        .into_iter()
        .map(|(mut encoder, mut rendition)| {
            // The encoder holds back what does not fill a packet: it gets silence up to there, and one more.
            let tail = vec![0.0; (2048 - (done % 1024) as usize) * rendition.channels()];
            encoder.push(&tail, |packet| rendition.packet(packet))?;
            encoder.finish(|packet| rendition.packet(packet))?;
            rendition.finish()
        })
        .collect()
}
