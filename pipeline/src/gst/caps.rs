//! Facts that caps state about a stream, and changes of caps on their way.

use gstreamer as gst;
use gstreamer::prelude::*;

/// Whether a demuxer's pad carries video.
pub fn is_video(caps: &gst::CapsRef) -> bool {
    // Any still image format may also be the coding of video.
    caps.structure(0).is_some_and(|s| s.name().starts_with("video/") || s.name().starts_with("image/"))
}

/// Whether a demuxer's pad carries audio.
pub fn is_audio(caps: &gst::CapsRef) -> bool {
    caps.structure(0).is_some_and(|s| s.name().starts_with("audio/"))
}

/// Pixels of the frames that caps describe; 0 if caps give no size.
pub fn pixels(caps: &gst::CapsRef) -> u64 {
    let side = |name| caps.structure(0).and_then(|s| s.get::<i32>(name).ok()).unwrap_or(0).max(0) as u64;
    side("width") * side("height")
}

/// Changes the caps that pass a pad.
pub fn on_caps(pad: &gst::Pad, change: impl Fn(&mut gst::Caps) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &info.data
            && let gst::EventView::Caps(original) = event.view()
        {
            let mut caps = original.caps_owned();
            change(&mut caps);
            let changed = gst::event::Caps::builder(&caps).seqnum(event.seqnum()).build();
            info.data = Some(gst::PadProbeData::Event(changed));
        }
        gst::PadProbeReturn::Ok
    });
}
