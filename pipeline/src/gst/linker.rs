//! Finds the wanted track among a demuxer's pads, and links its decoder to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::caps::{is_audio, is_video, on_caps, pixels};
use super::codecs::TrackCodecs;
use super::decode_gate::Gate;
use super::decoded::TrackKind;
use super::errors::{FirstError, too_many_pixels, too_many_references, unsupported};
use super::frame_times::FrameTimes;
use super::{
    Orientations, avi_times, bluray_lpcm, decoders, frame_copies, memory, png, prores, raw_rows, references,
};
use crate::error::{Error, Result};
use crate::limits::Limits;

/// Counts of packets and decoded buffers.
#[derive(Default)]
pub(super) struct DecodeCounts {
    pub(super) packets: AtomicU64,
    pub(super) decoded: AtomicU64,
    /// Decoded buffers that do not follow their predecessor, without the first.
    pub(super) gaps: AtomicU64,
    /// Time stamp of the last packet, in ns.
    pub(super) packet_ns: AtomicU64,
}

/// Finds the wanted pad and links the decoder to it.
pub(super) struct TrackLinker {
    pub(super) kind: TrackKind,
    pub(super) gate: Gate,
    pub(super) orientations: Option<Orientations>,
    pub(super) index: u32,
    /// Pixels of the video's frames, as `inspect` found; 0 if not known.
    pub(super) pixels: u64,
    /// Encoder delay of an AVI, in frames; `None` for other containers. AVI has no presentation
    /// times: frames follow one another in the order of the file.
    pub(super) delay_frames: Option<u64>,
    pub(super) full_range: Option<bool>,
    /// Codecs as the container declares them, for those that the demuxer does not know.
    pub(super) codecs: TrackCodecs,
    pub(super) limits: Limits,
    pub(super) first_error: FirstError,
    pub(super) counts: Arc<DecodeCounts>,
    pub(super) frame_times: FrameTimes,
    pub(super) state: Mutex<LinkerState>,
    pub(super) sink: gst_app::AppSink,
    pub(super) pipeline: gst::glib::WeakRef<gst::Pipeline>,
}

/// Progress of a linker.
pub(super) struct LinkerState {
    /// Number of tracks of the wanted kind seen so far.
    pub(super) seen: u32,
    /// Elements behind the decoder, until they are linked.
    pub(super) tail: Option<Vec<gst::Element>>,
}

impl TrackLinker {
    /// Links a demuxer's pad, now or as soon as its caps are known, if it is the wanted one.
    pub(super) fn link_pad(self: &Arc<Self>, pad: &gst::Pad, parsed: bool) {
        if let Some(caps) = pad.current_caps() {
            return self.link_track(pad, &caps, parsed);
        }
        let linker = self.clone();
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
            if let Some(gst::PadProbeData::Event(event)) = &info.data
                && let gst::EventView::Caps(caps) = event.view()
            {
                linker.link_track(pad, &caps.caps_owned(), parsed);
                return gst::PadProbeReturn::Remove;
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn link_track(&self, pad: &gst::Pad, caps: &gst::Caps, parsed: bool) {
        let is_wanted_kind = match self.kind {
            TrackKind::Video => is_video(caps),
            TrackKind::Audio => is_audio(caps),
        };
        if !is_wanted_kind {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let index = state.seen;
        state.seen += 1;
        if index != self.index {
            return;
        }
        let Some(tail) = state.tail.take() else { return };
        let corrected = self.codecs.corrected_caps(caps, index as usize);
        if let Some(new_caps) = corrected.clone() {
            on_caps(pad, move |caps| caps.clone_from(&new_caps));
        }
        let caps = corrected.as_ref().unwrap_or(caps);
        // The container's size counts too: a parser behind it may find other sizes in the stream.
        if pixels(caps) > self.limits.max_pixels {
            return self.first_error.set(too_many_pixels());
        }
        if decoders::is_extended_aac(caps) {
            return self.first_error.set(unsupported());
        }
        if let Err(error) = self.attach(pad, caps, tail, parsed) {
            self.first_error.set(error);
        }
    }

    fn attach(&self, pad: &gst::Pad, caps: &gst::Caps, tail: Vec<gst::Element>, parsed: bool) -> Result<()> {
        let Some(pipeline) = self.pipeline.upgrade() else { return Ok(()) };
        let failed =
            |e: gst::glib::BoolError| Error::internal("the decoder could not be linked").with_source(e);
        let pixels = pixels(caps).max(self.pixels);
        let head = decoders::decoder_for(caps, parsed, self.full_range, memory::decoder_threads(pixels))?;
        self.sink.set_max_buffers(memory::max_queued_frames(pixels));
        // The size is checked twice: before the decoder allocates memory, and behind it.
        for element in head.iter().chain(tail.first()) {
            if let Some(sink) = element.static_pad("sink") {
                self.limit_size(&sink);
            }
        }
        if let Some(decoder) = head.last() {
            if self.kind == TrackKind::Video {
                self.bound_memory(decoder, pixels);
            }
            self.count_and_stamp(decoder);
            if decoder.factory().is_some_and(|factory| factory.name() == "pngdec") {
                let counts = self.counts.clone();
                png::prepare_frames(decoder, move || {
                    counts.gaps.fetch_add(1, Ordering::Relaxed);
                });
            }
            if bluray_lpcm::is_bluray_lpcm(caps) {
                bluray_lpcm::regroup_samples(decoder);
            }
            if let Some(orientations) = &self.orientations {
                orientations.watch(decoder);
            }
            if self.delay_frames.is_some() {
                avi_times::restamp(decoder);
            }
        }
        let mut all = head;
        all.extend(tail);
        for element in &all {
            pipeline.add(element).map_err(failed)?;
        }
        all.push(self.sink.clone().upcast());
        gst::Element::link_many(&all).map_err(failed)?;
        for element in all.iter().rev() {
            element.sync_state_with_parent().map_err(failed)?;
        }
        if let Some(delay_frames) = self.delay_frames {
            avi_times::stamp(pad, caps, delay_frames);
        }
        let first = all[0].static_pad("sink").ok_or_else(|| Error::internal("an element has no sink pad"))?;
        if caps.structure(0).is_some_and(|s| s.name() == "video/x-prores") {
            prores::restore_headers(pad);
        }
        if caps.structure(0).is_some_and(|s| s.name() == "video/x-raw") {
            let counts = self.counts.clone();
            raw_rows::describe_rows(pad, caps, move || {
                counts.gaps.fetch_add(1, Ordering::Relaxed);
            });
        }
        // The pad's own caps may be those of an unknown codec; the next element gets the right
        // ones.
        pad.link_full(&first, gst::PadLinkCheck::HIERARCHY)
            .map_err(|e| Error::damaged_file().with_source(e))?;
        Ok(())
    }

    /// Refuses frames above the limit as soon as caps announce them, before memory is allocated.
    fn limit_size(&self, pad: &gst::Pad) {
        let first_error = self.first_error.clone();
        let max_pixels = self.limits.max_pixels;
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let Some(gst::PadProbeData::Event(event)) = &info.data
                && let gst::EventView::Caps(caps) = event.view()
                && caps.caps().structure(0).is_some_and(has_unsupported_depth)
            {
                first_error.set(unsupported());
                return gst::PadProbeReturn::Drop;
            }
            if let Some(gst::PadProbeData::Event(event)) = &info.data
                && let gst::EventView::Caps(caps) = event.view()
                && pixels(caps.caps()) > max_pixels
            {
                first_error.set(too_many_pixels());
                return gst::PadProbeReturn::Drop;
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Bounds the memory of a decoder's frames. Comes before the probes that change its buffers.
    fn bound_memory(&self, decoder: &gst::Element, pixels: u64) {
        frame_copies::install(decoder);
        if memory::is_large(pixels) {
            accept_strides(decoder);
            self.gate.install(decoder, self.sink.upcast_ref());
        }
        let first_error = self.first_error.clone();
        references::watch(decoder, move || first_error.set(too_many_references()));
    }

    /// Counts what enters and leaves a decoder, and corrects times.
    ///
    /// libav's AAC decoder may return nothing for the first packet. GStreamer then gives every
    /// later buffer the time of the packet before its own. This decoder has no delay, so the time
    /// of a buffer is that of the packet that entered last.
    fn count_and_stamp(&self, decoder: &gst::Element) {
        let (into, out) = (self.counts.clone(), self.counts.clone());
        let frame_times = self.frame_times.clone();
        let has_no_delay = decoder.factory().is_some_and(|factory| factory.name() == "avdec_aac");
        if let Some(pad) = decoder.static_pad("sink") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                into.packets.fetch_add(1, Ordering::Relaxed);
                if let Some(pts) = info.buffer().and_then(|buffer| buffer.pts()) {
                    into.packet_ns.store(pts.nseconds(), Ordering::Relaxed);
                }
                gst::PadProbeReturn::Ok
            });
        }
        if let Some(pad) = decoder.static_pad("src") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                let before = out.decoded.fetch_add(1, Ordering::Relaxed);
                let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
                    return gst::PadProbeReturn::Ok;
                };
                if before > 0 && buffer.flags().contains(gst::BufferFlags::DISCONT) {
                    out.gaps.fetch_add(1, Ordering::Relaxed);
                }
                if let Some((time, duration)) = frame_times.nth(before) {
                    let stamped = buffer.make_mut();
                    stamped.set_pts(time);
                    stamped.set_duration(duration);
                }
                let packet = gst::ClockTime::from_nseconds(out.packet_ns.load(Ordering::Relaxed));
                if has_no_delay && buffer.pts().is_some_and(|pts| pts < packet) {
                    buffer.make_mut().set_pts(packet);
                }
                gst::PadProbeReturn::Ok
            });
        }
    }

    /// Records an error if the wanted pad is missing, now that all pads are there.
    pub(super) fn check_linked(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.tail.is_some() {
            self.first_error.set(Error::damaged_file());
        }
    }
}

/// Lets a decoder of large frames choose their strides and padding, and offers it no other memory.
///
/// Every element behind it reads frames by their description. Otherwise the decoder copies each
/// frame into a pool's memory, which it keeps for as long as the frame is a reference.
fn accept_strides(decoder: &gst::Element) {
    let Some(pad) = decoder.static_pad("src") else { return };
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Query(query)) = &mut info.data
            && let gst::QueryViewMut::Allocation(allocation) = query.view_mut()
        {
            allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}

/// Whether samples have a depth for which GStreamer has no format: its decoder crashes on them.
fn has_unsupported_depth(s: &gst::StructureRef) -> bool {
    s.get::<u32>("bit-depth-luma").is_ok_and(|depth| !matches!(depth, 8 | 10 | 12))
}
