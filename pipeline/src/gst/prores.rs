//! ProRes in Matroska. Its frames are stored without the first eight bytes (Matroska codec mappings, "V_PRORES"), and the
//! demuxer, which puts them back, loses the times of all packets. So it is kept from knowing the codec.

use std::io;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::container::ebml::front;
use crate::mp4::patch::patched;
use crate::source::Source;

/// The codec's name, with the identifier and size of the element that has it.
const ELEMENT: &[u8] = b"\x86\x88V_PRORES";
/// A name of the same length that no demuxer knows.
const HIDDEN: &[u8] = b"\x86\x88X_PRORES";
/// What each frame begins with, behind its size (SMPTE RDD 36, 5.1).
const IDENTIFIER: &[u8] = b"icpf";

/// The file as its demuxer keeps the times of ProRes.
pub fn hidden(source: Source) -> io::Result<Source> {
    let front = front(source.as_ref())?;
    let places = front.tracks.windows(ELEMENT.len()).enumerate().filter(|(_, bytes)| *bytes == ELEMENT);
    let patches: Vec<_> =
        places.map(|(place, _)| (front.tracks_at + place as u64, HIDDEN.to_vec())).collect();
    Ok(if patches.is_empty() { source } else { patched(source, patches) })
}

/// Puts back what frames begin with, where it is missing.
pub fn complete(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else { return gst::PadProbeReturn::Ok };
        let is_complete =
            buffer.map_readable().is_ok_and(|frame| frame.get(4..8).is_some_and(|bytes| bytes == IDENTIFIER));
        if is_complete {
            return gst::PadProbeReturn::Ok;
        }
        let size = u32::try_from(buffer.size() + 8).unwrap_or(u32::MAX);
        let head = [&size.to_be_bytes()[..], IDENTIFIER].concat();
        buffer.make_mut().prepend_memory(gst::Memory::from_slice(head));
        gst::PadProbeReturn::Ok
    });
}
