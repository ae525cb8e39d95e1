//! Patches the boxes of MP4 files.

use std::ops::Range;

pub use crate::boxes::{be32, be64};

/// The boxes named `name` in a range: where each lies, its header included.
pub fn boxes(bytes: &[u8], within: Range<usize>, name: &[u8; 4]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = within.start;
    while at + 8 <= within.end {
        let size = be32(bytes, at) as usize;
        let size = if size == 1 { be64(bytes, at + 8) as usize } else { size };
        assert!(size >= 8 && at + size <= within.end, "a box of {size} bytes at {at}");
        if &bytes[at + 4..at + 8] == name {
            found.push(at..at + size);
        }
        at += size;
    }
    found
}

/// The boxes at the end of a path of names.
pub fn find(bytes: &[u8], path: &[&[u8; 4]]) -> Vec<Range<usize>> {
    let Some((first, rest)) = path.split_first() else { return Vec::new() };
    rest.iter().fold(boxes(bytes, 0..bytes.len(), first), |all, name| {
        all.into_iter().flat_map(|outer| boxes(bytes, outer.start + 8..outer.end, name)).collect()
    })
}

/// The track with this handler: `vide` or `soun`.
pub fn track(bytes: &[u8], handler: &[u8; 4]) -> Range<usize> {
    find(bytes, &[b"moov", b"trak"])
        .into_iter()
        .find(|track| {
            below(bytes, track, &[b"mdia", b"hdlr"])
                .is_some_and(|at| &bytes[at.start + 16..at.start + 20] == handler)
        })
        .expect("a track of this kind")
}

/// The first box at the end of a path below another one.
pub fn below(bytes: &[u8], outer: &Range<usize>, path: &[&[u8; 4]]) -> Option<Range<usize>> {
    let mut at = outer.clone();
    for name in path {
        at = boxes(bytes, at.start + 8..at.end, name).into_iter().next()?;
    }
    Some(at)
}

/// Sets the duration of a `mvhd`, `tkhd`, `mdhd` or `mehd` of version 0.
pub fn set_duration(bytes: &mut [u8], header: &Range<usize>, ticks: u32) {
    assert_eq!(bytes[header.start + 8], 0, "version 0");
    let offset = match &bytes[header.start + 4..header.start + 8] {
        b"mvhd" | b"mdhd" => 24,
        b"tkhd" => 28,
        _ => 12,
    };
    bytes[header.start + offset..header.start + offset + 4].copy_from_slice(&ticks.to_be_bytes());
}

/// Replaces the track's edit list by this one: length in the movie's ticks, start in the track's,
/// rate in 1/65536.
pub fn set_edits(bytes: &mut Vec<u8>, handler: &[u8; 4], edits: &[(u32, i32, u32)]) {
    let mut body = vec![0; 4];
    body.extend((edits.len() as u32).to_be_bytes());
    for (length, start, rate) in edits {
        body.extend(length.to_be_bytes());
        body.extend(start.to_be_bytes());
        body.extend(rate.to_be_bytes());
    }
    let list = wrapped(b"elst", &body);
    let edits = wrapped(b"edts", &list);
    let moov = find(bytes, &[b"moov"])[0].clone();
    let mdat = find(bytes, &[b"mdat"])[0].clone();
    assert!(mdat.start < moov.start, "the index comes last, or sample offsets would change");
    let track = track(bytes, handler);
    let old = below(bytes, &track, &[b"edts"]);
    let range = old.clone().unwrap_or_else(|| {
        let header = below(bytes, &track, &[b"tkhd"]).expect("a track header");
        header.end..header.end
    });
    let grown = edits.len() as i64 - range.len() as i64;
    bytes.splice(range, edits);
    for outer in [track.start, moov.start] {
        let size = (i64::from(be32(bytes, outer)) + grown) as u32;
        bytes[outer..outer + 4].copy_from_slice(&size.to_be_bytes());
    }
}

/// Sets the lengths the headers state after edits: movie and tracks, in the movie's ticks.
pub fn set_lengths(bytes: &mut [u8], ticks: u32) {
    for path in [&[b"moov", b"mvhd"][..], &[b"moov", b"trak", b"tkhd"][..]] {
        for header in find(bytes, path) {
            set_duration(bytes, &header, ticks);
        }
    }
}

/// Ticks per second of a track's media.
pub fn timescale(bytes: &[u8], handler: &[u8; 4]) -> u32 {
    let header = below(bytes, &track(bytes, handler), &[b"mdia", b"mdhd"]).expect("a media header");
    be32(bytes, header.start + 20)
}

/// A track's number.
pub fn track_id(bytes: &[u8], handler: &[u8; 4]) -> u32 {
    let header = below(bytes, &track(bytes, handler), &[b"tkhd"]).expect("a track header");
    be32(bytes, header.start + 20)
}

/// A box of this name.
pub fn wrapped(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut all = ((body.len() + 8) as u32).to_be_bytes().to_vec();
    all.extend(name);
    all.extend(body);
    all
}
