//! Second stage: a pass over a file's packets, without decoding. It finds the tracks, and when they
//! start and end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::inspection::Inspection;
use super::packet_observer::{PacketObserver, PacketTimes, ScanDetail};
use super::scanned_track::{ScannedTrack, SharedTracks};
use super::unreadable::nothing_playable;
use crate::container::{integrity, scrambling};
use crate::context::StepContext;
use crate::cpu_clock::ContentionClock;
use crate::error::{Error, Result};
use crate::gst::{RunningPipeline, encrypted, is_audio, is_video, open_demuxer};
use crate::limits::MAX_FULL_SCAN_BYTES;
use crate::mp4::sample_times::SampleTimes;
use crate::source::{ReadAt, Source};

/// Most bytes read of a file that is too large to be read to its end.
const MAX_PARTIAL_SCAN_BYTES: u64 = 24 << 20;
/// Longest scan.
const MAX_SCAN_TIME: Duration = Duration::from_millis(2500);
/// Longest search for frame sizes in a large file.
const MAX_SAMPLING_TIME: Duration = Duration::from_millis(1500);
/// The step's clock at the end of the last scan of a file: its tracks still have to be decoded
/// within the step's deadline.
const MAX_SCAN_END: Duration = Duration::from_millis(5000);
/// Longest wait for the demuxer before the clock is read again.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The result of a scan.
pub struct Scan {
    /// Tracks in the demuxer's order.
    pub tracks: Vec<ScannedTrack>,
    /// Whether the file was read to its end.
    pub is_complete: bool,
    /// Length that the demuxer declares, in ns.
    pub declared_ns: Option<u64>,
    /// What went wrong, if the file is damaged.
    pub error: Option<Error>,
}

/// Most bytes that a scan reads of a file of this size.
pub fn max_read_bytes(size_bytes: u64) -> u64 {
    if size_bytes <= MAX_FULL_SCAN_BYTES { u64::MAX } else { MAX_PARTIAL_SCAN_BYTES }
}

/// Scans a recording that its demuxer reads from `readable`.
pub fn scan_recording(inspection: &Inspection<'_>, readable: &Source) -> Result<Scan> {
    let (source, container) = (inspection.source.as_ref(), inspection.container);
    if scrambling::is_scrambled(source, container)? {
        return Err(encrypted());
    }
    if container == "wav" && !integrity::wav_has_samples(source)? {
        return Err(nothing_playable(Some(Error::internal("a WAV has no samples"))));
    }
    // The demuxer of a transport stream starts its segment at the first packet, a keyframe. Frames
    // that are presented earlier may follow.
    let times = if container == "mpegts" { PacketTimes::Unclipped } else { PacketTimes::Running };
    let scanner = Scanner {
        container,
        times,
        detail: ScanDetail::TimesAndSizes,
        max_bytes: max_read_bytes(source.size_bytes()),
        clock: inspection.clock,
        ctx: inspection.ctx,
    };
    scanner.scan(readable.clone())
}

/// Scans an MP4 of one track without an edit list: its times are media times.
pub fn scan_track(
    source: Source,
    max_bytes: u64,
    clock: &ContentionClock,
    ctx: &StepContext,
) -> Result<Scan> {
    let (times, detail) = (PacketTimes::Media, ScanDetail::Times);
    Scanner { container: "mp4", times, detail, max_bytes, clock, ctx }.scan(source)
}

/// How a source is scanned.
struct Scanner<'a> {
    container: &'a str,
    times: PacketTimes,
    detail: ScanDetail,
    max_bytes: u64,
    clock: &'a ContentionClock,
    ctx: &'a StepContext,
}

impl Scanner<'_> {
    /// Reads packets until the end, until the byte limit, or as long as the clock leaves time.
    fn scan(&self, source: Source) -> Result<Scan> {
        let counting = Arc::new(CountingSource { inner: source, read_bytes: AtomicU64::new(0) });
        let (pipeline, demux) = open_demuxer(counting.clone(), self.container)?;
        let tracks = SharedTracks::default();
        let observer = PacketObserver::new(tracks.clone(), pipeline.downgrade(), self.times, self.detail);
        let sampler = observer.sampler();
        if let Some(pad) = demux.static_pad("src") {
            observer.observe(&pad);
        } else {
            demux.connect_pad_added(move |_, pad| observer.observe(pad));
        }
        let stage = RunningPipeline::new(pipeline);
        let (is_complete, error) = self.read_packets(&stage, &counting)?;
        let declared_ns = demux
            .query_duration::<gst::ClockTime>()
            .or_else(|| stage.pipeline.query_duration::<gst::ClockTime>())
            .map(gst::ClockTime::nseconds);
        if let (ScanDetail::TimesAndSizes, false, None, Some(declared_ns)) =
            (self.detail, is_complete, &error, declared_ns)
        {
            let until = (self.clock.elapsed() + MAX_SAMPLING_TIME).min(MAX_SCAN_END);
            let has_read_enough = || counting.read_bytes() > self.max_bytes.saturating_mul(2);
            let is_over = || has_read_enough() || self.clock.elapsed() > until;
            sampler.sample(&demux, &tracks, declared_ns, &is_over, self.ctx)?;
        }
        drop(stage);
        let tracks = std::mem::take(&mut *tracks.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Scan { tracks, is_complete, declared_ns, error })
    }

    /// Whether the end was reached, and what went wrong in the file.
    fn read_packets(
        &self,
        stage: &RunningPipeline,
        counting: &CountingSource,
    ) -> Result<(bool, Option<Error>)> {
        let until = (self.clock.elapsed() + MAX_SCAN_TIME).min(MAX_SCAN_END);
        if let Err(error) = stage.start(gst::State::Playing) {
            return Ok((false, Some(error)));
        }
        loop {
            self.ctx.check_cancelled()?;
            match stage.wait_for_end(POLL_INTERVAL) {
                Ok(true) => return Ok((true, None)),
                Ok(false) => {}
                Err(error) => return Ok((false, Some(error))),
            }
            if counting.read_bytes() > self.max_bytes || self.clock.elapsed() > until {
                return Ok((false, None));
            }
        }
    }
}

/// A source that counts the bytes read, so that a large file is not read to its end.
struct CountingSource {
    inner: Source,
    read_bytes: AtomicU64,
}

impl CountingSource {
    fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }
}

impl ReadAt for CountingSource {
    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read_at(offset, buf)?;
        self.read_bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

impl Scan {
    /// The scan of one track whose samples are known from its tables.
    pub fn from_sample_times(track_id: Option<u32>, times: SampleTimes) -> Self {
        let track = ScannedTrack {
            track_id,
            packets: times.samples,
            start_ns: times.times_ns.first().copied(),
            end_ns: times.end_ns,
            times_ns: times.times_ns,
            last_keyframe_ns: times.keyframe_ns,
            keyframes_apart_ns: times.keyframes_apart_ns,
            ..ScannedTrack::default()
        };
        Self { tracks: vec![track], is_complete: true, declared_ns: None, error: None }
    }

    /// The track of this ID, if something of it is presented.
    pub fn track(&self, track_id: Option<u32>) -> Option<&ScannedTrack> {
        self.tracks.iter().find(|track| track.track_id == track_id && track.start_ns.is_some())
    }

    /// Extends the tracks to their ends in a scan of the file's end, if that scan got there.
    pub fn extend_ends(&mut self, last: &Self) {
        // If the file is cut off, the end is that of what can be read.
        if !last.is_complete && last.error.is_none() {
            return;
        }
        let mut is_further = false;
        for track in &mut self.tracks {
            if let Some(last) = last.tracks.iter().find(|last| last.track_id == track.track_id) {
                is_further |= last.end_ns > track.end_ns;
                track.end_ns = track.end_ns.max(last.end_ns);
                track.last_keyframe_ns = track.last_keyframe_ns.max(last.last_keyframe_ns);
            }
        }
        self.is_complete = last.is_complete || is_further;
    }

    /// Whether a track needs a key, by the names that demuxers give to such tracks.
    pub fn is_encrypted(&self) -> bool {
        let name = |track: &ScannedTrack| Some(track.caps.as_ref()?.structure(0)?.name().to_string());
        let encrypted = ["application/x-webm-enc", "application/x-cenc", "application/x-cbcs"];
        self.tracks.iter().filter_map(name).any(|name| encrypted.contains(&name.as_str()))
    }

    /// Video and audio tracks with packets, each kind numbered in the demuxer's order.
    pub fn media_tracks(&self) -> Vec<ScannedTrack> {
        let (mut videos, mut audios) = (0, 0);
        let mut found = Vec::new();
        for track in &self.tracks {
            let Some(caps) = &track.caps else { continue };
            let is_video = is_video(caps);
            if !is_video && !is_audio(caps) {
                continue;
            }
            let count = if is_video { &mut videos } else { &mut audios };
            let index = *count;
            *count += 1;
            if track.packets > 0 {
                found.push(ScannedTrack { index, is_video, ..track.clone() });
            }
        }
        found
    }
}
