//! The second pass over the decoded audio: gain and limiter, then both renditions and the WAV file
//! for transcription.

use serde::{Deserialize, Serialize};

use super::aac::AacEncoder;
use super::fir::Decimator;
use super::limiter::Limiter;
use super::loudness::{CEILING_DBTP, Loudness, db_to_amplitude};
use super::rendition::{AudioRenditionWriter, RENDITIONS};
use super::silencer::Silencer;
use super::wav::WavWriter;
use crate::context::StepContext;
use crate::error::Result;
use crate::report::AudioRenditionReport;

/// Frames processed at a time: half a second.
const BLOCK_FRAMES: usize = 24_000;

/// Outputs of the step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioOutputs {
    /// Renditions, and audio for transcription.
    #[default]
    All,
    /// Audio for transcription.
    Speech,
    /// Renditions.
    Renditions,
}

/// Plan of the outputs.
pub struct RenderPlan<'a> {
    /// What is made.
    pub outputs: AudioOutputs,
    /// Spans that are silent in the renditions, in ms, in order.
    pub silenced_ms: &'a [(u64, u64)],
    /// Language of the renditions.
    pub language: Option<[u8; 3]>,
}

/// Renders all outputs of the step, block by block.
pub struct AudioRenderer<'a> {
    gain: f32,
    has_inverted_channel: bool,
    limiter: Limiter,
    decimator: Decimator,
    speech_wav: Option<WavWriter<'a>>,
    silencer: Silencer,
    outputs: Vec<(AacEncoder, AudioRenditionWriter<'a>)>,
    /// Frames that the first pass counted.
    expected: u64,
    /// Frames received so far.
    received: u64,
    input: Vec<[f32; 2]>,
    limited: Vec<[f32; 2]>,
    mono: Vec<f32>,
    low_rate: Vec<f32>,
}

impl<'a> AudioRenderer<'a> {
    /// Creates the outputs for measured audio of `frames` frames.
    pub fn new(
        ctx: &'a StepContext,
        frames: u64,
        loudness: &Loudness,
        plan: &RenderPlan<'_>,
    ) -> Result<Self> {
        let renditions: &[_] = if plan.outputs == AudioOutputs::Speech { &[] } else { &RENDITIONS };
        let outputs = renditions
            .iter()
            .map(|rendition| {
                let encoder = AacEncoder::start(rendition.channels, rendition.bitrate_bps)?;
                Ok((encoder, AudioRenditionWriter::new(ctx, *rendition, plan.language, frames)))
            })
            .collect::<Result<_>>()?;
        let has_speech = plan.outputs != AudioOutputs::Renditions;
        let speech_wav = has_speech.then(|| WavWriter::create(ctx, frames.div_ceil(3))).transpose()?;
        Ok(Self {
            gain: db_to_amplitude(loudness.gain_db()) as f32,
            has_inverted_channel: loudness.has_inverted_channel,
            limiter: Limiter::new(db_to_amplitude(CEILING_DBTP) as f32),
            decimator: Decimator::new(),
            speech_wav,
            silencer: Silencer::new(plan.silenced_ms),
            outputs,
            expected: frames,
            received: 0,
            input: Vec::with_capacity(BLOCK_FRAMES),
            limited: Vec::new(),
            mono: Vec::new(),
            low_rate: Vec::new(),
        })
    }

    /// Adds the next frames; ignores those beyond the measured length.
    pub fn push(&mut self, frames: &[[f32; 2]]) -> Result<()> {
        let room = self.expected.saturating_sub(self.received);
        self.received += frames.len() as u64;
        let mut frames = &frames[..room.min(frames.len() as u64) as usize];
        while !frames.is_empty() {
            let (now, rest) = frames.split_at(frames.len().min(BLOCK_FRAMES - self.input.len()));
            self.input.extend(now.iter().map(|frame| frame.map(|sample| sample * self.gain)));
            if self.input.len() == BLOCK_FRAMES {
                self.render_block(false)?;
            }
            frames = rest;
        }
        Ok(())
    }

    fn render_block(&mut self, is_last: bool) -> Result<()> {
        self.limited.clear();
        self.limiter.push(&self.input, &mut self.limited);
        self.input.clear();
        if is_last {
            self.limiter.finish(&mut self.limited);
        }
        // After the limiter, so that what is around a name has the level that it had.
        self.silencer.apply(&mut self.limited);
        self.mono.clear();
        // The sum of inverted channels would have no voice.
        let has_inverted_channel = self.has_inverted_channel;
        self.mono
            .extend(self.limited.iter().map(|[l, r]| if has_inverted_channel { *l } else { (l + r) / 2.0 }));
        self.low_rate.clear();
        self.decimator.push(&self.mono, &mut self.low_rate);
        if is_last {
            self.decimator.finish(&mut self.low_rate);
        }
        if let Some(speech_wav) = &mut self.speech_wav {
            speech_wav.write(&self.low_rate)?;
        }
        for (encoder, rendition) in &mut self.outputs {
            let samples = if rendition.channels() == 1 { &self.mono } else { self.limited.as_flattened() };
            if !samples.is_empty() {
                encoder.push(samples, |packet| rendition.push_packet(packet))?;
            }
        }
        Ok(())
    }

    /// Whether as many frames arrived as were measured. A decoder may not reach the same position
    /// in damaged audio twice.
    pub fn is_complete(&self) -> bool {
        self.received == self.expected
    }

    /// Completes the renditions, and the parts of the WAV file for transcription. Missing frames
    /// are silent.
    pub fn finish(mut self) -> Result<(Vec<AudioRenditionReport>, Vec<String>)> {
        while self.received < self.expected {
            let missing = (self.expected - self.received).min(BLOCK_FRAMES as u64);
            self.push(&[[0.0; 2]; BLOCK_FRAMES][..missing as usize])?;
        }
        self.render_block(true)?;
        let speech_parts = self.speech_wav.map(WavWriter::finish).transpose()?.unwrap_or_default();
        let renditions = self.outputs.into_iter().map(|(mut encoder, mut rendition)| {
            // The encoder keeps audio that does not fill a packet. Silence fills that packet, and
            // one more.
            let tail = vec![0.0; (2048 - (self.expected % 1024) as usize) * rendition.channels()];
            encoder.push(&tail, |packet| rendition.push_packet(packet))?;
            encoder.finish(|packet| rendition.push_packet(packet))?;
            rendition.finish()
        });
        Ok((renditions.collect::<Result<_>>()?, speech_parts))
    }
}
