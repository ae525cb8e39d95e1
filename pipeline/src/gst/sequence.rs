//! One track of all recordings in a file, decoded one after the other: a [`Decoding`] for each.

use gstreamer as gst;
use gstreamer::prelude::*;

use super::{DecodedBuffer, TrackDecoder, TrackKind};
use crate::context::StepContext;
use crate::error::{Error, Fault, Result};
use crate::limits::Limits;
use crate::media::MediaInfo;
use crate::source::Source;

/// A track being decoded, through all recordings that follow one another in a file.
pub struct MultiPartDecoder {
    source: Source,
    kind: TrackKind,
    limits: Limits,
    tail: Vec<gst::Element>,
    /// The recordings that have the track, the last one first: what they are, and when each begins on the common
    /// timeline, in ms.
    left: Vec<(MediaInfo, u64)>,
    current: TrackDecoder,
    start_ms: u64,
    /// Of the recordings that are over.
    lost: Option<(u64, u64)>,
    broken: Option<Error>,
}

impl MultiPartDecoder {
    /// Opens the chosen track. `tail` are the elements between the decoder and us, in order, as for [`TrackDecoder::open`].
    pub fn open(
        source: Source,
        media: &MediaInfo,
        kind: TrackKind,
        limits: &Limits,
        tail: Vec<gst::Element>,
    ) -> Result<Self> {
        let mut left = recordings(media, kind);
        left.reverse();
        let (first, start_ms) = left.pop().ok_or_else(|| Error::internal("no recording has the track"))?;
        let current = TrackDecoder::open(first.source(source.clone()), &first, kind, limits, tail.clone())?;
        let limits = limits.clone();
        Ok(Self { source, kind, limits, tail, left, current, start_ms, lost: None, broken: None })
    }

    /// The recording that is being decoded.
    pub fn current(&mut self) -> &mut TrackDecoder {
        &mut self.current
    }

    /// Starts decoding.
    pub fn start(&mut self) -> Result<()> {
        self.current.start()
    }

    /// The next buffer, on the common timeline; `None` at the end of the last recording. A recording that cannot be
    /// decoded any further gives way to the next one.
    pub fn next(&mut self, ctx: &StepContext) -> Result<Option<DecodedBuffer>> {
        loop {
            match self.current.next(ctx) {
                Ok(Some(mut decoded)) => {
                    decoded.time_ns += (self.start_ms * 1_000_000) as i64;
                    return Ok(Some(decoded));
                }
                Ok(None) => {}
                Err(error) if error.fault() == Fault::Input && self.start_ms > 0 => {
                    self.broken.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
            if !self.advance()? {
                return Ok(None);
            }
        }
    }

    /// Goes on to the next recording; `false` after the last.
    fn advance(&mut self) -> Result<bool> {
        let Some((next, start_ms)) = self.left.pop() else { return Ok(false) };
        self.lost = self.lost();
        if let Some(error) = self.current.take_broken() {
            self.broken.get_or_insert(error);
        }
        // The same elements go on: what they are set to, and who watches them, stays.
        let pipeline = self.current.stage().pipeline.clone();
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

    /// Why a recording ended early, if one did.
    pub fn broken(&self) -> Option<&Error> {
        self.broken.as_ref().or_else(|| self.current.broken())
    }

    /// As [`TrackDecoder::lost`], of all recordings.
    pub fn lost(&self) -> Option<(u64, u64)> {
        match (self.lost, self.current.lost()) {
            (Some((lost, of)), Some((more, among))) => Some((lost + more, of + among)),
            (one, other) => one.or(other),
        }
    }
}

/// Each recording that has a track of the kind, as if it were alone in the file, and when it begins, in ms.
fn recordings(media: &MediaInfo, kind: TrackKind) -> Vec<(MediaInfo, u64)> {
    if media.parts.is_empty() {
        // The source of a step is that of a recording inside a photo already.
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
