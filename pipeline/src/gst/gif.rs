//! A GIF as a silent video. It is cut into frames with times here, and decoded by libav.
//!
//! Under GStreamer, libav's own demuxer gives every frame the time 0, and repeats for ever.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer_app as gst_app;

use crate::error::{Error, Result};
use crate::source::{Source, read_full};

/// One frame with the extensions in front of it; the first also has the file's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct GifFrame {
    offset: u64,
    size_bytes: u64,
    /// Duration, in hundredths of a second.
    duration_cs: u64,
}

/// Maximum number of frames in a GIF.
const MAX_FRAMES: usize = 200_000;
/// Maximum size of a coded frame.
const MAX_FRAME_BYTES: u64 = 32 << 20;

/// Makes an element that produces the frames of a GIF with their times.
pub fn frame_source(source: Source) -> Result<gst::Element> {
    let (frames, width, height) = frames(&source)?;
    let caps = gst::Caps::builder("image/gst-libav-gif")
        .field("parsed", true)
        .field("width", i32::from(width))
        .field("height", i32::from(height))
        .build();
    let made = gst_app::AppSrc::builder().caps(&caps).format(gst::Format::Time).build();
    let next = Arc::new(Mutex::new((0_usize, 0_u64)));
    made.set_callbacks(
        gst_app::AppSrcCallbacks::builder()
            .need_data(move |element, _| {
                let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
                let frame = frames.get(next.0).copied();
                let read = frame.map(|frame| {
                    let mut bytes = vec![0; frame.size_bytes as usize];
                    read_full(source.as_ref(), frame.offset, &mut bytes).map(|_| (frame, bytes))
                });
                let Some(Ok((frame, bytes))) = read else {
                    let _ = element.end_of_stream();
                    return;
                };
                let mut buffer = gst::Buffer::from_mut_slice(bytes);
                let buffer_ref = buffer.make_mut();
                buffer_ref.set_pts(gst::ClockTime::from_mseconds(next.1 * 10));
                buffer_ref.set_duration(gst::ClockTime::from_mseconds(frame.duration_cs * 10));
                *next = (next.0 + 1, next.1 + frame.duration_cs);
                let _ = element.push_buffer(buffer);
            })
            .build(),
    );
    Ok(gst::glib::object::Cast::upcast(made))
}

/// Returns presentation time and duration of each frame, in ns. libav's decoder returns one frame
/// for each packet, but all with the first one's time.
pub fn frame_times(source: &Source) -> Result<Vec<(u64, u64)>> {
    let mut at = 0;
    Ok(frames(source)?
        .0
        .iter()
        .map(|frame| {
            let duration_ns = frame.duration_cs * 10_000_000;
            at += duration_ns;
            (at - duration_ns, duration_ns)
        })
        .collect())
}

/// Walks a GIF's blocks (GIF89a, sections 17 to 27). Of a truncated file, complete frames are
/// returned.
fn frames(source: &Source) -> Result<(Vec<GifFrame>, u16, u16)> {
    let mut at = 0_u64;
    let read =
        |at: u64, buf: &mut [u8]| -> Result<bool> { Ok(read_full(source.as_ref(), at, buf)? == buf.len()) };
    let table = |flags: u8| if flags & 0x80 != 0 { 3_u64 << ((flags & 7) + 1) } else { 0 };
    let mut head = [0; 13];
    if !read(0, &mut head)? {
        return Err(Error::damaged_file());
    }
    let (width, height) = (u16::from_le_bytes([head[6], head[7]]), u16::from_le_bytes([head[8], head[9]]));
    at += 13 + table(head[10]);
    // Sub-blocks start with their length; the last has length 0.
    let skip_sub_blocks = |mut at: u64| -> Result<Option<u64>> {
        loop {
            let mut length = [0];
            if !read(at, &mut length)? {
                return Ok(None);
            }
            at += 1 + u64::from(length[0]);
            if length[0] == 0 {
                return Ok(Some(at));
            }
        }
    };
    let (mut found, mut start, mut duration_cs) = (Vec::new(), 0, 0_u64);
    let mut kind = [0; 2];
    while found.len() < MAX_FRAMES && read(at, &mut kind)? {
        let next = match kind[0] {
            0x21 => {
                let mut control = [0; 6];
                if kind[1] == 0xf9 && read(at + 2, &mut control)? {
                    duration_cs = u64::from(u16::from_le_bytes([control[2], control[3]]));
                }
                skip_sub_blocks(at + 2)?
            }
            0x2c => {
                let mut image = [0; 10];
                if !read(at, &mut image)? {
                    break;
                }
                skip_sub_blocks(at + 10 + table(image[9]) + 1)?
            }
            _ => break,
        };
        let Some(next) = next else { break };
        at = next;
        if kind[0] == 0x2c {
            if next - start > MAX_FRAME_BYTES {
                break;
            }
            // Browsers display a frame with hardly any time for a tenth of a second.
            let duration = if duration_cs < 2 { 10 } else { duration_cs };
            found.push(GifFrame { offset: start, size_bytes: next - start, duration_cs: duration });
            start = next;
            duration_cs = 0;
        }
    }
    if found.is_empty() { Err(Error::damaged_file()) } else { Ok((found, width, height)) }
}
