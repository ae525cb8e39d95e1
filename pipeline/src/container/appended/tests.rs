#![allow(clippy::unwrap_used)]
use super::walk::MAX_RECORDINGS;
use super::*;
use crate::source::Bytes;

/// Offsets of recordings, their sizes in bytes, and their last times in ms.
fn positions(container: &str, file: &[u8]) -> Vec<(u64, u64, Option<i64>)> {
    let found = find(&Bytes(file.to_vec()), container, &ContentionClock::for_this_process()).unwrap();
    let position =
        |f: &AppendedRecording| (f.within.begins_at, f.within.size_bytes, f.last_ns.map(|ns| ns / 1_000_000));
    found.recordings.iter().map(position).collect()
}

/// Checks that two recordings are found if one follows the other, and none in the first alone.
fn check(container: &str, one: &[u8], other: &[u8], last_ms: [Option<i64>; 2]) {
    assert_eq!(positions(container, one), [], "one recording");
    let (first, second) = (one.len() as u64, other.len() as u64);
    let wanted = [(0, first, last_ms[0]), (first, second, last_ms[1])];
    assert_eq!(positions(container, &[one, other].concat()), wanted);
    let cut = &[one, other].concat()[..one.len() + 5];
    assert!(positions(container, cut).len() < 3, "cut off");
}

fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    [id, &[0x40 | (content.len() >> 8) as u8, content.len() as u8], content].concat()
}

/// A recording as browsers make it, or one that was closed.
fn webm(last: u8, open: bool) -> Vec<u8> {
    let info = element(&[0x15, 0x49, 0xa9, 0x66], &element(&[0x2a, 0xd7, 0xb1], &[0x0f, 0x42, 0x40]));
    let cluster = |time: u8| {
        let content = [
            element(&[0xe7], &[0, time]),
            element(&[0xa3], &[0x81, 0, 5, 0x80, 1, 2, 3]),
            element(&[0xa0], &element(&[0xa1], &[0x81, 0, 9, 0, 1])),
            // A block whose content looks like a recording.
            element(&[0xa3], &[0x81, 0, 2, 0x80, 0x1a, 0x45, 0xdf, 0xa3, 0x80]),
        ]
        .concat();
        let id = [0x1f, 0x43, 0xb6, 0x75];
        if open { [&id[..], &[1], &[0xff; 7], &content].concat() } else { element(&id, &content) }
    };
    let content = [info, cluster(3), cluster(last)].concat();
    let id = [0x18, 0x53, 0x80, 0x67];
    let segment = if open { [&id[..], &[1], &[0xff; 7], &content].concat() } else { element(&id, &content) };
    [element(&[0x1a, 0x45, 0xdf, 0xa3], b"\x42\x82\x84webm"), segment].concat()
}

#[test]
fn a_further_matroska_is_found() {
    for (one, other) in [(true, true), (true, false), (false, true), (false, false)] {
        check("matroska", &webm(30, one), &webm(100, other), [Some(39), Some(109)]);
    }
}

#[test]
fn a_further_movie_is_found() {
    let boxed = |kind: &[u8; 4], content: &[u8]| {
        [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
    };
    let front = [boxed(b"ftyp", b"isom"), boxed(b"moov", b"index"), boxed(b"mdat", b"12345")].concat();
    let back = [boxed(b"ftyp", b"isom"), boxed(b"mdat", b"ftypmoov"), boxed(b"moov", b"in")].concat();
    check("mp4", &front, &back, [None; 2]);
    check("mp4", &back, &front, [None; 2]);
    let without = [boxed(b"ftyp", b"isom"), boxed(b"mdat", b"12")].concat();
    assert_eq!(positions("mp4", &[&front[..], &without].concat()), [], "the second has no index");
    let many: Vec<u8> = (0..MAX_RECORDINGS + 1).flat_map(|_| front.clone()).collect();
    assert_eq!(positions("mp4", &many), [], "as many are headers of fragments");
}

#[test]
fn a_further_riff_form_or_asf_is_found() {
    let riff = |kind: &[u8; 4], content: &[u8]| {
        let mut made = [b"RIFF", &(content.len() as u32 + 4).to_le_bytes()[..], kind, content].concat();
        made.resize(made.len().next_multiple_of(2), 0);
        made
    };
    check(
        "avi",
        &[riff(b"AVI ", b"abc"), riff(b"AVIX", b"abcd")].concat(),
        &riff(b"AVI ", b"abcd"),
        [None; 2],
    );
    check("wav", &riff(b"WAVE", b"abcdef"), &riff(b"WAVE", b"ab"), [None; 2]);
    let form =
        |content: &[u8]| [b"FORM", &(content.len() as u32 + 4).to_be_bytes()[..], b"AIFF", content].concat();
    check("aiff", &form(b"abcdef"), &form(b"ab"), [None; 2]);
    let asf = |length: u64| {
        let head = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c";
        let object = |id: &[u8; 16], length: u64| {
            [&id[..], &(length + 24).to_le_bytes(), &vec![0; length as usize]].concat()
        };
        [object(head, 20), object(&[7; 16], length)].concat()
    };
    check("asf", &asf(100), &asf(30), [None; 2]);
}

#[test]
fn a_further_flv_or_ogg_is_found() {
    let tag = |kind: u8, ms: u8| {
        [&[kind, 0, 0, 3, 0, 0, ms, 0, 0, 0, 0, b'F', b'L', b'V'][..], &[0, 0, 0, 14]].concat()
    };
    let flv =
        |ms: u8| [b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec(), tag(18, 0), tag(9, 10), tag(8, ms)].concat();
    check("flv", &flv(40), &flv(90), [Some(40), Some(90)]);
    let page = |flags: u8, length: u8| {
        let mut made = b"OggS\0".to_vec();
        made.push(flags);
        made.resize(26, 0);
        made.extend([1, length]);
        made.resize(28 + usize::from(length), b'O');
        made
    };
    let ogg = |length: u8| [page(2, 30), page(2, 20), page(0, 200), page(4, length)].concat();
    check("ogg", &ogg(9), &ogg(80), [None; 2]);
}

#[test]
fn what_follows_a_stream_of_frames_is_found() {
    let packet = |size: usize, lead: usize| {
        let mut packet = vec![0x55; size];
        packet[lead] = 0x47;
        packet
    };
    let mp3 = [&[0xff, 0xfb, 0x90, 0x64][..], &[0x55; 413]].concat();
    let movie = [&[0, 0, 0, 20][..], b"ftypisom\0\0\0\0isom", &[0x33; 300_000]].concat();
    let streams = [
        ("mpegts", packet(188, 0).repeat(4_001)),
        ("mpegts", packet(192, 4).repeat(4_001)),
        ("mp3", mp3.repeat(1_001)),
        ("mp3", [&b"ID3\x04\0\0\0\x10\0\0"[..], &[9; 1 << 18], &mp3.repeat(1_001)].concat()),
    ];
    for (container, stream) in streams {
        let foreign = |file: &[u8]| {
            let clock = ContentionClock::for_this_process();
            find(&Bytes(file.to_vec()), container, &clock).unwrap().foreign_bytes
        };
        assert_eq!(foreign(&stream), 0, "{container}");
        assert_eq!(foreign(&stream[..stream.len() - 100]), 0, "{container}, cut off");
        assert_eq!(foreign(&[&stream[..], &movie].concat()), movie.len() as u64, "{container}");
        assert_eq!(foreign(&[&stream[..], &[0; 200_000]].concat()), 200_000, "{container}, zeros");
        // A hole is damage, not an end.
        let damaged = [&stream[..], &[0x66; 200_000], &stream[stream.len() / 2..]].concat();
        assert_eq!(foreign(&damaged), 0, "{container}, damaged");
    }
}
