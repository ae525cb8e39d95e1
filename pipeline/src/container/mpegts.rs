//! Packets of MPEG transport streams, and the streams that their tables declare (ISO/IEC 13818-1).

use std::collections::HashMap;
use std::io;

use crate::source::{ReadAt, read_full};

/// Sizes of a packet: alone, with a camera's time code in front, or with error correction behind.
pub const PACKET_SIZES: [usize; 3] = [188, 192, 204];
/// Bytes at the front that are searched for the tables.
const FRONT_BYTES: usize = 1 << 20;
/// Most bytes of a section of a table.
const MAX_SECTION_BYTES: usize = 4096;
/// Bytes at the start of a stream's first frame that are kept.
const START_BYTES: usize = 4;

/// One packet, from its sync byte on.
#[derive(Clone, Copy)]
pub struct TransportPacket<'a>(&'a [u8]);

impl<'a> TransportPacket<'a> {
    /// Returns the number of the packet's stream.
    pub fn pid(self) -> u16 {
        u16::from_be_bytes([self.0[1] & 0x1f, self.0[2]])
    }

    /// Whether the payload is scrambled.
    pub fn is_scrambled(self) -> bool {
        self.0[3] >> 7 == 1
    }

    /// Whether a section of a table, or a frame, begins in this packet.
    pub fn starts_unit(self) -> bool {
        self.0[1] & 0x40 != 0
    }

    /// Returns the payload; `None` if the packet has none.
    pub fn payload(self) -> Option<&'a [u8]> {
        let adaptation_bytes = if self.0[3] & 0x20 != 0 { 1 + usize::from(self.0[4]) } else { 0 };
        if self.0[3] & 0x10 != 0 { self.0.get(4 + adaptation_bytes..) } else { None }
    }
}

/// Returns the packets of a part of a stream, wherever the first of them begins.
pub fn packets(part: &[u8]) -> impl Iterator<Item = TransportPacket<'_>> {
    let is_sync = |at: usize| part.get(at) == Some(&0x47);
    let first = |size: usize| (0..size).find(|&first| (0..4).all(|n| is_sync(first + n * size)));
    let (size, first) =
        PACKET_SIZES.into_iter().find_map(|size| Some((size, first(size)?))).unwrap_or((188, part.len()));
    // What follows a packet's 188 bytes is not its payload.
    part[first..]
        .chunks_exact(size)
        .filter(|packet| packet[0] == 0x47)
        .map(|packet| TransportPacket(&packet[..188]))
}

/// A stream of audio or video that a program's table declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredStream {
    /// Whether it is video.
    pub is_video: bool,
    /// Name of its codec, if it is known.
    pub label: Option<&'static str>,
}

/// Reads the tables at the front of a stream. Subtitles and data are left out.
pub fn declared_streams(source: &dyn ReadAt) -> io::Result<Vec<DeclaredStream>> {
    let mut front = vec![0; FRONT_BYTES.min(source.size_bytes() as usize)];
    let read = read_full(source, 0, &mut front)?;
    let mut tables = Tables::default();
    packets(&front[..read]).for_each(|packet| tables.add(packet));
    Ok(tables.streams())
}

/// An entry of a program's table.
struct ProgramEntry {
    pid: u16,
    stream_type: u8,
    descriptors: Vec<u8>,
}

/// Tables while they are read, and the start of each stream.
#[derive(Default)]
struct Tables {
    /// Incomplete sections by PID.
    sections: HashMap<u16, Vec<u8>>,
    /// PIDs of the programs' tables.
    program_pids: Vec<u16>,
    entries: Vec<ProgramEntry>,
    /// By PID, the stream id and the first bytes of the first frame.
    starts: HashMap<u16, (u8, [u8; START_BYTES])>,
}

impl Tables {
    fn add(&mut self, packet: TransportPacket<'_>) {
        let Some(payload) = packet.payload() else { return };
        let pid = packet.pid();
        if pid != 0 && !self.program_pids.contains(&pid) {
            if packet.starts_unit()
                && let Some(start) = frame_start(payload)
            {
                self.starts.entry(pid).or_insert(start);
            }
            return;
        }
        let section = self.sections.entry(pid).or_default();
        if packet.starts_unit() {
            let begins_at = payload.first().map_or(0, |&pointer| 1 + usize::from(pointer));
            *section = payload.get(begins_at..).unwrap_or_default().to_vec();
        } else if !section.is_empty() && section.len() < MAX_SECTION_BYTES {
            section.extend_from_slice(payload);
        }
        let Some(&[_, high, low]) = section.first_chunk::<3>() else { return };
        let end = 3 + usize::from(u16::from_be_bytes([high & 0x0f, low]));
        if section.len() < end {
            return;
        }
        // The last four bytes are a checksum.
        let content = std::mem::take(section).get(..end.saturating_sub(4)).unwrap_or_default().to_vec();
        if pid == 0 { self.read_programs(&content) } else { self.read_streams(&content) }
    }

    fn read_programs(&mut self, table: &[u8]) {
        for program in table.get(8..).unwrap_or_default().chunks_exact(4) {
            let pid = u16::from_be_bytes([program[2] & 0x1f, program[3]]);
            // Program 0 is the table of networks.
            if program[..2] != [0, 0] && !self.program_pids.contains(&pid) {
                self.program_pids.push(pid);
            }
        }
    }

    fn read_streams(&mut self, table: &[u8]) {
        let length = |at: usize| -> Option<usize> {
            Some(usize::from(u16::from_be_bytes([table.get(at)? & 0x0f, *table.get(at + 1)?])))
        };
        let Some(program_bytes) = length(10) else { return };
        let mut at = 12 + program_bytes;
        while let (Some(head), Some(bytes)) = (table.get(at..at + 3), length(at + 3)) {
            let pid = u16::from_be_bytes([head[1] & 0x1f, head[2]]);
            let Some(descriptors) = table.get(at + 5..at + 5 + bytes) else { return };
            if self.entries.iter().all(|entry| entry.pid != pid) {
                self.entries.push(ProgramEntry {
                    pid,
                    stream_type: head[0],
                    descriptors: descriptors.to_vec(),
                });
            }
            at += 5 + bytes;
        }
    }

    fn streams(&self) -> Vec<DeclaredStream> {
        self.entries.iter().filter_map(|entry| entry.stream(self.starts.get(&entry.pid).copied())).collect()
    }
}

/// Stream id and first bytes of a frame whose header (2.4.3.6) begins a payload.
fn frame_start(payload: &[u8]) -> Option<(u8, [u8; START_BYTES])> {
    let head = payload.first_chunk::<9>().filter(|head| head.starts_with(&[0, 0, 1]))?;
    let frame = payload.get(9 + usize::from(head[8])..).unwrap_or_default();
    let mut start = [0; START_BYTES];
    start.iter_mut().zip(frame).for_each(|(to, from)| *to = *from);
    Some((head[3], start))
}

impl ProgramEntry {
    fn stream(&self, start: Option<(u8, [u8; START_BYTES])>) -> Option<DeclaredStream> {
        let (is_video, label) = match self.stream_type {
            0x01 => (true, Some("MPEG-1 video")),
            0x02 => (true, Some("MPEG-2 video")),
            0x10 => (true, Some("MPEG-4 Part 2")),
            0x1b | 0x1f | 0x20 => (true, Some("H.264")),
            0x21 => (true, Some("JPEG 2000")),
            0x24 | 0x25 => (true, Some("H.265")),
            0x32 => (true, Some("JPEG XS")),
            0x33 | 0x34 => (true, Some("H.266")),
            0x42 => (true, Some("AVS")),
            0xd1 => (true, Some("Dirac")),
            0xd2 => (true, Some("AVS2")),
            0xd4 => (true, Some("AVS3")),
            0xea => (true, Some("VC-1")),
            0x03 | 0x04 => (false, Some("MPEG audio")),
            0x0f | 0x11 => (false, Some("AAC")),
            0x1c => (false, Some("MPEG-4 audio")),
            0x2d | 0x2e => (false, Some("MPEG-H 3D Audio")),
            0x81 => (false, Some("AC-3")),
            0x83 => (false, Some("TrueHD")),
            0x84 | 0x87 => (false, Some("E-AC-3")),
            0x85 | 0x8a => (false, Some("DTS")),
            _ => return self.private_stream(start),
        };
        Some(DeclaredStream { is_video, label })
    }

    /// A stream of a type without a fixed meaning, by its descriptors or its first frame.
    fn private_stream(&self, start: Option<(u8, [u8; START_BYTES])>) -> Option<DeclaredStream> {
        let mut rest = &self.descriptors[..];
        while let [tag, length, content @ ..] = rest {
            let (content, next) = content.split_at_checked(usize::from(*length))?;
            let found = match (tag, content.get(..4).unwrap_or_default()) {
                (0x05, b"AV01") => (true, "AV1"),
                (0x05, b"VP09" | b"VP90") => (true, "VP9"),
                (0x05, b"Opus") => (false, "Opus"),
                (0x05, b"fLaC") => (false, "FLAC"),
                (0x05, b"DTS1" | b"DTS2" | b"DTS3") | (0x7b, _) => (false, "DTS"),
                (0x05, b"AC-3") | (0x6a, _) => (false, "AC-3"),
                (0x05, b"EAC3") | (0x7a, _) => (false, "E-AC-3"),
                (0x05, b"AC-4") => (false, "AC-4"),
                (0x05, b"BSSD") => (false, "SMPTE 302M"),
                // Teletext and subtitles.
                (0x56 | 0x59, _) => return None,
                _ => {
                    rest = next;
                    continue;
                }
            };
            return Some(DeclaredStream { is_video: found.0, label: Some(found.1) });
        }
        let (stream_id, frame) = start?;
        let (is_video, label) = match (stream_id, frame) {
            // A temporal delimiter begins each frame of AV1.
            (0xe0..=0xef, [0x12, 0, ..]) => (true, Some("AV1")),
            (0xe0..=0xef, _) => (true, None),
            (_, [0x7f, 0xfe, 0x80, 0x01]) => (false, Some("DTS")),
            (_, [0xff, 0xf8 | 0xf9, ..] | [b'f', b'L', b'a', b'C']) => (false, Some("FLAC")),
            (0xc0..=0xdf, _) => (false, None),
            _ => return None,
        };
        Some(DeclaredStream { is_video, label })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::Bytes;

    fn packet(pid: u16, payload: &[u8]) -> Vec<u8> {
        let [high, low] = pid.to_be_bytes();
        let mut packet = vec![0x47, 0x40 | high, low, 0x10];
        packet.extend(payload);
        packet.resize(188, 0xff);
        packet
    }

    /// Packets of a section; the first has the pointer.
    fn section(pid: u16, table: u8, content: &[u8]) -> Vec<u8> {
        let length = (content.len() + 4) as u16;
        let mut bytes = vec![0, table, 0xb0 | (length >> 8) as u8, length as u8];
        bytes.extend(content);
        bytes.extend([0; 4]);
        let mut packets = Vec::new();
        for (n, part) in bytes.chunks(184).enumerate() {
            let mut packet = packet(pid, part);
            packet[1] &= if n == 0 { 0xff } else { 0xbf };
            packets.extend(packet);
        }
        packets
    }

    /// A stream whose program declares `entries`: a type, descriptors, the stream id and the first
    /// frame of each.
    fn stream(entries: &[(u8, &[u8], u8, &[u8])]) -> Bytes {
        let mut content = vec![0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0];
        let mut frames = Vec::new();
        for (number, (stream_type, descriptors, stream_id, frame)) in (0x101..).zip(entries) {
            let [high, low] = u16::to_be_bytes(number);
            content.extend([*stream_type, 0xe0 | high, low, 0xf0, descriptors.len() as u8]);
            content.extend(*descriptors);
            frames.extend(packet(number, &[&[0, 0, 1, *stream_id, 0, 0, 0x80, 0, 0], *frame].concat()));
        }
        let programs = section(0, 0, &[0, 1, 0xc1, 0, 0, 0, 0, 0xe0, 0x10, 0, 1, 0xf0, 0]);
        Bytes([programs, section(0x1000, 2, &content), frames, packet(0x1fff, &[]).repeat(4)].concat())
    }

    #[test]
    fn streams_are_named_by_type_descriptor_or_first_frame() {
        type Named = Option<(bool, Option<&'static str>)>;
        type Case = (u8, &'static [u8], u8, &'static [u8], Named);
        let cases: [Case; 10] = [
            (0x1b, b"", 0xe0, b"", Some((true, Some("H.264")))),
            (0x06, b"\x05\x04AV01", 0xbd, b"", Some((true, Some("AV1")))),
            (0x06, b"", 0xe0, b"\x12\0\x0a\x0b", Some((true, Some("AV1")))),
            (0x06, b"", 0xe0, b"\x82\x49\x83\x42", Some((true, None))),
            (0x06, b"\x0a\x04eng\0\x7b\x01\0", 0xbd, b"", Some((false, Some("DTS")))),
            (0x82, b"", 0xbd, b"\x7f\xfe\x80\x01", Some((false, Some("DTS")))),
            (0x06, b"", 0xbd, b"\xff\xf8\xc9\x18", Some((false, Some("FLAC")))),
            (0x06, b"\x59\x08eng\x10\0\x02\0\x02", 0xbd, b"", None),
            (0x15, b"", 0xbd, b"ID3\x04", None),
            // A descriptor longer than the list.
            (0x06, b"\x05\x09AV01", 0xe0, b"", None),
        ];
        for (stream_type, descriptors, id, frame, expected) in cases {
            let found = declared_streams(&stream(&[(stream_type, descriptors, id, frame)])).unwrap();
            let expected = expected.map(|(is_video, label)| DeclaredStream { is_video, label });
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{stream_type:#x} {descriptors:?}");
        }
    }

    #[test]
    fn a_table_longer_than_a_packet_is_read() {
        let many = [(0x0f, &b"\x0a\x04eng\0"[..], 0xc0, &b""[..]); 40];
        assert_eq!(declared_streams(&stream(&many)).unwrap().len(), 40);
        // Junk and cut tables are no reason to fail.
        let Bytes(bytes) = stream(&many);
        for end in (0..bytes.len()).step_by(61) {
            declared_streams(&Bytes(bytes[..end].to_vec())).unwrap();
        }
    }
}
