//! Core Audio files (Apple, "Core Audio Format Specification 1.0"), which no demuxer here reads.
//! Raw samples go to the parser of raw audio, packets to a source element of our own.

use std::ops::Range;

use chalkstream_formats::boxes::{u32_at, u64_at};
use gstreamer as gst;
use gstreamer::prelude::*;

use super::element;
use super::errors::unsupported;
use super::packet_source::{MAX_PACKETS, Packet, Packets};
use crate::error::{Error, Result};
use crate::source::{ByteRange, ReadAt, Source, read_full};

/// Maximum number of chunks to read.
const MAX_CHUNKS: usize = 1_000;
/// Maximum size of the table of packets, which has one or two bytes for each.
const MAX_TABLE_BYTES: u64 = 16 << 20;
/// Maximum size of a codec's configuration.
const MAX_COOKIE_BYTES: u64 = 64 << 10;

/// A file's description of its audio.
#[derive(Debug, Default, PartialEq)]
struct Description {
    rate_hz: u32,
    codec: [u8; 4],
    flags: u32,
    /// Size of each packet; 0 if they differ.
    packet_bytes: u32,
    /// Frames in each packet; 0 if they differ.
    packet_frames: u32,
    channels: u32,
    bits: u32,
}

/// The parts of a file.
#[derive(Debug, Default)]
struct Caf {
    description: Description,
    data: Option<ByteRange>,
    cookie: Vec<u8>,
    /// The packets, and the frames that are presented: the others only serve the decoder.
    table: Option<(Vec<Packet>, Range<u64>)>,
}

/// The form in which a file's samples reach the pipeline.
pub enum CafStream {
    /// Raw samples and their parser.
    Samples(Source, gst::Element),
    /// A source of packets.
    Packets(gst::Element),
}

/// Opens a file.
pub fn open(source: Source) -> Result<CafStream> {
    let caf = Caf::read(source.as_ref())?;
    let data = caf.data.ok_or_else(Error::damaged_file)?;
    if let Some(parser) = caf.description.parser()? {
        return Ok(CafStream::Samples(data.view(source), parser));
    }
    let caps = caf.caps()?;
    let Description { rate_hz, packet_bytes, packet_frames, .. } = caf.description;
    let (packets, presented) = match caf.table {
        Some(table) => table,
        // All packets have the same size.
        None if packet_bytes > 0 => {
            let count = (data.size_bytes / u64::from(packet_bytes)).min(MAX_PACKETS);
            (vec![Packet { bytes: packet_bytes, frames: packet_frames }; count as usize], 0..u64::MAX)
        }
        None => {
            return Err(Error::input(
                "truncated_no_index",
                "The file is cut off: its table of packets is missing, so it can't be played. Please copy it again.",
            ));
        }
    };
    Packets { source: data.view(source), caps, rate_hz, packets, presented }
        .into_element()
        .map(CafStream::Packets)
}

impl Caf {
    fn read(source: &dyn ReadAt) -> Result<Self> {
        let (mut caf, mut at) = (Self::default(), 8_u64);
        for _ in 0..MAX_CHUNKS {
            let mut head = [0; 12];
            if read_full(source, at, &mut head)? < head.len() {
                break;
            }
            at += 12;
            let left = source.size_bytes().saturating_sub(at);
            let size = u64::from_be_bytes([
                head[4], head[5], head[6], head[7], head[8], head[9], head[10], head[11],
            ]);
            let content = |max_bytes: u64| -> Result<Vec<u8>> {
                let mut bytes = vec![0; size.min(left).min(max_bytes) as usize];
                let read = read_full(source, at, &mut bytes)?;
                bytes.truncate(read);
                Ok(bytes)
            };
            match &head[..4] {
                b"desc" => {
                    caf.description = Description::read(&content(32)?).ok_or_else(Error::damaged_file)?
                }
                // An interrupted recorder leaves -1, or a size beyond the end.
                b"data" => {
                    let size_bytes = size.min(left).saturating_sub(4);
                    caf.data = Some(ByteRange { begins_at: at + 4, size_bytes });
                }
                b"kuki" => caf.cookie = content(MAX_COOKIE_BYTES)?,
                b"pakt" => caf.table = table(&content(MAX_TABLE_BYTES)?, &caf.description),
                _ => {}
            }
            match at.checked_add(size) {
                Some(next) if size <= left => at = next,
                _ => break,
            }
        }
        Ok(caf)
    }

    /// The format of the packets, for a decoder.
    fn caps(&self) -> Result<gst::Caps> {
        let Description { rate_hz, channels, packet_bytes, .. } = self.description;
        let buffer = |bytes: &[u8]| gst::Buffer::from_slice(bytes.to_vec());
        let caps = match &self.description.codec {
            b"alac" => {
                gst::Caps::builder("audio/x-alac").field("codec_data", buffer(&alac_box(&self.cookie)))
            }
            b"aac " | b"aach" | b"aacp" => gst::Caps::builder("audio/mpeg")
                .field("mpegversion", 4)
                .field("framed", true)
                .field("stream-format", "raw")
                .field("codec_data", buffer(aac_config(&self.cookie).ok_or_else(Error::damaged_file)?)),
            b"ima4" => gst::Caps::builder("audio/x-adpcm")
                .field("layout", "quicktime")
                .field("block_align", packet_bytes as i32),
            b".mp3" => gst::Caps::builder("audio/mpeg")
                .field("mpegversion", 1)
                .field("layer", 3)
                .field("parsed", true),
            b"ac-3" => gst::Caps::builder("audio/x-ac3").field("framed", true),
            b"opus" => gst::Caps::builder("audio/x-opus").field("channel-mapping-family", 0),
            _ => return Err(unsupported()),
        };
        Ok(caps.field("rate", rate_hz as i32).field("channels", channels as i32).build())
    }
}

impl Description {
    /// Reads a chunk; `None` if it is implausible.
    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |offset: usize| u32_at(bytes, offset);
        let rate = f64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
        let description = Self {
            rate_hz: rate.round() as u32,
            codec: bytes.get(8..12)?.try_into().ok()?,
            flags: word(12)?,
            packet_bytes: word(16)?,
            packet_frames: word(20)?,
            channels: word(24)?,
            bits: word(28)?,
        };
        let is_plausible =
            (1000..=768_000).contains(&description.rate_hz) && (1..=64).contains(&description.channels);
        is_plausible.then_some(description)
    }

    /// The parser of raw samples; `None` for packets.
    fn parser(&self) -> Result<Option<gst::Element>> {
        let (float, little) = (self.flags & 1 != 0, self.flags & 2 != 0);
        let (format, samples) = match &self.codec {
            b"lpcm" => {
                let order = if little { "le" } else { "be" };
                // 24 bits may be stored in 32.
                let bytes = self.packet_bytes / self.channels;
                let name = match (float, self.bits, bytes) {
                    (true, 32, 4) => format!("f32{order}"),
                    (true, 64, 8) => format!("f64{order}"),
                    (false, 8, 1) => "s8".to_owned(),
                    (false, 24, 4) => format!("s24-32{order}"),
                    (false, 16, 2) | (false, 24, 3) | (false, 32, 4) => format!("s{}{order}", self.bits),
                    _ => return Err(unsupported()),
                };
                ("pcm", name)
            }
            b"ulaw" => ("mulaw", String::new()),
            b"alaw" => ("alaw", String::new()),
            _ => return Ok(None),
        };
        let parser = element("rawaudioparse")?;
        parser.set_property("use-sink-caps", false);
        parser.set_property_from_str("format", format);
        if !samples.is_empty() {
            parser.set_property_from_str("pcm-format", &samples);
        }
        parser.set_property("sample-rate", self.rate_hz as i32);
        parser.set_property("num-channels", self.channels as i32);
        Ok(Some(parser))
    }
}

/// Reads the table of packets: sizes and numbers of frames, as far as they differ, with seven bits
/// in each byte.
fn table(bytes: &[u8], description: &Description) -> Option<(Vec<Packet>, Range<u64>)> {
    let (count, valid) = (u64_at(bytes, 0)?, u64_at(bytes, 8)?);
    let priming = u64_at(bytes, 16)? >> 32;
    let presented = priming..priming.saturating_add(if valid == 0 { u64::MAX } else { valid });
    let Description { packet_bytes, packet_frames, .. } = *description;
    let mut rest = bytes[24..].iter();
    let mut number = |fixed: u32| {
        if fixed > 0 {
            return Some(fixed);
        }
        let mut value = 0_u32;
        loop {
            let byte = *rest.next()?;
            value = value.checked_mul(128)? | u32::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
    };
    let mut packets = Vec::new();
    while (packets.len() as u64) < count.min(MAX_PACKETS) {
        // Of a truncated table, complete entries are used.
        let (Some(bytes), Some(frames)) = (number(packet_bytes), number(packet_frames)) else { break };
        packets.push(Packet { bytes, frames });
    }
    (!packets.is_empty()).then_some((packets, presented))
}

/// Returns ALAC's configuration as the box that decoders need. Files have it alone, or in boxes as
/// in QuickTime.
fn alac_box(cookie: &[u8]) -> Vec<u8> {
    let cookie = match cookie.get(4..8) {
        Some(b"frma") => cookie.get(12..).unwrap_or_default(),
        _ => cookie,
    };
    if cookie.get(4..8) == Some(b"alac") {
        return cookie.get(..36).unwrap_or(cookie).to_vec();
    }
    [b"\0\0\0\x24alac\0\0\0\0", cookie.get(..24).unwrap_or(cookie)].concat()
}

/// Returns AAC's AudioSpecificConfig. Files have it alone, or in descriptors (ISO/IEC 14496-1,
/// 7.2.6).
fn aac_config(cookie: &[u8]) -> Option<&[u8]> {
    if cookie.first()? >> 3 != 0 {
        return Some(cookie);
    }
    let mut at = 0;
    loop {
        let tag = *cookie.get(at)?;
        at += 1;
        let mut length = 0_usize;
        loop {
            let byte = *cookie.get(at)?;
            at += 1;
            length = length << 7 & 0xffff | usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        match tag {
            3 => at += 3,
            4 => at += 13,
            5 => return cookie.get(at..at + length),
            _ => at += length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_sizes_of_seven_bits_a_byte() {
        let mut bytes = [3_u64.to_be_bytes(), 3000_u64.to_be_bytes()].concat();
        bytes.extend([0, 0, 8, 0x40, 0, 0, 0, 72, 0x7f, 0x82, 0x01, 0x81, 0x80, 0x00]);
        let description = Description { packet_frames: 1024, ..Description::default() };
        let packet = |bytes| Packet { bytes, frames: 1024 };
        let read = table(&bytes, &description);
        assert_eq!(read, Some((vec![packet(127), packet(257), packet(16_384)], 2112..5112)));
        bytes.truncate(26);
        assert_eq!(table(&bytes, &description), Some((vec![packet(127)], 2112..5112)), "cut off");
        assert_eq!(table(&bytes[..24], &description), None);
    }

    #[test]
    fn codecs_configurations_are_found_in_what_is_around_them() {
        let config = [7_u8; 24];
        let boxed = [b"\0\0\0\x24alac\0\0\0\0".to_vec(), config.to_vec()].concat();
        assert_eq!(alac_box(&config), boxed);
        assert_eq!(alac_box(&[b"\0\0\0\x0cfrmaalac".to_vec(), boxed.clone(), vec![0; 8]].concat()), boxed);
        let descriptors =
            [&[3, 0x80, 0x80, 0x80, 25, 0, 0, 0, 4, 17][..], &[0; 13], &[5, 2, 0x12, 0x10], &[6, 1, 2]]
                .concat();
        assert_eq!(aac_config(&descriptors), Some(&[0x12, 0x10][..]));
        assert_eq!(aac_config(&[0x12, 0x10]), Some(&[0x12, 0x10][..]));
        assert_eq!(aac_config(&descriptors[..20]), None);
    }

    #[test]
    fn a_description_that_cannot_be_is_refused() {
        let mut bytes = 48_000_f64.to_be_bytes().to_vec();
        bytes.extend(b"lpcm\0\0\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x02\0\0\0\x10");
        let read = Description::read(&bytes);
        assert!(read.is_some_and(|d| d.rate_hz == 48_000 && d.channels == 2 && d.bits == 16));
        bytes[..8].copy_from_slice(&f64::NAN.to_be_bytes());
        assert_eq!(Description::read(&bytes), None);
        assert_eq!(Description::read(&bytes[..20]), None);
    }
}
