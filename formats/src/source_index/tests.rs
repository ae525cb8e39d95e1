//! The layout byte by byte, and what a reader refuses.

use std::io::Cursor;

use super::*;

/// Segments of a test index: each one's `moof`, where its runs begin, and the runs.
type Segments<'a> = &'a [(&'a [u8], u64, &'a [Run])];

fn written(framing: Option<NalFraming>, source_bytes: u64, segments: Segments<'_>) -> Vec<u8> {
    let count = segments.len() as u32;
    let mut writer = IndexWriter::new(Cursor::new(Vec::new()), b"init".to_vec(), count).unwrap();
    for (number, (moof, source_offset, runs)) in segments.iter().enumerate() {
        writer
            .add(&SegmentRecord {
                start: number as u64 * 3200,
                duration: 3200,
                source_offset: *source_offset,
                runs,
                moof,
            })
            .unwrap();
    }
    writer.finish(1000, source_bytes, framing).unwrap().into_inner()
}

#[test]
fn the_layout_is_the_documented_one_to_the_byte() {
    let framing = NalFraming { coding: Coding::Hevc, length_bytes: 4 };
    let runs = [Run::new(0, 5), Run::new(2, 3)];
    let golden = [
        // Magic, version, ticks per second, segments, bytes of the init segment.
        &b"chalkidx"[..],
        &[0, 0, 0, 2],
        &[0, 0, 0x03, 0xe8],
        &[0, 0, 0, 2],
        &[0, 0, 0, 4],
        // Bytes of the source, coding, bytes of a unit's length.
        &[0, 0, 0, 1, 0, 0, 0, 100],
        &[0, 0, 0, 2],
        &[0, 0, 0, 4],
        b"init",
        // Entry: start, duration, runs, record, moof, payload, source offset, source bytes, 0.
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0x0c, 0x80],
        &[0, 0, 0, 2],
        &[0, 0, 0, 0, 0, 0, 0, 140],
        &[0, 0, 0, 5],
        &[0, 0, 0, 8],
        &[0, 0, 0, 1, 0, 0, 0, 10],
        &[0, 0, 0, 10],
        &[0, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0x0c, 0x80],
        &[0, 0, 0x0c, 0x80],
        &[0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 0, 0, 161],
        &[0, 0, 0, 6],
        &[0, 0, 0, 10],
        &[0, 0, 0, 1, 0, 0, 0, 90],
        &[0, 0, 0, 10],
        &[0, 0, 0, 0],
        // Records: runs, then the `moof`.
        &[0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0, 3],
        b"moof1",
        &[0, 0, 0, 0, 0, 0, 0, 10],
        b"moof2!",
    ]
    .concat();
    let far = 1_u64 << 32;
    let segments: Segments<'_> = &[(b"moof1", far + 10, &runs), (b"moof2!", far + 90, &[Run::new(0, 10)])];
    assert_eq!(written(Some(framing), far + 100, segments), golden);

    let index = SourceIndex::parse(&golden, golden.len() as u64).unwrap();
    assert_eq!(index.init, b"init");
    assert_eq!(index.header.framing, Some(framing));
    assert_eq!((index.header.timescale, index.header.source_bytes), (1000, far + 100));
    assert_eq!(index.entries[1].start, 3200);
    assert_eq!(index.entries[1].record_range(), 161..175);
}

#[test]
fn the_parts_of_a_range_are_found() {
    let runs = [Run::new(0, 5), Run::new(2, 3)];
    let bytes = written(None, 100, &[(b"moof1", 10, &runs), (b"moof2!", 90, &[Run::new(0, 10)])]);
    let index = SourceIndex::parse(&bytes, bytes.len() as u64).unwrap();
    let first = index.entries[0];
    let range = first.record_range();
    let record = &bytes[range.start as usize..range.end as usize];
    assert_eq!(first.size_bytes(), 13);
    let part = |wanted| {
        let parts = first.parts(record, wanted).unwrap();
        (record[parts.moof].to_vec(), parts.source, parts.runs)
    };
    assert_eq!(part(0..13), (b"moof1".to_vec(), 10..20, runs.to_vec()));
    assert_eq!(part(3..8), (b"f1".to_vec(), 10..13, vec![Run::new(0, 3)]));
    assert_eq!(part(7..12), (vec![], 12..19, vec![Run::new(0, 3), Run::new(2, 2)]));
    assert_eq!(part(11..12), (vec![], 18..19, vec![Run::new(0, 1)]));
    assert_eq!(part(0..2), (b"mo".to_vec(), 10..10, vec![]));
}

#[test]
fn what_does_not_fit_is_refused() {
    let good = written(None, 100, &[(b"moof", 10, &[Run::new(0, 5), Run::new(2, 3)])]);
    let size = good.len() as u64;
    let entry = 44;
    let changed = |at: usize, to: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        SourceIndex::parse(&bytes, size).map(|_| ())
    };
    assert!(changed(0, b"c").is_some());
    for (at, to, why) in [
        (0, &b"x"[..], "another kind of object"),
        (8, &[0, 0, 0, 1], "another version"),
        (16, &[0xff; 4], "too many segments"),
        (20, &[0xff; 4], "a huge init segment"),
        (24, &[0; 8], "a source that is too short"),
        (32, &[0, 0, 0, 3], "an unknown coding"),
        (32, &[0, 0, 0, 1, 0, 0, 0, 5], "lengths of five bytes"),
        (entry + 12, &[0xff; 4], "more runs than there are"),
        (entry + 16, &[0; 8], "a record inside the head"),
        (entry + 16, &[0xff; 8], "a record past the end of everything"),
        (entry + 32, &[0xff; 8], "bytes past the end of the source"),
    ] {
        assert!(changed(at, to).is_none(), "{why}");
    }
    assert!(SourceIndex::parse(&good[..60], size).is_none(), "half a head");

    let segment = SourceIndex::parse(&good, size).unwrap().entries[0];
    let longer = [&[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 3][..], b"moof"].concat();
    assert!(segment.parts(&longer, 0..12).is_none(), "runs of another length than in the entry");
    assert!(segment.parts(&longer[..12], 0..12).is_none(), "half a record");
}

#[test]
fn a_writer_keeps_its_promise() {
    let writer = IndexWriter::new(Cursor::new(Vec::new()), Vec::new(), 1).unwrap();
    assert!(writer.finish(1000, 1, None).is_err(), "a segment is missing");
}
