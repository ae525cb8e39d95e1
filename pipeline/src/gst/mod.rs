//! The thin layer over GStreamer on which every media step is built.
//!
//! It has a source element over [`crate::source::Source`], and decoders chosen by caps. Demuxers
//! are named by the container that was sniffed: GStreamer never guesses a type, so it never follows
//! a playlist or a script. All waits have deadlines and can be cancelled.

mod avi_packed;
mod avi_times;
mod bluray_lpcm;
mod caf;
mod caps;
mod codecs;
mod decode_gate;
mod decoded;
mod decoders;
mod demux;
mod displayed;
mod downmix;
mod errors;
mod frame_copies;
mod frame_times;
mod gif;
mod limited_range;
mod linker;
mod memory;
mod mpegts_pcr;
mod mpegts_times;
mod multi_part_decoder;
mod orientation;
mod packet_source;
mod pipeline;
mod png;
mod presenter;
mod prores;
mod raw_rows;
mod references;
mod source_element;
mod track_decoder;
mod wav;
mod x264;

use std::sync::OnceLock;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::error::{Error, ErrorKind, Result};

pub(crate) use caps::on_caps;
pub use caps::{is_audio, is_video};
pub(crate) use codecs::TrackCodecs;
pub use decoded::{DecodedBuffer, TrackKind};
pub use decoders::decoder_for;
pub use demux::{demuxer_name, has_regular_frames, is_bare_video, open_demuxer};
pub(crate) use displayed::{displayed_frame, displayed_size, even_size};
pub use downmix::downmixer;
pub(crate) use errors::too_many_pixels;
pub use errors::{encrypted, unsupported};
pub use memory::is_large;
pub use multi_part_decoder::MultiPartDecoder;
pub(crate) use orientation::{OrientationState, Orientations};
pub use pipeline::RunningPipeline;
pub use track_decoder::TrackDecoder;
pub(crate) use x264::{X264Pipeline, i420_buffer};

/// Longest wait for a pipeline to change its state.
pub const STATE_DEADLINE: Duration = Duration::from_secs(20);
/// Longest wait for the next buffer while work goes on.
pub const STALL_DEADLINE: Duration = Duration::from_secs(60);

/// Starts GStreamer once in this process.
pub fn init() -> Result<()> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    DONE.get_or_init(|| gst::init().map_err(|e| e.to_string())).clone().map_err(|cause| {
        Error::new(ErrorKind::Dependency, "internal", "The media tools could not be started.")
            .with_source(cause)
    })
}

/// Converts a time that may be before the start to ns.
pub fn signed_ns(time: gst::Signed<gst::ClockTime>) -> i64 {
    match time {
        gst::Signed::Positive(time) => i64::try_from(time.nseconds()).unwrap_or(i64::MAX),
        gst::Signed::Negative(time) => i64::try_from(time.nseconds()).map_or(i64::MIN, |ns| -ns),
    }
}

/// Makes an element by its factory's name. If there is none, a dependency is missing.
pub fn element(name: &str) -> Result<gst::Element> {
    gst::ElementFactory::make(name).build().map_err(|e| {
        Error::new(
            ErrorKind::Dependency,
            "internal",
            format!("The media tool \"{name}\" is missing; the setup script installs it."),
        )
        .with_source(e)
    })
}

/// Makes an element and sets those of the properties that it has, from their text form.
pub fn element_with(name: &str, properties: &[(&str, &str)]) -> Result<gst::Element> {
    let made = element(name)?;
    for (property, value) in properties {
        if made.find_property(property).is_some() {
            made.set_property_from_str(property, value);
        }
    }
    Ok(made)
}

/// Makes a filter that lets only `caps` through.
pub fn capsfilter(caps: &gst::Caps) -> Result<gst::Element> {
    let made = element("capsfilter")?;
    made.set_property("caps", caps);
    Ok(made)
}
