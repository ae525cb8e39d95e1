//! Writer of one audio rendition: packets to segments, segments to a playlist.

use super::aac::{AacPacket, PACKET_FRAMES};
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::fmp4::{FragmentSample, Track, TrackMedia, fragment, init_segment};
use crate::hls::{MediaPlaylist, PlaylistSegment, TARGET_DURATION_S, media_playlist, peak_and_mean_bps};
use crate::report::AudioRenditionReport;

/// Packets in a segment: exactly 3.2 s, as on the video's grid.
const SEGMENT_PACKETS: usize = 150;

/// Plan of a rendition.
#[derive(Clone, Copy, Debug)]
pub struct AudioRenditionPlan {
    /// Name of the rendition and of its folder.
    pub name: &'static str,
    /// Channels.
    pub channels: u32,
    /// Bits per second.
    pub bitrate_bps: u32,
}

/// One rendition for the weak line and for listening only, one for all else.
///
/// The small one is encoded at 30 kbit/s. With its tables, and the encoder's excess on telephone
/// audio, a segment then stays near 32.
pub const RENDITIONS: [AudioRenditionPlan; 2] = [
    AudioRenditionPlan { name: "a32", channels: 1, bitrate_bps: 30_000 },
    AudioRenditionPlan { name: "a96", channels: 2, bitrate_bps: 96_000 },
];

/// A rendition while it is written.
pub struct AudioRenditionWriter<'a> {
    ctx: &'a StepContext,
    plan: AudioRenditionPlan,
    language: Option<[u8; 3]>,
    track: Option<Track>,
    /// Length of the signal.
    frames: u64,
    /// Number of packets that the signal fills; the encoder's padding follows.
    signal_packets: u64,
    received_packets: u64,
    pending: Vec<Vec<u8>>,
    segments: Vec<PlaylistSegment>,
    sizes: Vec<u64>,
}

impl<'a> AudioRenditionWriter<'a> {
    /// Creates a rendition of a signal of `frames` frames.
    pub fn new(
        ctx: &'a StepContext,
        plan: AudioRenditionPlan,
        language: Option<[u8; 3]>,
        frames: u64,
    ) -> Self {
        let signal_packets = frames.div_ceil(PACKET_FRAMES);
        let pending = Vec::with_capacity(SEGMENT_PACKETS);
        Self {
            ctx,
            plan,
            language,
            track: None,
            frames,
            signal_packets,
            received_packets: 0,
            pending,
            segments: Vec::new(),
            sizes: Vec::new(),
        }
    }

    /// Returns the number of channels.
    pub fn channels(&self) -> usize {
        self.plan.channels as usize
    }

    /// Adds the next packet.
    pub fn push_packet(&mut self, packet: AacPacket) -> Result<()> {
        self.received_packets += 1;
        if self.track.is_none() {
            let track = Track {
                timescale: 48_000,
                language: self.language,
                media: TrackMedia::Aac {
                    config: packet.config,
                    channels: self.plan.channels as u16,
                    sample_rate_hz: 48_000,
                    bitrate_bps: self.plan.bitrate_bps,
                },
            };
            self.ctx.write_output(&self.path("init.mp4"), &init_segment(&track))?;
            self.track = Some(track);
        }
        // The first packet holds what the encoder adds before the signal. Without it, sample 0 is
        // at time 0 for every player, with no edit list.
        if self.received_packets == 1 || self.received_packets > self.signal_packets + 1 {
            return Ok(());
        }
        self.pending.push(packet.data);
        if self.pending.len() == SEGMENT_PACKETS { self.write_segment() } else { Ok(()) }
    }

    fn write_segment(&mut self) -> Result<()> {
        let number = self.segments.len() as u32 + 1;
        let start = self.segments.len() as u64 * SEGMENT_PACKETS as u64 * PACKET_FRAMES;
        // The last packet lasts as long as it has signal.
        let left =
            (start..self.frames).step_by(PACKET_FRAMES as usize).map(|position| self.frames - position);
        let samples: Vec<FragmentSample<'_>> = self
            .pending
            .iter()
            .zip(left)
            .map(|(data, left)| {
                let duration = left.min(PACKET_FRAMES) as u32;
                FragmentSample { data, duration, composition_offset: 0, sync: true }
            })
            .collect();
        let bytes = fragment(number, start, &samples);
        let uri = format!("{number:05}.m4s");
        self.ctx.write_output(&self.path(&uri), &bytes)?;
        self.sizes.push(bytes.len() as u64);
        self.segments.push(PlaylistSegment {
            uri,
            duration_ticks: samples.iter().map(|s| u64::from(s.duration)).sum(),
            byte_range: None,
        });
        self.pending.clear();
        Ok(())
    }

    /// Writes the remaining packets and the playlist.
    pub fn finish(mut self) -> Result<AudioRenditionReport> {
        if !self.pending.is_empty() {
            self.write_segment()?;
        }
        let track =
            self.track.take().filter(|_| self.received_packets > self.signal_packets).ok_or_else(|| {
                Error::internal(format!(
                    "the encoder made {} packets of {}",
                    self.received_packets,
                    self.signal_packets + 1
                ))
            })?;
        let playlist = self.path("index.m3u8");
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

    fn path(&self, name: &str) -> String {
        format!("audio/{}/{name}", self.plan.name)
    }
}
