//! Decodes one track through all recordings that follow one another in a file, each with its own
//! [`TrackDecoder`].

use gstreamer as gst;
use gstreamer::prelude::*;

use super::decoded::{DecodedBuffer, TrackKind};
use super::track_decoder::TrackDecoder;
use crate::context::StepContext;
use crate::error::{Error, Fault, Result};
use crate::limits::Limits;
use crate::media::MediaInfo;
use crate::source::Source;

/// Decoder of one track of all recordings in a file.
pub struct MultiPartDecoder {
    source: Source,
    kind: TrackKind,
    limits: Limits,
    tail: Vec<gst::Element>,
    /// The recordings still to be decoded, the last one first, each with its start on the common
    /// timeline, in ms. Those without the track are left out.
    remaining: Vec<(MediaInfo, u64)>,
    current: TrackDecoder,
    start_ms: u64,
    /// Packets lost in the finished recordings, and of how many.
    lost_packets: Option<(u64, u64)>,
    /// The first error that ended a recording early.
    end_error: Option<Error>,
}

impl MultiPartDecoder {
    /// Opens the chosen track. `tail` is as for [`TrackDecoder::open`].
    pub fn open(
        source: Source,
        media: &MediaInfo,
        kind: TrackKind,
        limits: &Limits,
        tail: Vec<gst::Element>,
    ) -> Result<Self> {
        let mut remaining = recordings(media, kind);
        remaining.reverse();
        let (first, start_ms) =
            remaining.pop().ok_or_else(|| Error::internal("no recording has the track"))?;
        let current = TrackDecoder::open(first.source(source.clone()), &first, kind, limits, tail.clone())?;
        let limits = limits.clone();
        Ok(Self {
            source,
            kind,
            limits,
            tail,
            remaining,
            current,
            start_ms,
            lost_packets: None,
            end_error: None,
        })
    }

    /// The decoder of the current recording.
    pub fn current(&mut self) -> &mut TrackDecoder {
        &mut self.current
    }

    /// Starts decoding.
    pub fn start(&mut self) -> Result<()> {
        self.current.start()
    }

    /// Returns the next buffer, on the common timeline; `None` at the end of the last recording.
    ///
    /// Goes on to the next recording if one cannot be decoded any further.
    pub fn next(&mut self, ctx: &StepContext) -> Result<Option<DecodedBuffer>> {
        loop {
            match self.current.next(ctx) {
                Ok(Some(mut decoded)) => {
                    decoded.time_ns += (self.start_ms * 1_000_000) as i64;
                    return Ok(Some(decoded));
                }
                Ok(None) => {}
                Err(error) if error.fault() == Fault::Input && self.start_ms > 0 => {
                    self.end_error.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
            if !self.advance()? {
                return Ok(None);
            }
        }
    }

    /// Goes on to the next recording. Returns `false` after the last.
    fn advance(&mut self) -> Result<bool> {
        let Some((next, start_ms)) = self.remaining.pop() else { return Ok(false) };
        self.lost_packets = self.lost_packets();
        if let Some(error) = self.current.take_end_error() {
            self.end_error.get_or_insert(error);
        }
        // The same elements are used again, to keep their settings and probes.
        let pipeline = self.current.running_pipeline().pipeline.clone();
        let stopped = pipeline.set_state(gst::State::Null).is_ok();
        if !stopped || self.tail.iter().any(|element| pipeline.remove(element).is_err()) {
            return Err(Error::internal("a recording's decoder could not be taken apart"));
        }
        let source = next.source(self.source.clone());
        self.current = TrackDecoder::open(source, &next, self.kind, &self.limits, self.tail.clone())?;
        self.start_ms = start_ms;
        self.current.start()?;
        Ok(true)
    }

    /// The first error that ended a recording early.
    pub fn end_error(&self) -> Option<&Error> {
        self.end_error.as_ref().or_else(|| self.current.end_error())
    }

    /// Like [`TrackDecoder::lost_packets`], of all recordings.
    pub fn lost_packets(&self) -> Option<(u64, u64)> {
        match (self.lost_packets, self.current.lost_packets()) {
            (Some((lost, of)), Some((more, among))) => Some((lost + more, of + among)),
            (one, other) => one.or(other),
        }
    }
}

/// The recordings that have a track of the kind, each as if it were alone in the file, with their
/// starts, in ms.
fn recordings(media: &MediaInfo, kind: TrackKind) -> Vec<(MediaInfo, u64)> {
    if media.parts.is_empty() {
        // For a recording inside a photo the step's source is already limited to the recording.
        return vec![(MediaInfo { within: None, ..media.clone() }, 0)];
    }
    let mut found = Vec::new();
    for part in &media.parts {
        let index = match kind {
            TrackKind::Video => part.video_index,
            TrackKind::Audio => part.audio_index,
        };
        let Some(index) = index else { continue };
        let mut alone = media.clone();
        (alone.parts, alone.within, alone.origin_ns) = (Vec::new(), Some(part.within), part.origin_ns);
        alone.video_gap = part.video_gap;
        if let Some(video) = alone.video.as_mut().filter(|_| kind == TrackKind::Video) {
            video.stream_index = index;
        }
        if let Some(audio) = alone.audio.as_mut().filter(|_| kind == TrackKind::Audio) {
            audio.stream_index = index;
        }
        found.push((alone, part.start_ms));
    }
    found
}
