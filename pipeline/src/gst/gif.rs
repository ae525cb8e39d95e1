//! A GIF as a silent video: cut into pictures with times here, decoded by libav.
//!
//! libav's own demuxer gives every picture the time 0 when it is driven by GStreamer, and repeats for ever.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer_app as gst_app;

use crate::error::{Error, Result};
use crate::source::{Source, read_full};

/// One picture with the extensions in front of it; the first also has the file's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Picture {
    offset: u64,
    length: u64,
    /// How long it is shown, in hundredths of a second.
    shown_cs: u64,
}

/// Most pictures in a GIF.
const MOST: usize = 200_000;
/// Largest coded picture, in bytes.
const LARGEST: u64 = 32 << 20;

/// An element whose `src` pad gives the pictures of a GIF, in time.
pub fn gif_source(source: Source) -> Result<gst::Element> {
    let (pictures, width, height) = pictures(&source)?;
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
                let picture = pictures.get(next.0).copied();
                let read = picture.map(|picture| {
                    let mut bytes = vec![0; picture.length as usize];
                    read_full(source.as_ref(), picture.offset, &mut bytes).map(|_| (picture, bytes))
                });
                let Some(Ok((picture, bytes))) = read else {
                    let _ = element.end_of_stream();
                    return;
                };
                let mut buffer = gst::Buffer::from_mut_slice(bytes);
                let buffer_ref = buffer.make_mut();
                buffer_ref.set_pts(gst::ClockTime::from_mseconds(next.1 * 10));
                buffer_ref.set_duration(gst::ClockTime::from_mseconds(picture.shown_cs * 10));
                *next = (next.0 + 1, next.1 + picture.shown_cs);
                let _ = element.push_buffer(buffer);
            })
            .build(),
    );
    Ok(gst::glib::object::Cast::upcast(made))
}

/// Presentation time and length of each picture, in ns. libav's decoder gives every picture the first one's time, but
/// one picture for each packet.
pub fn gif_times(source: &Source) -> Result<Vec<(u64, u64)>> {
    let mut at = 0;
    Ok(pictures(source)?
        .0
        .iter()
        .map(|picture| {
            let shown_ns = picture.shown_cs * 10_000_000;
            at += shown_ns;
            (at - shown_ns, shown_ns)
        })
        .collect())
}

/// Walks a GIF's blocks (GIF89a, sections 17 to 27). A cut-off file gives the pictures that are whole.
fn pictures(source: &Source) -> Result<(Vec<Picture>, u16, u16)> {
    let mut at = 0_u64;
    let read =
        |at: u64, buf: &mut [u8]| -> Result<bool> { Ok(read_full(source.as_ref(), at, buf)? == buf.len()) };
    let table = |flags: u8| if flags & 0x80 != 0 { 3_u64 << ((flags & 7) + 1) } else { 0 };
    let mut head = [0; 13];
    if !read(0, &mut head)? {
        return Err(none());
    }
    let (width, height) = (u16::from_le_bytes([head[6], head[7]]), u16::from_le_bytes([head[8], head[9]]));
    at += 13 + table(head[10]);
    // Sub-blocks: each with its length in front, a zero at the end.
    let skip = |mut at: u64| -> Result<Option<u64>> {
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
    let (mut found, mut from, mut shown_cs) = (Vec::new(), 0, 0_u64);
    let mut kind = [0; 2];
    while found.len() < MOST && read(at, &mut kind)? {
        let next = match kind[0] {
            0x21 => {
                let mut control = [0; 6];
                if kind[1] == 0xf9 && read(at + 2, &mut control)? {
                    shown_cs = u64::from(u16::from_le_bytes([control[2], control[3]]));
                }
                skip(at + 2)?
            }
            0x2c => {
                let mut image = [0; 10];
                if !read(at, &mut image)? {
                    break;
                }
                skip(at + 10 + table(image[9]) + 1)?
            }
            _ => break,
        };
        let Some(next) = next else { break };
        at = next;
        if kind[0] == 0x2c {
            if next - from > LARGEST {
                break;
            }
            // Browsers show a picture with hardly any time for a tenth of a second.
            let shown = if shown_cs < 2 { 10 } else { shown_cs };
            found.push(Picture { offset: from, length: next - from, shown_cs: shown });
            from = next;
            shown_cs = 0;
        }
    }
    if found.is_empty() { Err(none()) } else { Ok((found, width, height)) }
}

fn none() -> Error {
    Error::input("decode_failed", "The file is damaged, so it can't be played.")
}
