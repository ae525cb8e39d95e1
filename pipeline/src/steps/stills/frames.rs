//! Decodes one keyframe of each interval, upright, as RGB. Skips all others if the demuxer or the
//! decoder can.

use std::sync::atomic::{AtomicI64, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;
use image::RgbImage;

use super::encode::fit_within;
use super::request::StillsRequest;
use crate::context::StepContext;
use crate::error::{Error, Fault, Result};
use crate::gst::{MultiPartDecoder, TrackKind, element, has_regular_frames};
use crate::media::VideoTrack;
use crate::source::Source;
use crate::steps::transcode::rgb::rgb;
use crate::steps::transcode::upright::{FrameNormalizer, convert_tail};

/// Longest side of a frame, in pixels.
const MAX_SIDE_PIXELS: u32 = 1280;

/// Longest time between two keyframes that a still may last.
const MAX_KEYFRAME_DISTANCE_MS: u64 = 12_000;

/// Calls `on_frame` with the first keyframe of each interval and its time in ms.
///
/// Decodes every frame if a file has no index, its index names no keyframe, or keyframes are so
/// rare that stills would last too long.
pub fn keyframes(
    source: Source,
    request: &StillsRequest,
    interval_ms: u64,
    ctx: &StepContext,
    mut on_frame: impl FnMut(u64, RgbImage) -> Result<()>,
) -> Result<()> {
    let video = request.media.video.as_ref();
    let keyframe_distance_ms = video.map_or(0, |video| video.keyframes_apart_ms);
    // Frames whose times follow from their number must not be skipped. A seek stays within one
    // recording. The orientation may change at a frame that is no keyframe.
    let unseekable = has_regular_frames(&request.media.container)
        || !request.media.parts.is_empty()
        || video.is_some_and(|video| video.oriented_by_frame);
    if keyframe_distance_ms > MAX_KEYFRAME_DISTANCE_MS || unseekable {
        return decode(source, request, interval_ms, false, ctx, &mut on_frame).map(|_| ());
    }
    // A decoder outputs nothing for the first field alone of a keyframe made of two fields.
    match decode(source.clone(), request, interval_ms, true, ctx, &mut on_frame) {
        Ok(count) if count > 0 => Ok(()),
        Err(error) if error.fault() != Fault::Input => Err(error),
        _ => decode(source, request, interval_ms, false, ctx, &mut on_frame).map(|_| ()),
    }
}

/// Decodes the recording once, and returns the number of frames passed on.
fn decode(
    source: Source,
    request: &StillsRequest,
    interval_ms: u64,
    keyframes_only: bool,
    ctx: &StepContext,
    on_frame: &mut impl FnMut(u64, RgbImage) -> Result<()>,
) -> Result<u64> {
    let media = &request.media;
    let video = media.video.as_ref().ok_or_else(|| Error::internal("no video to take stills of"))?;
    crate::gst::init()?;
    let gate = element("identity")?;
    let first = IntervalGate { interval_ms, origin_ns: media.origin_ns, keyframes_only: false };
    first.attach(&gate)?;
    let tail = [vec![gate], convert_tail()?].concat();
    let mut decoding = MultiPartDecoder::open(source, media, TrackKind::Video, &request.limits, tail)?;
    if keyframes_only {
        decoding.current().running_pipeline().start(gst::State::Paused)?;
        decoding.current().running_pipeline().wait_for_state()?;
        // Each keyframe decodes by itself, so unwanted ones can be skipped. Some demuxers (MPEG-TS)
        // accept the seek but still send every frame. A decoder that gets only some of those paints
        // over the wrong frame.
        for element in decoding.current().running_pipeline().pipeline.iterate_elements().into_iter().flatten()
        {
            if element.factory().is_some_and(|f| f.has_type(gst::ElementFactoryType::DECODER)) {
                IntervalGate { keyframes_only: true, ..first }.attach(&element)?;
            }
        }
        // If seeking is impossible (GIF), all frames are decoded, and the gate picks the same ones.
        let _ = decoding.current().seek_keyframes();
    }
    decoding.start()?;
    let (max_ms, mut count) = (request.limits.max_duration_ms, 0);
    let mut normalizer = FrameNormalizer::new(video, size(video));
    while let Some(decoded) = decoding.next(ctx)? {
        let time_ms = u64::try_from(decoded.time_ns / 1_000_000).unwrap_or(0);
        if time_ms > max_ms {
            break;
        }
        on_frame(time_ms, rgb(&normalizer.frame(&decoded)?))?;
        count += 1;
    }
    Ok(count)
}

/// Size of the frames passed on: even, because chroma has half the width and height.
fn size(video: &VideoTrack) -> (u32, u32) {
    let (width, height) = fit_within(video.width, video.height, MAX_SIDE_PIXELS);
    let even = |length: u32| (length & !1).max(2);
    (even(width), even(height))
}

/// Lets one buffer of each interval pass, before the others cost a conversion.
#[derive(Clone, Copy)]
struct IntervalGate {
    interval_ms: u64,
    origin_ns: i64,
    /// Whether only frames that decode by themselves count.
    keyframes_only: bool,
}

impl IntervalGate {
    fn attach(self, gate: &gst::Element) -> Result<()> {
        let interval_ns = self.interval_ms.max(1) as i64 * 1_000_000;
        let last = AtomicI64::new(-1);
        let pad = gate.static_pad("sink").ok_or_else(|| Error::internal("an element has no sink pad"))?;
        let pass = move |pad: &gst::Pad, info: &mut gst::PadProbeInfo<'_>| {
            let Some(buffer) = info.buffer() else {
                // A flush: the sink discards what passed before it.
                last.store(-1, Ordering::Relaxed);
                return gst::PadProbeReturn::Ok;
            };
            // Not `Drop`: with it GStreamer 1.22 complains about a buffer that the binding has
            // already taken.
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
