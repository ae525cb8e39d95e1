//! Mixes audio of any number of channels down to the few that are published.

use gstreamer as gst;
use gstreamer::prelude::*;

use super::caps::on_caps;
use super::element;
use crate::error::{Error, Result};

/// Makes a converter to `channels`.
///
/// GStreamer cannot mix more than two channels without positions, such as the sixteen of a field
/// recorder. They are mixed with equal weights.
pub fn downmixer(channels: usize) -> Result<gst::Element> {
    let convert = element("audioconvert")?;
    let sink = convert.static_pad("sink").ok_or_else(|| Error::internal("the mixer has no input"))?;
    let weak_convert = convert.downgrade();
    on_caps(&sink, move |caps| {
        let Some(structure) = caps.structure(0) else { return };
        let inputs = structure.get::<i32>("channels").map_or(0, |n| n.max(0) as usize);
        let has_positions = structure.get::<gst::Bitmask>("channel-mask").is_ok_and(|mask| mask.0 != 0);
        if inputs > 2
            && !has_positions
            && let Some(convert) = weak_convert.upgrade()
        {
            let weight = 1.0 / (inputs as f32).sqrt();
            let row = gst::Array::new(vec![weight; inputs]);
            convert.set_property("mix-matrix", gst::Array::new(vec![row; channels]));
            caps.make_mut().set("channel-mask", gst::Bitmask::new(0));
        }
    });
    Ok(convert)
}
