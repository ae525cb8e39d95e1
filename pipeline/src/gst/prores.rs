//! ProRes in Matroska.
//!
//! Frames are stored without their first eight bytes (Matroska codec mappings, "V_PRORES"). The
//! demuxer restores these, but loses the times of all packets. Therefore the codec is hidden from
//! the demuxer, and the bytes are restored here.

use std::io;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::container::ebml::MatroskaHeader;
use crate::mp4::patch::patched;
use crate::source::Source;

/// The codec's name, after identifier and size of its element.
const ELEMENT: &[u8] = b"\x86\x88V_PRORES";
/// A name of the same length that the demuxer does not know.
const HIDDEN: &[u8] = b"\x86\x88X_PRORES";
/// First bytes of each frame, behind its size (SMPTE RDD 36, 5.1).
const IDENTIFIER: &[u8] = b"icpf";

/// Renames the codec in a file, so that the demuxer keeps the times of its packets.
pub fn hide_codec(source: Source) -> io::Result<Source> {
    let header = MatroskaHeader::read(source.as_ref())?;
    let offsets = header.tracks.windows(ELEMENT.len()).enumerate().filter(|(_, bytes)| *bytes == ELEMENT);
    let patches: Vec<_> =
        offsets.map(|(offset, _)| (header.tracks_offset + offset as u64, HIDDEN.to_vec())).collect();
    Ok(if patches.is_empty() { source } else { patched(source, patches) })
}

/// Restores the first bytes of frames that lack them.
pub fn restore_headers(pad: &gst::Pad) {
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
