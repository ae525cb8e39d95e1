//! A reader of boxes for tests.
//!
//! It checks the writer, so it shares no code with it or with `chalkstream_formats::boxes`, and it
//! fails on any malformed box.

/// Returns the boxes of `bytes`, one level deep.
pub(crate) fn boxes(mut bytes: &[u8]) -> Vec<(String, &[u8])> {
    let mut found = Vec::new();
    while let Some((size, rest)) = bytes.split_first_chunk::<4>() {
        let size = u32::from_be_bytes(*size) as usize;
        assert!(size >= 8 && size <= bytes.len(), "box of {size} in {} bytes", bytes.len());
        found.push((String::from_utf8_lossy(&rest[..4]).into_owned(), &bytes[8..size]));
        bytes = &bytes[size..];
    }
    found
}

/// Returns the content of the box at `path`, such as `moof/traf/trun`.
pub(crate) fn find<'a>(bytes: &'a [u8], path: &str) -> Option<&'a [u8]> {
    let (kind, rest) = path.split_once('/').map_or((path, None), |(kind, rest)| (kind, Some(rest)));
    let (_, body) = boxes(bytes).into_iter().find(|(found, _)| found == kind)?;
    rest.map_or(Some(body), |rest| find(body, rest))
}

/// A sample as read back: (decode time, presentation time, duration, sync, bytes).
pub(crate) type ReadSample = (u64, i64, u32, bool, Vec<u8>);

/// Returns all samples of a fragment.
pub(crate) fn samples(fragment: &[u8]) -> Vec<ReadSample> {
    let u32_at = |b: &[u8], at: usize| u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
    let tfhd = find(fragment, "moof/traf/tfhd").expect("tfhd");
    let (flags, mut at) = (u32_at(tfhd, 0) & 0xff_ffff, 8);
    let mut default = |bit: u32| {
        (flags & bit != 0).then(|| {
            at += 4;
            u32_at(tfhd, at - 4)
        })
    };
    let (default_duration, default_flags) = (default(0x08), default(0x20));
    let tfdt = find(fragment, "moof/traf/tfdt").expect("tfdt");
    let mut decode = u64::from(u32_at(tfdt, 4)) << 32 | u64::from(u32_at(tfdt, 8));
    let trun = find(fragment, "moof/traf/trun").expect("trun");
    let (present, count, mut data_at) =
        (u32_at(trun, 0) & 0xff_ffff, u32_at(trun, 4), u32_at(trun, 8) as usize);
    let mut at = 12;
    let mut next = |bit: u32| {
        (present & bit != 0).then(|| {
            at += 4;
            u32_at(trun, at - 4)
        })
    };
    let first_flags = next(0x04);
    (0..count)
        .map(|i| {
            let duration = next(0x100).or(default_duration).expect("duration");
            let size = next(0x200).expect("size") as usize;
            let own_flags = next(0x400);
            let offset = next(0x800).unwrap_or(0) as i32;
            let flags = if i == 0 { first_flags } else { None }.or(own_flags).or(default_flags);
            let data = fragment[data_at..data_at + size].to_vec();
            let read = (
                decode,
                decode as i64 + i64::from(offset),
                duration,
                flags.expect("flags") & 0x1_0000 == 0,
                data,
            );
            decode += u64::from(duration);
            data_at += size;
            read
        })
        .collect()
}
