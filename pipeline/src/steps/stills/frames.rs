//! Some keyframes of a recording, upright, as RGB: one in each interval, and nothing else is decoded where the
//! demuxer or the decoder can leave the rest out.

use std::sync::atomic::{AtomicI64, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;
use image::RgbImage;

use super::StillsRequest;
use super::encode::fit;
use crate::context::StepContext;
use crate::error::{Error, Fault, Result};
use crate::gst::{Kind, Sequence, element, is_even_video};
use crate::media::VideoTrack;
use crate::source::Source;
use crate::steps::transcode::rgb::rgb;
use crate::steps::transcode::upright::{Upright, convert_tail};

/// Longest side of a frame, in pixels.
const LONGEST_SIDE: u32 = 1280;

/// Longest time that one keyframe may stand for.
const LONGEST_APART_MS: u64 = 12_000;

/// Hands the first keyframe of each interval, with its time in ms, to `take`. Some files have no index, one that names no
/// keyframe, or so few keyframes that a still would be shown for long: of those every frame is decoded.
pub fn keyframes(
    source: Source,
    request: &StillsRequest,
    interval_ms: u64,
    ctx: &StepContext,
    mut take: impl FnMut(u64, RgbImage) -> Result<()>,
) -> Result<()> {
    let video = request.media.video.as_ref();
    let apart_ms = video.map_or(0, |video| video.keyframes_apart_ms);
    // Frames that have times by their number may not be left out. A seek stays in one recording. An orientation may
    // change at a frame that is no keyframe.
    let unseekable = is_even_video(&request.media.container)
        || !request.media.parts.is_empty()
        || video.is_some_and(|video| video.oriented_by_frame);
    if apart_ms > LONGEST_APART_MS || unseekable {
        return pass(source, request, interval_ms, false, ctx, &mut take).map(|_| ());
    }
    // The first half alone of a keyframe made of two fields is no picture to the decoder.
    match pass(source.clone(), request, interval_ms, true, ctx, &mut take) {
        Ok(handed) if handed > 0 => Ok(()),
        Err(error) if error.fault() != Fault::Input => Err(error),
        _ => pass(source, request, interval_ms, false, ctx, &mut take).map(|_| ()),
    }
}

/// One pass over the recording; returns the frames handed on.
fn pass(
    source: Source,
    request: &StillsRequest,
    interval_ms: u64,
    keyframes_only: bool,
    ctx: &StepContext,
    take: &mut impl FnMut(u64, RgbImage) -> Result<()>,
) -> Result<u64> {
    let media = &request.media;
    let video = media.video.as_ref().ok_or_else(|| Error::internal("no picture to take stills of"))?;
    crate::gst::init()?;
    let gate = element("identity")?;
    let first = FirstOfEach { interval_ms, origin_ns: media.origin_ns, keyframes_only: false };
    first.let_through(&gate)?;
    let tail = [vec![gate], convert_tail()?].concat();
    let mut decoding = Sequence::open(source, media, Kind::Video, &request.limits, tail)?;
    if keyframes_only {
        decoding.current().stage().start(gst::State::Paused)?;
        decoding.current().stage().settle()?;
        // Each keyframe is decoded by itself: those that are not wanted need not be. Some demuxers (MPEG-TS) take
        // the seek but go on with every frame: a decoder that is given part of them paints over the wrong frame.
        for element in decoding.current().stage().pipeline.iterate_elements().into_iter().flatten() {
            if element.factory().is_some_and(|f| f.has_type(gst::ElementFactoryType::DECODER)) {
                FirstOfEach { keyframes_only: true, ..first }.let_through(&element)?;
            }
        }
        // Where this cannot be done (a GIF), all frames are decoded, and the gate picks the same ones.
        if let Err(error) = decoding.current().seek_keyframes() {
            tracing::debug!(%error, "every frame is decoded for the stills");
        }
    }
    decoding.start()?;
    let (most_ms, mut handed) = (request.limits.max_duration_ms, 0);
    let mut upright = Upright::new(video, size(video));
    while let Some(decoded) = decoding.next(ctx)? {
        let time_ms = u64::try_from(decoded.time_ns / 1_000_000).unwrap_or(0);
        if time_ms > most_ms {
            break;
        }
        take(time_ms, rgb(&upright.frame(&decoded)?))?;
        handed += 1;
    }
    Ok(handed)
}

/// Size of the frames handed on: even, as their chroma is half as wide and high.
fn size(video: &VideoTrack) -> (u32, u32) {
    let (width, height) = fit(video.width, video.height, LONGEST_SIDE);
    let even = |length: u32| (length & !1).max(2);
    (even(width), even(height))
}

/// Lets one buffer of each interval through, before it costs a conversion.
#[derive(Clone, Copy)]
struct FirstOfEach {
    interval_ms: u64,
    origin_ns: i64,
    /// Whether only frames that need no others count.
    keyframes_only: bool,
}

impl FirstOfEach {
    fn let_through(self, gate: &gst::Element) -> Result<()> {
        let interval_ns = self.interval_ms.max(1) as i64 * 1_000_000;
        let last = AtomicI64::new(-1);
        let pad = gate.static_pad("sink").ok_or_else(|| Error::internal("an element has no sink pad"))?;
        let pass = move |pad: &gst::Pad, info: &mut gst::PadProbeInfo<'_>| {
            let Some(buffer) = info.buffer() else {
                // A flush: what went through before it is thrown away by the sink.
                last.store(-1, Ordering::Relaxed);
                return gst::PadProbeReturn::Ok;
            };
            // Not `Drop`: GStreamer 1.22 then complains of a buffer that the binding has taken already.
            let dropped = gst::PadProbeReturn::Handled;
            if self.keyframes_only && buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
                return dropped;
            }
            let running = || {
                let segment = pad.sticky_event::<gst::event::Segment>(0)?;
                segment.segment().downcast_ref::<gst::ClockTime>()?.to_running_time(buffer.pts()?)
            };
            let Some(running) = running() else { return gst::PadProbeReturn::Ok };
            let interval = (running.nseconds() as i64 - self.origin_ns).max(0) / interval_ns;
            if last.swap(interval, Ordering::Relaxed) == interval { dropped } else { gst::PadProbeReturn::Ok }
        };
        pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_FLUSH, pass)
            .map(|_| ())
            .ok_or_else(|| Error::internal("the frames could not be picked"))
    }
}
