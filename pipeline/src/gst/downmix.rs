//! Sound of any number of channels mixed to the few that are published.

use gstreamer as gst;
use gstreamer::prelude::*;

use super::decoders::on_caps;
use super::element;
use crate::error::{Error, Result};

/// A converter to `channels`. Of more than two that have no place, like the sixteen of a field recorder, GStreamer's own can make
/// nothing: they are mixed, each as loud as the others.
pub fn downmixer(channels: usize) -> Result<gst::Element> {
    let convert = element("audioconvert")?;
    let sink = convert.static_pad("sink").ok_or_else(|| Error::internal("the mixer has no input"))?;
    let mixing = convert.downgrade();
    on_caps(&sink, move |caps| {
        let Some(told) = caps.structure(0) else { return };
        let all = told.get::<i32>("channels").map_or(0, |n| n.max(0) as usize);
        let placed = told.get::<gst::Bitmask>("channel-mask").is_ok_and(|mask| mask.0 != 0);
        if all > 2
            && !placed
            && let Some(convert) = mixing.upgrade()
        {
            let share = 1.0 / (all as f32).sqrt();
            let row = gst::Array::new(vec![share; all]);
            convert.set_property("mix-matrix", gst::Array::new(vec![row; channels]));
            caps.make_mut().set("channel-mask", gst::Bitmask::new(0));
        }
    });
    Ok(convert)
}
