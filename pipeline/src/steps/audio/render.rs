//! What the second pass makes of the decoded sound: gain and limiter, then both renditions and the WAV for speech.

use super::aac::AacEncoder;
use super::fir::Decimator;
use super::limiter::Limiter;
use super::loudness::{CEILING_DBTP, Loudness, amplitude};
use super::rendition::{RENDITIONS, Rendition};
use super::wav::WavWriter;
use crate::context::StepContext;
use crate::error::Result;
use crate::report::AudioRenditionReport;

/// Frames handled at a time: half a second.
const BLOCK_FRAMES: usize = 24_000;

/// Makes everything, frame by frame.
pub struct Shaper<'a> {
    gain: f32,
    opposed: bool,
    limiter: Limiter,
    decimator: Decimator,
    speech: WavWriter<'a>,
    lanes: Vec<(AacEncoder, Rendition<'a>)>,
    /// What the first pass counted, and what has come.
    expected: u64,
    taken: u64,
    input: Vec<[f32; 2]>,
    limited: Vec<[f32; 2]>,
    mono: Vec<f32>,
    low: Vec<f32>,
}

impl<'a> Shaper<'a> {
    /// For a sound of `frames` frames that was measured.
    pub fn new(
        ctx: &'a StepContext,
        frames: u64,
        loudness: &Loudness,
        language: Option<[u8; 3]>,
    ) -> Result<Self> {
        let lanes = RENDITIONS
            .iter()
            .map(|plan| {
                let encoder = AacEncoder::start(plan.channels, plan.bitrate_bps)?;
                Ok((encoder, Rendition::new(ctx, *plan, language, frames)))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            gain: amplitude(loudness.gain_db()) as f32,
            opposed: loudness.opposed,
            limiter: Limiter::new(amplitude(CEILING_DBTP) as f32),
            decimator: Decimator::new(),
            speech: WavWriter::create(ctx, frames.div_ceil(3))?,
            lanes,
            expected: frames,
            taken: 0,
            input: Vec::with_capacity(BLOCK_FRAMES),
            limited: Vec::new(),
            mono: Vec::new(),
            low: Vec::new(),
        })
    }

    /// Takes the next frames; those beyond what was measured are left out.
    pub fn push(&mut self, frames: &[[f32; 2]]) -> Result<()> {
        let room = self.expected.saturating_sub(self.taken);
        self.taken += frames.len() as u64;
        let mut frames = &frames[..room.min(frames.len() as u64) as usize];
        while !frames.is_empty() {
            let (now, rest) = frames.split_at(frames.len().min(BLOCK_FRAMES - self.input.len()));
            self.input.extend(now.iter().map(|frame| frame.map(|sample| sample * self.gain)));
            if self.input.len() == BLOCK_FRAMES {
                self.block(false)?;
            }
            frames = rest;
        }
        Ok(())
    }

    fn block(&mut self, last: bool) -> Result<()> {
        self.limited.clear();
        self.limiter.push(&self.input, &mut self.limited);
        self.input.clear();
        if last {
            self.limiter.finish(&mut self.limited);
        }
        self.mono.clear();
        // Channels that cancel each other would leave nothing.
        let opposed = self.opposed;
        self.mono.extend(self.limited.iter().map(|[l, r]| if opposed { *l } else { (l + r) / 2.0 }));
        self.low.clear();
        self.decimator.push(&self.mono, &mut self.low);
        if last {
            self.decimator.finish(&mut self.low);
        }
        self.speech.write(&self.low)?;
        for (encoder, rendition) in &mut self.lanes {
            let samples = if rendition.channels() == 1 { &self.mono } else { self.limited.as_flattened() };
            if !samples.is_empty() {
                encoder.push(samples, |packet| rendition.packet(packet))?;
            }
        }
        Ok(())
    }

    /// Whether as much has come as was measured: a decoder may not come equally far in a damaged sound twice.
    pub fn is_whole(&self) -> bool {
        self.taken == self.expected
    }

    /// Completes everything: the renditions, and the parts of the WAV for speech. What is missing is silent.
    pub fn finish(mut self) -> Result<(Vec<AudioRenditionReport>, Vec<String>)> {
        while self.taken < self.expected {
            let missing = (self.expected - self.taken).min(BLOCK_FRAMES as u64);
            self.push(&[[0.0; 2]; BLOCK_FRAMES][..missing as usize])?;
        }
        self.block(true)?;
        let speech = self.speech.finish()?;
        let renditions = self.lanes.into_iter().map(|(mut encoder, mut rendition)| {
            // The encoder holds back what does not fill a packet: it gets silence up to there, and one more.
            let tail = vec![0.0; (2048 - (self.expected % 1024) as usize) * rendition.channels()];
            encoder.push(&tail, |packet| rendition.packet(packet))?;
            encoder.finish(|packet| rendition.packet(packet))?;
            rendition.finish()
        });
        Ok((renditions.collect::<Result<_>>()?, speech))
    }
}
