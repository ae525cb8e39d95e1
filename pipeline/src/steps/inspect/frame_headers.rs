//! The sizes and orientations in the headers of coded frames, read without decoding them.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::frame_sizes::FrameSize;
use crate::codec::orientation::OrientationReader;
use crate::gst::{OrientationState, displayed_size, element};
use crate::media::Orientation;

/// Reads the headers of one track's frames.
pub struct HeaderReader {
    method: HeaderMethod,
}

/// How sizes are read.
enum HeaderMethod {
    /// From keyframes of VP8.
    Vp8 { caps: gst::Caps },
    /// By GStreamer's parser.
    Parsed(Parser),
}

impl HeaderReader {
    /// A reader for a track with these caps; `None` if it cannot read their codec.
    pub fn new(caps: &gst::CapsRef) -> Option<Self> {
        let s = caps.structure(0)?;
        let version = s.get::<i32>("mpegversion").unwrap_or(0);
        let parser = match (s.name().as_str(), version) {
            ("video/x-vp8", _) => None,
            ("video/x-h264", _) => Some("h264parse"),
            ("video/x-h265", _) => Some("h265parse"),
            ("video/x-vp9", _) => Some("vp9parse"),
            ("video/x-av1", _) => Some("av1parse"),
            ("video/mpeg", 1 | 2) => Some("mpegvideoparse"),
            ("video/mpeg", 4) => Some("mpeg4videoparse"),
            ("image/jpeg", _) => Some("jpegparse"),
            ("image/png", _) => Some("pngparse"),
            _ => return None,
        };
        let method = match parser {
            None => HeaderMethod::Vp8 { caps: caps.to_owned() },
            Some(name) => HeaderMethod::Parsed(Parser::new(name, caps)?),
        };
        Some(Self { method })
    }

    /// Sets new caps of the demuxer.
    pub fn set_caps(&mut self, new: &gst::CapsRef) {
        match &mut self.method {
            HeaderMethod::Vp8 { caps } => *caps = new.to_owned(),
            HeaderMethod::Parsed(parser) => {
                _ = parser.src.push_event(gst::event::Caps::new(&without_size(new)))
            }
        }
    }

    /// Reads a packet. Calls `on_size` for each frame that it completes, with its time stamp.
    pub fn read(&mut self, buffer: &gst::Buffer, mut on_size: impl FnMut(gst::ClockTime, FrameSize)) {
        match &mut self.method {
            HeaderMethod::Vp8 { caps } => {
                let Some(time) = buffer.pts().or(buffer.dts()) else { return };
                let Ok(data) = buffer.map_readable() else { return };
                if let Some(size) = vp8_keyframe(&data).and_then(|size| vp8_size(caps, size)) {
                    on_size(time, size);
                }
            }
            HeaderMethod::Parsed(parser) => parser.read(buffer, on_size),
        }
    }
}

/// Caps without the size that the container declares: parsers would prefer it to that of the
/// frames. Without alpha too, which makes GStreamer 1.22's parser of VP9 loop forever; the decoder
/// ignores it.
fn without_size(caps: &gst::CapsRef) -> gst::Caps {
    let mut caps = caps.to_owned();
    for structure in caps.make_mut().iter_mut() {
        structure.remove_fields(["width", "height", "codec-alpha"]);
    }
    caps
}

/// Width and height in a keyframe of VP8 (RFC 6386, 9.1).
fn vp8_keyframe(data: &[u8]) -> Option<(i32, i32)> {
    let head = data.first_chunk::<10>()?;
    if head[0] & 1 != 0 || head[3..6] != [0x9d, 0x01, 0x2a] {
        return None;
    }
    let side = |at: usize| i32::from(u16::from_le_bytes([head[at], head[at + 1]]) & 0x3fff);
    Some((side(6), side(8)))
}

fn vp8_size(caps: &gst::CapsRef, (width, height): (i32, i32)) -> Option<FrameSize> {
    let pixel_aspect = caps.structure(0)?.get::<gst::Fraction>("pixel-aspect-ratio").ok();
    frame_size(width, height, pixel_aspect, Orientation::default())
}

fn frame_size(
    width: i32,
    height: i32,
    pixel_aspect: Option<gst::Fraction>,
    turn: Orientation,
) -> Option<FrameSize> {
    let (width, height) = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    if width == 0 || height == 0 {
        return None;
    }
    let aspect = pixel_aspect.unwrap_or(gst::Fraction::new(1, 1));
    let stored = displayed_size((width, height), (aspect.numer(), aspect.denom()), Orientation::default());
    Some(FrameSize { pixels: u64::from(width) * u64::from(height), stored, turn })
}

/// A parser of GStreamer outside of any pipeline. It has no bus, so a damaged track ends its work
/// and nothing else.
struct Parser {
    element: gst::Element,
    src: gst::Pad,
    /// Receives its frames.
    _sink: gst::Pad,
    output: Arc<Mutex<ParserOutput>>,
    is_broken: bool,
}

/// Time, size, pixel aspect ratio and turn of a parsed frame.
type ParsedFrame = (gst::ClockTime, (i32, i32), Option<gst::Fraction>, Orientation);

/// The frames of a parser that were not read yet.
#[derive(Default)]
struct ParserOutput {
    caps: Option<gst::Caps>,
    size: Option<(i32, i32)>,
    pixel_aspect: Option<gst::Fraction>,
    orientation_reader: Option<OrientationReader>,
    in_force: OrientationState,
    frames: Vec<ParsedFrame>,
}

impl ParserOutput {
    /// Adds a parsed frame.
    fn add(&mut self, pad: &gst::Pad, buffer: &gst::BufferRef) {
        let caps = pad.current_caps();
        if caps != self.caps {
            let s = caps.as_ref().and_then(|caps| caps.structure(0));
            let side = |name| s.and_then(|s| s.get::<i32>(name).ok());
            self.size = side("width").zip(side("height"));
            self.pixel_aspect = s.and_then(|s| s.get("pixel-aspect-ratio").ok());
            self.orientation_reader = caps.as_deref().and_then(OrientationReader::new);
            self.caps = caps;
        }
        let turn = match (self.orientation_reader, buffer.map_readable()) {
            (Some(reader), Ok(data)) => self.in_force.update(reader.read(&data)),
            _ => Orientation::default(),
        };
        if let (Some(time), Some(size)) = (buffer.pts().or(buffer.dts()), self.size) {
            self.frames.push((time, size, self.pixel_aspect, turn));
        }
    }
}

impl Parser {
    fn new(name: &str, caps: &gst::CapsRef) -> Option<Self> {
        let element = element(name).ok()?;
        let wanted = match name {
            "h264parse" => gst::Caps::builder("video/x-h264").field("alignment", "au").build(),
            "h265parse" => gst::Caps::builder("video/x-h265").field("alignment", "au").build(),
            _ => gst::Caps::new_any(),
        };
        let always = gst::PadPresence::Always;
        let template = gst::PadTemplate::new("sink", gst::PadDirection::Sink, always, &wanted).ok()?;
        let output = Arc::new(Mutex::new(ParserOutput::default()));
        let shared = output.clone();
        let sink = gst::Pad::builder_from_template(&template)
            .chain_function(move |pad, _, buffer| {
                shared.lock().unwrap_or_else(PoisonError::into_inner).add(pad, &buffer);
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        let src = gst::Pad::builder(gst::PadDirection::Src).build();
        src.link(&element.static_pad("sink")?).ok()?;
        element.static_pad("src")?.link(&sink).ok()?;
        let parser = Self { element, src, _sink: sink, output, is_broken: false };
        parser._sink.set_active(true).ok()?;
        parser.element.set_state(gst::State::Playing).ok()?;
        parser.src.set_active(true).ok()?;
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        for event in [
            gst::event::StreamStart::new("headers"),
            gst::event::Caps::new(&without_size(caps)),
            gst::event::Segment::new(&segment),
        ] {
            parser.src.push_event(event);
        }
        Some(parser)
    }

    fn read(&mut self, buffer: &gst::Buffer, mut on_size: impl FnMut(gst::ClockTime, FrameSize)) {
        if self.is_broken {
            return;
        }
        self.is_broken = self.src.push(buffer.clone()).is_err();
        let frames = std::mem::take(&mut self.output.lock().unwrap_or_else(PoisonError::into_inner).frames);
        for (time, (width, height), pixel_aspect, turn) in frames {
            if let Some(size) = frame_size(width, height, pixel_aspect, turn) {
                on_size(time, size);
            }
        }
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        // Nothing can be done about a parser that does not stop.
        let _ = self.src.set_active(false);
        let _ = self.element.set_state(gst::State::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_of_vp8_have_their_size() {
        let key = [0x10, 2, 0, 0x9d, 1, 0x2a, 0x80, 0x42, 0x68, 0x01, 0];
        assert_eq!(vp8_keyframe(&key), Some((640, 360)), "without the bits that ask for scaling");
        assert_eq!(vp8_keyframe(&[&[0x11], &key[1..]].concat()), None, "not a keyframe");
        assert_eq!(vp8_keyframe(&key[..9]), None);
    }
}
