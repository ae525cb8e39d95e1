//! One audio rendition: packets to segments, segments to a playlist.

use super::aac::{PACKET_FRAMES, Packet};
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::fmp4::{Media, Sample, Track, fragment, init_segment};
use crate::hls::{MediaPlaylist, PlaylistSegment, TARGET_DURATION_S, media_playlist, peak_and_mean_bps};
use crate::report::AudioRenditionReport;

/// Packets in a segment: exactly 3.2 s, as the picture's grid.
const SEGMENT_PACKETS: usize = 150;

/// What a rendition is to be.
#[derive(Clone, Copy, Debug)]
pub struct RenditionPlan {
    /// Its name, and its folder's.
    pub name: &'static str,
    /// Channels.
    pub channels: u32,
    /// Bits per second.
    pub bitrate_bps: u32,
}

/// For the weak line and for listening alone, and for all else. The small one is asked for 30 kbit/s: with its tables,
/// and what the encoder goes over on telephone sound, a segment then stays near 32.
pub const RENDITIONS: [RenditionPlan; 2] = [
    RenditionPlan { name: "a32", channels: 1, bitrate_bps: 30_000 },
    RenditionPlan { name: "a96", channels: 2, bitrate_bps: 96_000 },
];

/// A rendition being written.
pub struct Rendition<'a> {
    ctx: &'a StepContext,
    plan: RenditionPlan,
    language: Option<[u8; 3]>,
    track: Option<Track>,
    /// Length of the signal.
    frames: u64,
    /// Packets the signal fills; those after it are the encoder's padding.
    wanted: u64,
    seen: u64,
    pending: Vec<Vec<u8>>,
    segments: Vec<PlaylistSegment>,
    sizes: Vec<u64>,
}

impl<'a> Rendition<'a> {
    /// A rendition of a signal of `frames` frames.
    pub fn new(ctx: &'a StepContext, plan: RenditionPlan, language: Option<[u8; 3]>, frames: u64) -> Self {
        let wanted = frames.div_ceil(PACKET_FRAMES);
        let pending = Vec::with_capacity(SEGMENT_PACKETS);
        Self {
            ctx,
            plan,
            language,
            track: None,
            frames,
            wanted,
            seen: 0,
            pending,
            segments: Vec::new(),
            sizes: Vec::new(),
        }
    }

    /// Channels of the signal.
    pub fn channels(&self) -> usize {
        self.plan.channels as usize
    }

    /// Takes the next packet.
    pub fn packet(&mut self, packet: Packet) -> Result<()> {
        self.seen += 1;
        if self.track.is_none() {
            let track = Track {
                timescale: 48_000,
                language: self.language,
                media: Media::Aac {
                    config: packet.config,
                    channels: self.plan.channels as u16,
                    sample_rate_hz: 48_000,
                    bitrate_bps: self.plan.bitrate_bps,
                },
            };
            self.ctx.write_output(&self.file("init.mp4"), &init_segment(&track))?;
            self.track = Some(track);
        }
        // The first packet holds what the encoder made up before the signal. Without it, sample 0 is at time 0 for
        // every player, with no edit list.
        if self.seen == 1 || self.seen > self.wanted + 1 {
            return Ok(());
        }
        self.pending.push(packet.data);
        if self.pending.len() == SEGMENT_PACKETS { self.segment() } else { Ok(()) }
    }

    fn segment(&mut self) -> Result<()> {
        let number = self.segments.len() as u32 + 1;
        let start = self.segments.len() as u64 * SEGMENT_PACKETS as u64 * PACKET_FRAMES;
        // The last packet lasts as long as there is signal in it.
        let left = (start..self.frames).step_by(PACKET_FRAMES as usize).map(|at| self.frames - at);
        let samples: Vec<Sample<'_>> = self
            .pending
            .iter()
            .zip(left)
            .map(|(data, left)| {
                let duration = left.min(PACKET_FRAMES) as u32;
                Sample { data, duration, composition_offset: 0, sync: true }
            })
            .collect();
        let bytes = fragment(number, start, &samples);
        let uri = format!("{number:05}.m4s");
        self.ctx.write_output(&self.file(&uri), &bytes)?;
        self.sizes.push(bytes.len() as u64);
        self.segments.push(PlaylistSegment {
            uri,
            duration_ticks: samples.iter().map(|s| u64::from(s.duration)).sum(),
            byte_range: None,
        });
        self.pending.clear();
        Ok(())
    }

    /// Writes what is left and the playlist.
    pub fn finish(mut self) -> Result<AudioRenditionReport> {
        if !self.pending.is_empty() {
            self.segment()?;
        }
        let track = self.track.take().filter(|_| self.seen > self.wanted).ok_or_else(|| {
            Error::internal(format!("the encoder made {} packets of {}", self.seen, self.wanted + 1))
        })?;
        let playlist = self.file("index.m3u8");
        let text = media_playlist(&MediaPlaylist {
            timescale: 48_000,
            target_duration_s: TARGET_DURATION_S,
            init_uri: Some("init.mp4"),
            iframes_only: false,
            segments: &self.segments,
        });
        self.ctx.write_output(&playlist, text.as_bytes())?;
        let (bandwidth_bps, average_bandwidth_bps) = peak_and_mean_bps(
            48_000,
            self.segments.iter().map(|s| s.duration_ticks).zip(self.sizes.iter().copied()),
        );
        Ok(AudioRenditionReport {
            name: self.plan.name.to_owned(),
            channels: self.plan.channels,
            codecs: track.codecs(),
            bandwidth_bps,
            average_bandwidth_bps,
            playlist,
            segments: self.segments.len() as u32,
            duration_ms: (self.frames * 1000).div_ceil(48_000),
        })
    }

    fn file(&self, name: &str) -> String {
        format!("audio/{}/{name}", self.plan.name)
    }
}
