//! From a demuxer's pad to decoded samples: the wanted track is found and its decoder hung on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::codecs::TrackCodecs;
use super::decode::TrackKind;
use super::decode_gate::Gate;
use super::even_times::FrameTimes;
use super::{Orientations, avi_times, decoders, frame_copies, memory, png, prores, raw_rows, references};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;

/// What went into the decoder and what came out.
#[derive(Default)]
pub(super) struct DecodeCounts {
    pub(super) packets: AtomicU64,
    pub(super) decoded: AtomicU64,
    /// DecodedBuffer buffers after the first that do not follow their predecessor.
    pub(super) gaps: AtomicU64,
    /// Time stamp of the last packet, in ns.
    pub(super) packet_ns: AtomicU64,
}

/// An error found on a streaming thread.
pub(super) type Fault = Arc<Mutex<Option<Error>>>;

/// Keeps the first error.
fn put(fault: &Fault, error: Error) {
    fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

/// Takes the error that was found.
pub(super) fn take(fault: &Fault) -> Option<Error> {
    fault.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Finds the wanted pad and hangs the decoder on it.
pub(super) struct TrackLinker {
    pub(super) kind: TrackKind,
    pub(super) gate: Gate,
    pub(super) orientations: Option<Orientations>,
    pub(super) index: u32,
    /// Of the file's video, where `inspect` has said it.
    pub(super) pixels: u64,
    /// By how many frames an AVI is late, whose frames have a place in the file instead of a
    /// presentation time.
    pub(super) delay_frames: Option<u64>,
    pub(super) full_range: Option<bool>,
    /// What the container says of codecs that the demuxer does not know.
    pub(super) codecs: TrackCodecs,
    pub(super) limits: Limits,
    pub(super) fault: Fault,
    pub(super) tally: Arc<DecodeCounts>,
    pub(super) stamps: FrameTimes,
    pub(super) state: Mutex<LinkerState>,
    pub(super) sink: gst_app::AppSink,
    pub(super) pipeline: gst::glib::WeakRef<gst::Pipeline>,
}

pub(super) struct LinkerState {
    pub(super) seen: u32,
    pub(super) tail: Option<Vec<gst::Element>>,
}

impl TrackLinker {
    /// A demuxer's pad: linked at once where its caps are known, else as soon as they are.
    pub(super) fn pad(self: &Arc<Self>, pad: &gst::Pad, parsed: bool) {
        if let Some(caps) = pad.current_caps() {
            return self.caps(pad, &caps, parsed);
        }
        let link = self.clone();
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
            if let Some(gst::PadProbeData::Event(event)) = &info.data
                && let gst::EventView::Caps(caps) = event.view()
            {
                link.caps(pad, &caps.caps_owned(), parsed);
                return gst::PadProbeReturn::Remove;
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn caps(&self, pad: &gst::Pad, caps: &gst::Caps, parsed: bool) {
        let ours = match self.kind {
            TrackKind::Video => decoders::is_video(caps),
            TrackKind::Audio => decoders::is_audio(caps),
        };
        if !ours {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let this = state.seen;
        state.seen += 1;
        if this != self.index {
            return;
        }
        let Some(tail) = state.tail.take() else { return };
        let repaired = self.codecs.caps(caps, this as usize);
        if let Some(right) = repaired.clone() {
            decoders::on_caps(pad, move |caps| caps.clone_from(&right));
        }
        let caps = repaired.as_ref().unwrap_or(caps);
        // What the container promises counts too: a parser behind it may find other sizes in the stream.
        if pixels(caps) > self.limits.max_pixels {
            return put(&self.fault, too_many_pixels());
        }
        if decoders::is_extended_aac(caps) {
            return put(&self.fault, super::pipeline::unsupported());
        }
        if let Err(error) = self.attach(pad, caps, tail, parsed) {
            put(&self.fault, error);
        }
    }

    fn attach(&self, pad: &gst::Pad, caps: &gst::Caps, tail: Vec<gst::Element>, parsed: bool) -> Result<()> {
        let Some(pipeline) = self.pipeline.upgrade() else { return Ok(()) };
        let fault =
            |e: gst::glib::BoolError| Error::internal("the decoder could not be linked").with_source(e);
        let pixels = pixels(caps).max(self.pixels);
        let head = decoders::decoder_for(caps, parsed, self.full_range, memory::decoder_threads(pixels))?;
        self.sink.set_max_buffers(memory::max_waiting(pixels));
        // Two places hear of the picture's size: before the decoder allocates, and after it.
        for element in head.iter().chain(tail.first()) {
            if let Some(sink) = element.static_pad("sink") {
                self.guard(&sink);
            }
        }
        if let Some(decoder) = head.last() {
            if self.kind == TrackKind::Video {
                self.save_memory(decoder, pixels);
            }
            self.count(decoder);
            if decoder.factory().is_some_and(|factory| factory.name() == "pngdec") {
                let tally = self.tally.clone();
                png::drop_damaged(decoder, move || {
                    tally.gaps.fetch_add(1, Ordering::Relaxed);
                });
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
            pipeline.add(element).map_err(fault)?;
        }
        all.push(self.sink.clone().upcast());
        gst::Element::link_many(&all).map_err(fault)?;
        for element in all.iter().rev() {
            element.sync_state_with_parent().map_err(fault)?;
        }
        if let Some(delay_frames) = self.delay_frames {
            avi_times::stamp(pad, caps, delay_frames);
        }
        let first = all[0].static_pad("sink").ok_or_else(|| Error::internal("an element has no sink pad"))?;
        if caps.structure(0).is_some_and(|s| s.name() == "video/x-prores") {
            prores::complete(pad);
        }
        if caps.structure(0).is_some_and(|s| s.name() == "video/x-raw") {
            let tally = self.tally.clone();
            raw_rows::measure(pad, caps, move || {
                tally.gaps.fetch_add(1, Ordering::Relaxed);
            });
        }
        // The caps that the pad itself has may be those of an unknown codec; the next element gets the right ones.
        pad.link_full(&first, gst::PadLinkCheck::HIERARCHY).map_err(|e| damaged().with_source(e))?;
        Ok(())
    }

    /// Refuses pictures above the limit as soon as caps tell of one, before anything is allocated for it.
    fn guard(&self, pad: &gst::Pad) {
        let fault = self.fault.clone();
        let most = self.limits.max_pixels;
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if let Some(gst::PadProbeData::Event(event)) = &info.data
                && let gst::EventView::Caps(caps) = event.view()
                && caps.caps().structure(0).is_some_and(odd_depth)
            {
                put(&fault, super::pipeline::unsupported());
                return gst::PadProbeReturn::Drop;
            }
            if let Some(gst::PadProbeData::Event(event)) = &info.data
                && let gst::EventView::Caps(caps) = event.view()
                && pixels(caps.caps()) > most
            {
                put(&fault, too_many_pixels());
                return gst::PadProbeReturn::Drop;
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Bounds the memory that a decoder's frames take. Before other probes change its buffers.
    fn save_memory(&self, decoder: &gst::Element, pixels: u64) {
        frame_copies::install(decoder);
        if memory::is_large(pixels) {
            accept_strides(decoder);
            self.gate.install(decoder, self.sink.upcast_ref());
        }
        let fault = self.fault.clone();
        references::watch(decoder, move || put(&fault, too_many_references()));
    }

    /// Counts what goes into a decoder and what comes out.
    ///
    /// libav's AAC decoder may give nothing for a first packet. GStreamer then stamps what the second one gives with
    /// the first one's time, and so on to the end, a packet early. It gives each at once, so its time is that of the
    /// packet that went in last.
    fn count(&self, decoder: &gst::Element) {
        let (into, out) = (self.tally.clone(), self.tally.clone());
        let stamps = self.stamps.clone();
        let at_once = decoder.factory().is_some_and(|factory| factory.name() == "avdec_aac");
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
                if let Some((time, duration)) = stamps.nth(before) {
                    let stamped = buffer.make_mut();
                    stamped.set_pts(time);
                    stamped.set_duration(duration);
                }
                let packet = gst::ClockTime::from_nseconds(out.packet_ns.load(Ordering::Relaxed));
                if at_once && buffer.pts().is_some_and(|pts| pts < packet) {
                    buffer.make_mut().set_pts(packet);
                }
                gst::PadProbeReturn::Ok
            });
        }
    }

    /// All pads are there: the wanted one has to be among them.
    pub(super) fn no_more(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.tail.is_some() {
            put(&self.fault, damaged());
        }
    }
}

/// Says to a decoder of large frames that its frames are taken with strides and padding of its own,
/// and offers no other memory: every element behind it reads frames by their description. Else the
/// decoder copies each frame into a pool's memory, and keeps that for as long as the frame is a
/// reference.
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

/// Samples of a depth GStreamer has no format for: its decoder crashes on them.
fn odd_depth(s: &gst::StructureRef) -> bool {
    s.get::<u32>("bit-depth-luma").is_ok_and(|depth| !matches!(depth, 8 | 10 | 12))
}

fn damaged() -> Error {
    Error::input("decode_failed", "The file is damaged, so it can't be played.")
}

/// Pixels of a picture that caps tell of, 0 where they don't.
pub(super) fn pixels(caps: &gst::CapsRef) -> u64 {
    let side = |name| caps.structure(0).and_then(|s| s.get::<i32>(name).ok()).unwrap_or(0).max(0) as u64;
    side("width") * side("height")
}

/// The picture is larger than is allowed.
pub(crate) fn too_many_pixels() -> Error {
    Error::new(ErrorKind::LimitExceeded, "too_many_pixels", "The picture is too large to be played.")
}

/// The frames that refer to one another take more memory than a step has.
fn too_many_references() -> Error {
    Error::new(
        ErrorKind::LimitExceeded,
        "too_many_references",
        "The video needs too many large frames in memory at a time. Please export it at 4K or smaller.",
    )
}
