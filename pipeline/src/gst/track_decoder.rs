//! Decodes one track of a recording: buffers with their time on the common timeline, pulled one by
//! one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::codecs::TrackCodecs;
use super::decode_gate::GateKeeper;
use super::decoded::{DecodedBuffer, TrackKind};
use super::errors::FirstError;
use super::frame_times::FrameTimes;
use super::linker::{DecodeCounts, LinkerState, TrackLinker};
use super::presenter::Presenter;
use super::{Orientations, RunningPipeline, STALL_DEADLINE, open_demuxer, signed_ns};
use crate::container::avi_delay::encoder_delay_frames;
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::media::{Gap, MediaInfo, Orientation, VideoTrack};
use crate::mp4::movie;
use crate::source::Source;

/// Decoder of one track.
pub struct TrackDecoder {
    /// Dropped before the pipeline, which cannot stop while one of its threads is held back.
    gate: GateKeeper,
    running: RunningPipeline,
    sink: gst_app::AppSink,
    origin_ns: i64,
    /// Applies the edit list; `None` if all of the media is presented.
    presenter: Option<Presenter>,
    /// Time that a frame claims wrongly.
    gap: Option<Gap>,
    /// Flags of the seek to the start of another pass.
    seek_flags: gst::SeekFlags,
    /// Whether the last presented buffer was returned.
    is_done: bool,
    /// Orientation of the track.
    turn: Orientation,
    /// Orientation of each frame, if frames carry their own.
    orientations: Option<Orientations>,
    first_error: FirstError,
    counts: Arc<DecodeCounts>,
    delivered: u64,
    /// The error that ended the track early.
    end_error: Option<Error>,
    /// Whether times are media times: an MP4's edits are applied here, not by the demuxer.
    media_time: bool,
    /// Time of the last progress, for the deadline of a frozen decoder.
    last: Instant,
}

impl TrackDecoder {
    /// Opens the chosen track; nothing runs until [`TrackDecoder::start`].
    ///
    /// `tail` are the elements behind the decoder, in order: converters and a caps filter.
    /// The size of decoded frames is checked at the first one's input; with an empty tail only the
    /// size that the stream declares is checked. A step that decodes all of a track needs one, such
    /// as `identity`; a look at its first frames does not.
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
        let frame_times = FrameTimes::for_track(media, kind, &source)?;
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
        // In the pipeline from the start: a sink that is not started reports the end of the stream.
        pipeline.add(&sink).map_err(|e| Error::internal("the decoder could not be linked").with_source(e))?;
        let video = media.video.as_ref().filter(|_| kind == TrackKind::Video);
        let turn = video.map(VideoTrack::orientation).unwrap_or_default();
        // The container's orientation takes precedence, as in players.
        let by_frame = video.is_some_and(|video| video.oriented_by_frame || turn.is_none());
        let orientations = by_frame.then(Orientations::default);
        let gate = GateKeeper::default();
        let linker = TrackLinker {
            kind,
            gate: gate.0.clone(),
            orientations: orientations.clone(),
            index,
            pixels: media.video.as_ref().map_or(0, |v| u64::from(v.width) * u64::from(v.height)),
            delay_frames,
            full_range,
            codecs,
            limits: limits.clone(),
            first_error: FirstError::default(),
            counts: Arc::default(),
            frame_times,
            state: Mutex::new(LinkerState { seen: 0, tail: Some(tail) }),
            sink: sink.clone(),
            pipeline: pipeline.downgrade(),
        };
        let (first_error, counts) = (linker.first_error.clone(), linker.counts.clone());
        let linker = Arc::new(linker);
        if let Some(pad) = demux.static_pad("src") {
            linker.link_pad(&pad, true);
        } else {
            let added = linker.clone();
            demux.connect_pad_added(move |_, pad| added.link_pad(pad, false));
            demux.connect_no_more_pads(move |_| linker.check_linked());
        }
        Ok(Self {
            gate,
            running: RunningPipeline::new(pipeline),
            sink,
            origin_ns: media.origin_ns,
            presenter,
            gap: media.video_gap.filter(|_| kind == TrackKind::Video),
            seek_flags: gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT,
            is_done: false,
            turn,
            orientations,
            first_error,
            counts,
            delivered: 0,
            end_error: None,
            media_time,
            last: Instant::now(),
        })
    }

    /// The pipeline, for a step that seeks.
    pub fn running_pipeline(&self) -> &RunningPipeline {
        &self.running
    }

    /// Decodes only keyframes from now on, if the demuxer or the decoder can leave the rest out.
    /// The pipeline must be paused.
    pub fn seek_keyframes(&mut self) -> std::result::Result<(), gst::glib::BoolError> {
        self.seek_flags |= gst::SeekFlags::TRICKMODE | gst::SeekFlags::TRICKMODE_KEY_UNITS;
        self.seek_to(0)
    }

    fn seek_to(&self, media_ns: i64) -> std::result::Result<(), gst::glib::BoolError> {
        let start = gst::ClockTime::from_nseconds(media_ns.max(0) as u64);
        let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
        let pipeline = &self.running.pipeline;
        self.gate.0.with_gate_disabled(|| {
            pipeline.seek(1.0, self.seek_flags, set, start, none, gst::ClockTime::NONE)
        })
    }

    /// Seeks to the next run of an edit list. Returns `false` after the last.
    fn next_pass(&mut self) -> bool {
        let Some(media_ns) = self.presenter.as_mut().and_then(Presenter::next_run) else { return false };
        self.last = Instant::now();
        // A run that cannot be reached ends the track early; the step then warns of its length.
        self.seek_to(media_ns).is_ok()
    }

    /// Starts the pipeline. Does nothing if it runs already.
    pub fn start(&mut self) -> Result<()> {
        self.last = Instant::now();
        self.running.start(gst::State::Playing).map_err(|e| self.first_error.take().unwrap_or(e))
    }

    /// Returns all of the track in media time, so that it can be sought: a seek restarts running
    /// time.
    pub fn in_media_time(self) -> Self {
        Self { presenter: None, gap: None, origin_ns: 0, media_time: true, ..self }
    }

    /// Continues at about this media time. Returns whether the demuxer can seek; it must have
    /// delivered a buffer first.
    pub fn seek(&mut self, media_ns: i64) -> bool {
        self.last = Instant::now();
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE;
        let start = gst::ClockTime::from_nseconds(media_ns.max(0) as u64);
        self.gate.0.with_gate_disabled(|| self.running.pipeline.seek_simple(flags, start)).is_ok()
    }

    /// Returns the next buffer; `None` at the end.
    ///
    /// A damaged recording plays up to the damage: an error of the input after the first buffer
    /// ends the track early, and [`TrackDecoder::end_error`] returns it.
    pub fn next(&mut self, ctx: &StepContext) -> Result<Option<DecodedBuffer>> {
        self.next_until(ctx, None)
    }

    /// Like [`TrackDecoder::next`], but also returns `None` after `timeout`.
    pub fn next_within(&mut self, ctx: &StepContext, timeout: Duration) -> Result<Option<DecodedBuffer>> {
        self.next_until(ctx, Some(Instant::now() + timeout))
    }

    fn next_until(&mut self, ctx: &StepContext, deadline: Option<Instant>) -> Result<Option<DecodedBuffer>> {
        loop {
            ctx.check_cancelled()?;
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Ok(None);
            }
            if let Some(decoded) = self.presenter.as_mut().and_then(Presenter::pop) {
                self.delivered += 1;
                return Ok(Some(self.on_timeline(decoded)));
            }
            if self.is_done {
                return Ok(None);
            }
            if let Some(sample) = self.pull() {
                self.last = Instant::now();
                let Some(decoded) = self.decoded_buffer(&sample) else { continue };
                if let Some(presenter) = &mut self.presenter {
                    self.is_done = !presenter.push(decoded) && !self.next_pass();
                    continue;
                }
                self.delivered += 1;
                return Ok(Some(self.on_timeline(decoded)));
            }
            if let Some(error) = self.first_error.take() {
                return Err(error);
            }
            if let Some(error) = self.running.error() {
                let input = error.fault() == crate::error::Fault::Input;
                if self.delivered == 0 || !input {
                    return Err(error);
                }
                self.end_error = Some(error);
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

    /// Returns the next buffer if one arrives soon. Lets the decoder continue only if none waits.
    fn pull(&self) -> Option<gst::Sample> {
        let waiting = self.sink.try_pull_sample(gst::ClockTime::ZERO);
        waiting.or_else(|| {
            self.gate.0.open();
            self.sink.try_pull_sample(gst::ClockTime::from_mseconds(100))
        })
    }

    /// Whether the last buffer was returned.
    pub fn is_over(&self) -> bool {
        let has_more = self.presenter.as_ref().is_some_and(|presenter| !presenter.is_last_run());
        self.end_error.is_some() || self.is_done || (self.sink.is_eos() && !has_more)
    }

    /// Removes and returns the error that ended the track early.
    pub fn take_end_error(&mut self) -> Option<Error> {
        self.end_error.take()
    }

    /// The error that ended the track early.
    pub fn end_error(&self) -> Option<&Error> {
        self.end_error.as_ref()
    }

    /// Returns how many packets were lost to damage, and of how many; complete after the last
    /// buffer.
    ///
    /// `None` if there is no gap in the decoded buffers. Some packets of intact files decode to
    /// nothing too: headers, and halves of interlaced frames.
    pub fn lost_packets(&self) -> Option<(u64, u64)> {
        // A seek discards what the decoder held, which is no damage.
        if self.presenter.as_ref().is_some_and(|presenter| !presenter.is_one_pass()) {
            return None;
        }
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let packets = count(&self.counts.packets);
        let lost = packets.saturating_sub(count(&self.counts.decoded));
        (lost > 0 && count(&self.counts.gaps) > 0).then_some((lost, packets))
    }

    fn decoded_buffer(&self, sample: &gst::Sample) -> Option<DecodedBuffer> {
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

    /// Moves a buffer to the common timeline.
    fn on_timeline(&self, mut decoded: DecodedBuffer) -> DecodedBuffer {
        decoded.time_ns = decoded.time_ns.saturating_sub(self.origin_ns);
        if let Some(gap) = self.gap {
            decoded.time_ns = gap.close(decoded.time_ns);
            // The frame that claims the gap lasts for the rest of its claim.
            let longest = gap.length_ns.unsigned_abs();
            decoded.duration_ns = decoded.duration_ns.map(|ns| if ns >= longest { ns - longest } else { ns });
        }
        decoded
    }
}
