//! One track of a recording, decoded: buffers with their time on the common timeline, pulled one by one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::codecs::TrackCodecs;
use super::decode_gate::GateKeeper;
use super::even_times::FrameTimes;
use super::link::{DecodeCounts, Fault, LinkerState, TrackLinker, take};
use super::present::Presenter;
use super::{Orientations, RunningPipeline, STALL_DEADLINE, open_demuxer, signed_ns};
use crate::container::avi_delay::encoder_delay_frames;
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::media::{Gap, MediaInfo, Orientation, VideoTrack};
use crate::mp4::movie;
use crate::source::Source;

/// Which track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackKind {
    /// The chosen picture.
    Video,
    /// The chosen sound.
    Audio,
}

/// A decoded buffer.
pub struct DecodedBuffer {
    /// The samples.
    pub buffer: gst::Buffer,
    /// What they are.
    pub caps: gst::Caps,
    /// Presentation time on the common timeline, in ns; negative before the recording's start.
    pub time_ns: i64,
    /// How long it lasts, in ns, where known.
    pub duration_ns: Option<u64>,
    /// How a frame is brought upright.
    pub turn: Orientation,
}

/// A track being decoded.
pub struct TrackDecoder {
    /// Before the pipeline, which cannot stop while a thread of it is held back.
    gate: GateKeeper,
    stage: RunningPipeline,
    sink: gst_app::AppSink,
    origin_ns: i64,
    /// What of the media is presented, where that is not all of it.
    presenter: Option<Presenter>,
    /// Time that a frame wrongly claims.
    gap: Option<Gap>,
    /// How the pipeline is sought to the start of another pass.
    seek_flags: gst::SeekFlags,
    /// Whether all that is presented was given.
    is_done: bool,
    /// How frames are turned that do not say so themselves, or what they say.
    turn: Orientation,
    orientations: Option<Orientations>,
    fault: Fault,
    tally: Arc<DecodeCounts>,
    delivered: u64,
    broken: Option<Error>,
    /// Whether times are those of the media: an MP4's edits are applied here, not by the demuxer.
    media_time: bool,
    last: Instant,
}

impl TrackDecoder {
    /// Opens the chosen track. `tail` are the elements between the decoder and us, in order: converters and a
    /// caps filter. Nothing runs until [`TrackDecoder::start`].
    pub fn open(
        source: Source,
        media: &MediaInfo,
        kind: TrackKind,
        limits: &Limits,
        tail: Vec<gst::Element>,
    ) -> Result<Self> {
        let index = match kind {
            TrackKind::Video => media.video.as_ref().map(|v| v.stream_index),
            TrackKind::Audio => media.audio.as_ref().map(|a| a.stream_index),
        }
        .ok_or_else(|| Error::internal("the track was not found by inspect"))?;
        let handler = if kind == TrackKind::Video { b"vide" } else { b"soun" };
        let stamps = FrameTimes::for_track(media, kind, &source)?;
        let (source, index, track) = if media.container == "mp4" {
            movie::open_track(source, handler, index)?
        } else {
            (source, index, None)
        };
        let codecs = match &track {
            Some(track) => TrackCodecs::from_iter(track.codec.clone()),
            None => TrackCodecs::read(source.as_ref(), &media.container)?,
        };
        let has_slots = kind == TrackKind::Video && media.container == "avi";
        let delay_frames = has_slots.then(|| encoder_delay_frames(source.as_ref())).transpose()?;
        let (media_time, full_range) = (track.is_some(), track.as_ref().and_then(|track| track.full_range));
        let presenter = track.and_then(|track| track.edits).map(|edits| Presenter::new(&edits));
        let (pipeline, demux) = open_demuxer(source, &media.container)?;
        let sink = gst_app::AppSink::builder().sync(false).enable_last_sample(false).build();
        // In the pipeline from the start: a sink that is not started calls itself at its end.
        pipeline.add(&sink).map_err(|e| Error::internal("the decoder could not be linked").with_source(e))?;
        let video = media.video.as_ref().filter(|_| kind == TrackKind::Video);
        let turn = video.map(VideoTrack::turn).unwrap_or_default();
        // What the container says counts for more, as in players.
        let by_frame = video.is_some_and(|video| video.oriented_by_frame || turn.is_none());
        let orientations = by_frame.then(Orientations::default);
        let gate = GateKeeper::default();
        let link = TrackLinker {
            kind,
            gate: gate.0.clone(),
            orientations: orientations.clone(),
            index,
            pixels: media.video.as_ref().map_or(0, |v| u64::from(v.width) * u64::from(v.height)),
            delay_frames,
            full_range,
            codecs,
            limits: limits.clone(),
            fault: Fault::default(),
            tally: Arc::default(),
            stamps,
            state: Mutex::new(LinkerState { seen: 0, tail: Some(tail) }),
            sink: sink.clone(),
            pipeline: pipeline.downgrade(),
        };
        let (fault, tally) = (link.fault.clone(), link.tally.clone());
        let link = Arc::new(link);
        if let Some(pad) = demux.static_pad("src") {
            link.pad(&pad, true);
        } else {
            let added = link.clone();
            demux.connect_pad_added(move |_, pad| added.pad(pad, false));
            demux.connect_no_more_pads(move |_| link.no_more());
        }
        Ok(Self {
            gate,
            stage: RunningPipeline::new(pipeline),
            sink,
            origin_ns: media.origin_ns,
            presenter,
            gap: media.video_gap.filter(|_| kind == TrackKind::Video),
            seek_flags: gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT,
            is_done: false,
            turn,
            orientations,
            fault,
            tally,
            delivered: 0,
            broken: None,
            media_time,
            last: Instant::now(),
        })
    }

    /// The pipeline, for a step that seeks.
    pub fn stage(&self) -> &RunningPipeline {
        &self.stage
    }

    /// Has only keyframes decoded, where the demuxer or the decoder can leave the rest out. The pipeline is paused.
    pub fn seek_keyframes(&mut self) -> std::result::Result<(), gst::glib::BoolError> {
        self.seek_flags |= gst::SeekFlags::TRICKMODE | gst::SeekFlags::TRICKMODE_KEY_UNITS;
        self.seek_to(0)
    }

    fn seek_to(&self, media_ns: i64) -> std::result::Result<(), gst::glib::BoolError> {
        let start = gst::ClockTime::from_nseconds(media_ns.max(0) as u64);
        let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
        let pipeline = &self.stage.pipeline;
        self.gate.0.released(|| pipeline.seek(1.0, self.seek_flags, set, start, none, gst::ClockTime::NONE))
    }

    /// Goes back or on to the next part of an edit list; `false` after the last.
    fn next_pass(&mut self) -> bool {
        let Some(media_ns) = self.presenter.as_mut().and_then(Presenter::next_run) else { return false };
        self.last = Instant::now();
        match self.seek_to(media_ns) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "a part of an edit list could not be reached");
                false
            }
        }
    }

    /// Starts the pipeline; asked again it does nothing.
    pub fn start(&mut self) -> Result<()> {
        self.last = Instant::now();
        self.stage.start(gst::State::Playing).map_err(|e| take(&self.fault).unwrap_or(e))
    }

    /// The same track in media time, all of it, so that it can be sought: a seek starts running time again.
    pub fn in_media_time(self) -> Self {
        Self { presenter: None, gap: None, origin_ns: 0, media_time: true, ..self }
    }

    /// Goes on at about this media time. Returns whether the demuxer can; it needs to have given a buffer first.
    pub fn seek(&mut self, media_ns: i64) -> bool {
        self.last = Instant::now();
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
        let start = gst::ClockTime::from_nseconds(media_ns.max(0) as u64);
        self.gate.0.released(|| self.stage.pipeline.seek_simple(flags, start)).is_ok()
    }

    /// The next buffer; none at the end. An error after the first buffer ends the track early and is kept in
    /// [`TrackDecoder::broken`]: a damaged recording gives what is there.
    pub fn next(&mut self, ctx: &StepContext) -> Result<Option<DecodedBuffer>> {
        self.next_until(ctx, None)
    }

    /// As [`TrackDecoder::next`], but none also when `within` has passed.
    pub fn next_within(&mut self, ctx: &StepContext, within: Duration) -> Result<Option<DecodedBuffer>> {
        self.next_until(ctx, Some(Instant::now() + within))
    }

    fn next_until(&mut self, ctx: &StepContext, deadline: Option<Instant>) -> Result<Option<DecodedBuffer>> {
        loop {
            ctx.check_cancelled()?;
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Ok(None);
            }
            if let Some(decoded) = self.presenter.as_mut().and_then(Presenter::pop) {
                self.delivered += 1;
                return Ok(Some(self.placed(decoded)));
            }
            if self.is_done {
                return Ok(None);
            }
            if let Some(sample) = self.pull() {
                self.last = Instant::now();
                let Some(decoded) = self.decoded(&sample) else { continue };
                if let Some(presenter) = &mut self.presenter {
                    self.is_done = !presenter.push(decoded) && !self.next_pass();
                    continue;
                }
                self.delivered += 1;
                return Ok(Some(self.placed(decoded)));
            }
            if let Some(error) = take(&self.fault) {
                return Err(error);
            }
            if let Some(error) = self.stage.error() {
                let input = error.fault() == crate::error::Fault::Input;
                if self.delivered == 0 || !input {
                    return Err(error);
                }
                self.broken = Some(error);
                return Ok(None);
            }
            if self.sink.is_eos() {
                self.is_done = !self.next_pass();
                continue;
            }
            if self.last.elapsed() > STALL_DEADLINE {
                return Err(Error::internal("the decoder froze"));
            }
        }
    }

    /// The next buffer, if one comes soon. The decoder goes on only when none waits already.
    fn pull(&self) -> Option<gst::Sample> {
        let waiting = self.sink.try_pull_sample(gst::ClockTime::ZERO);
        waiting.or_else(|| {
            self.gate.0.open();
            self.sink.try_pull_sample(gst::ClockTime::from_mseconds(100))
        })
    }

    /// Whether the last buffer was given.
    pub fn is_over(&self) -> bool {
        let has_more = self.presenter.as_ref().is_some_and(|presenter| !presenter.is_last_run());
        self.broken.is_some() || self.is_done || (self.sink.is_eos() && !has_more)
    }

    /// Takes why the track ended early, if it did.
    pub fn take_broken(&mut self) -> Option<Error> {
        self.broken.take()
    }

    /// Why the track ended early, if it did.
    pub fn broken(&self) -> Option<&Error> {
        self.broken.as_ref()
    }

    /// How many packets gave nothing, and of how many, where that is so because they are damaged: told after the last
    /// buffer. Some packets give nothing in sound files too (headers, the halves of interlaced pictures); then nothing
    /// is missing in what was decoded.
    pub fn lost(&self) -> Option<(u64, u64)> {
        // What a decoder held when it was sought elsewhere is not damaged.
        if self.presenter.as_ref().is_some_and(|presenter| !presenter.is_one_pass()) {
            return None;
        }
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let packets = count(&self.tally.packets);
        let lost = packets.saturating_sub(count(&self.tally.decoded));
        (lost > 0 && count(&self.tally.gaps) > 0).then_some((lost, packets))
    }

    fn decoded(&self, sample: &gst::Sample) -> Option<DecodedBuffer> {
        let buffer = sample.buffer_owned()?;
        let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
        let pts = buffer.pts()?;
        let turn = self.orientations.as_ref().map_or(self.turn, |orientations| orientations.at(pts));
        let time = if self.media_time {
            segment.to_stream_time_full(pts)?
        } else {
            segment.to_running_time_full(pts)?
        };
        let duration_ns = buffer.duration().map(gst::ClockTime::nseconds);
        Some(DecodedBuffer {
            caps: sample.caps_owned()?,
            buffer,
            time_ns: signed_ns(time),
            duration_ns,
            turn,
        })
    }

    /// A buffer on the common timeline.
    fn placed(&self, mut decoded: DecodedBuffer) -> DecodedBuffer {
        decoded.time_ns = decoded.time_ns.saturating_sub(self.origin_ns);
        if let Some(gap) = self.gap {
            decoded.time_ns = gap.closed(decoded.time_ns);
            // The frame with the claim lasts what is left of it.
            let longest = gap.length_ns.unsigned_abs();
            decoded.duration_ns = decoded.duration_ns.map(|ns| if ns >= longest { ns - longest } else { ns });
        }
        decoded
    }
}
