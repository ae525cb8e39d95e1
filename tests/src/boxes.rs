//! Just enough of a fragmented MP4 reader to check our own writer: time stamps and durations from
//! the boxes.

use chalkstream_formats::boxes::{split, u32_at, u64_at};

/// Facts that one media segment states of itself, in ticks of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Decode time of the first sample.
    pub start: u64,
    /// Sum of the samples' durations.
    pub duration: u64,
    /// Number of samples.
    pub samples: u32,
    /// Latest presentation end: decode time + composition offset + duration, over all samples.
    pub end: i64,
    /// Whether the first sample is a sync sample.
    pub sync: bool,
    /// Least presentation time less decode time.
    pub least_offset: i64,
}

/// The bodies of the boxes named `path` (one inside the other), in order.
pub fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Vec<&'a [u8]> {
    let Some((name, rest)) = path.split_first() else { return vec![bytes] };
    let mut found = Vec::new();
    let mut boxes = bytes;
    while !boxes.is_empty() {
        let (kind, content, after) = split(boxes).expect("complete boxes up to the end");
        if kind == **name {
            found.extend(find(content, rest));
        }
        boxes = after;
    }
    found
}

/// Four bytes as a number.
pub fn be32(bytes: &[u8], at: usize) -> u32 {
    u32_at(bytes, at).expect("four bytes")
}

/// Eight bytes as a number.
pub fn be64(bytes: &[u8], at: usize) -> u64 {
    u64_at(bytes, at).expect("eight bytes")
}

/// Ticks per second of the one track of an init segment.
pub fn timescale(init: &[u8]) -> u32 {
    let mdhd = find(init, &[b"moov", b"trak", b"mdia", b"mdhd"]);
    assert_eq!(mdhd.len(), 1, "one track");
    be32(mdhd[0], if mdhd[0][0] == 1 { 20 } else { 12 })
}

/// Reads every fragment of a segment.
pub fn fragments(segment: &[u8]) -> Vec<Fragment> {
    find(segment, &[b"moof", b"traf"]).into_iter().map(fragment).collect()
}

fn fragment(traf: &[u8]) -> Fragment {
    let tfhd = find(traf, &[b"tfhd"])[0];
    let flags = be32(tfhd, 0) & 0xff_ffff;
    let mut at = 8;
    let mut field = |bit: u32, size: usize| {
        let here = at;
        if flags & bit != 0 {
            at += size;
            return Some(here);
        }
        None
    };
    field(0x1, 8);
    field(0x2, 4);
    let duration_at = field(0x8, 4);
    field(0x10, 4);
    let flags_at = field(0x20, 4);
    let default_duration = duration_at.map_or(0, |at| be32(tfhd, at));
    let default_flags = flags_at.map_or(0, |at| be32(tfhd, at));
    let tfdt = find(traf, &[b"tfdt"])[0];
    let start = if tfdt[0] == 1 { be64(tfdt, 4) } else { u64::from(be32(tfdt, 4)) };

    let (mut duration, mut samples, mut end, mut sync) = (0_u64, 0_u32, i64::MIN, false);
    let mut least_offset = i64::MAX;
    for trun in find(traf, &[b"trun"]) {
        let flags = be32(trun, 0) & 0xff_ffff;
        let count = be32(trun, 4);
        let mut at = 8 + if flags & 0x1 != 0 { 4 } else { 0 };
        let mut first_flags = default_flags;
        if flags & 0x4 != 0 {
            first_flags = be32(trun, at);
            at += 4;
        }
        for index in 0..count {
            let mut next = |bit: u32, or: u32| {
                if flags & bit == 0 {
                    return or;
                }
                let value = be32(trun, at);
                at += 4;
                value
            };
            let length = next(0x100, default_duration);
            next(0x200, 0);
            let sample_flags = next(0x400, if index == 0 { first_flags } else { default_flags });
            let offset = i64::from(next(0x800, 0) as i32);
            if samples == 0 {
                sync = sample_flags & 0x0001_0000 == 0;
            }
            least_offset = least_offset.min(offset);
            end = end.max((start + duration) as i64 + offset + i64::from(length));
            duration += u64::from(length);
            samples += 1;
        }
    }
    Fragment { start, duration, samples, end, sync, least_offset }
}
