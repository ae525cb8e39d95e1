use super::read::{self, boxes, find, samples};
use super::*;

fn video() -> Track {
    // SPS and PPS of a 64x48 stream, enough for the record's head.
    Track {
        timescale: 90_000,
        language: None,
        media: TrackMedia::Avc { config: vec![1, 0x4d, 0x40, 0x0b, 0xff, 0xe0, 0], width: 64, height: 48 },
    }
}

fn audio() -> Track {
    Track {
        timescale: 48_000,
        language: Some(*b"deu"),
        media: TrackMedia::Aac {
            config: vec![0x11, 0x90],
            channels: 2,
            sample_rate_hz: 48_000,
            bitrate_bps: 96_000,
        },
    }
}

#[test]
fn an_init_segment_describes_the_track() {
    let bytes = init_segment(&video());
    assert_eq!(boxes(&bytes).iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>(), ["ftyp", "moov"]);
    assert_eq!(find(&bytes, "moov/trak/mdia/mdhd").map(|b| b[12..16].to_vec()), Some(vec![0, 1, 0x5f, 0x90]));
    let stsd = find(&bytes, "moov/trak/mdia/minf/stbl/stsd").expect("stsd");
    let entry = find(&stsd[8..], "avc1").expect("avc1");
    assert_eq!(entry[24..28], [0, 64, 0, 48]);
    assert_eq!(find(&entry[78..], "colr"), Some(&b"nclx\0\x01\0\x01\0\x01\0"[..]));
    assert_eq!(find(&entry[78..], "pasp"), Some(&[0, 0, 0, 1, 0, 0, 0, 1][..]));
    assert_eq!(find(&entry[78..], "avcC").map(<[u8]>::len), Some(7));
    assert!(find(&bytes, "moov/trak/edts").is_none());
    assert_eq!(find(&bytes, "moov/mvex/trex").map(|b| b[7]), Some(1));
}

#[test]
fn audio_carries_its_language_and_configuration() {
    let bytes = init_segment(&audio());
    let mdhd = find(&bytes, "moov/trak/mdia/mdhd").expect("mdhd");
    let packed = u16::from_be_bytes([mdhd[20], mdhd[21]]);
    let letters: Vec<u8> = [10, 5, 0].iter().map(|s| (packed >> s & 31) as u8 + 0x60).collect();
    assert_eq!(letters, b"deu");
    let stsd = find(&bytes, "moov/trak/mdia/minf/stbl/stsd").expect("stsd");
    let entry = find(&stsd[8..], "mp4a").expect("mp4a");
    let esds = find(&entry[28..], "esds").expect("esds");
    assert!(esds.windows(4).any(|w| w == [0x05, 2, 0x11, 0x90]));
    assert_eq!(audio().codecs(), "mp4a.40.2");
    assert_eq!(video().codecs(), "avc1.4d400b");
}

#[test]
fn samples_are_read_back_as_written() {
    // Two groups of frames: presented as 0 3 1 2, decoded as 0 1 2 3, with negative offsets.
    let data = [b"IDR".as_slice(), b"P", b"bb", b""];
    let written: Vec<FragmentSample<'_>> = (0..8)
        .map(|i| FragmentSample {
            data: data[i % 4],
            duration: 3000,
            composition_offset: [0, 6000, -3000, -3000][i % 4],
            sync: i % 4 == 0,
        })
        .collect();
    let bytes = fragment(7, 1 << 40, &written);
    let read = samples(&bytes);
    assert_eq!(read.len(), 8);
    for (i, (decode, presented, duration, sync, bytes)) in read.iter().enumerate() {
        assert_eq!(*decode, (1 << 40) + 3000 * i as u64);
        assert_eq!(*presented, *decode as i64 + i64::from(written[i].composition_offset));
        assert_eq!((*duration, *sync, bytes.as_slice()), (3000, i % 4 == 0, written[i].data));
    }
    assert_eq!(find(&bytes, "moof/mfhd").map(|b| b[7]), Some(7));
    let mut streamed = Vec::new();
    let size = write_fragment(&mut streamed, 7, 1 << 40, &written).expect("a Vec takes all");
    assert_eq!((size, &streamed), (bytes.len() as u64, &bytes));
}

#[test]
fn fields_that_all_samples_share_are_written_once() {
    let frame = [0; 85];
    let samples =
        vec![FragmentSample { data: &frame, duration: 1024, composition_offset: 0, sync: true }; 150];
    let bytes = fragment(1, 0, &samples);
    assert_eq!(bytes.len() - 150 * 85, 104 + 4 * 150);
    assert!(read::samples(&bytes).iter().all(|s| s.2 == 1024 && s.3));
}

#[test]
fn only_the_first_is_sync_and_durations_differ() {
    let written: Vec<FragmentSample<'_>> = (0..4u32)
        .map(|i| FragmentSample { data: b"x", duration: 1000 + i, composition_offset: 0, sync: i == 0 })
        .collect();
    let read = samples(&fragment(2, 5, &written));
    assert_eq!(read.iter().map(|s| s.3).collect::<Vec<_>>(), [true, false, false, false]);
    assert_eq!(read.iter().map(|s| s.0).collect::<Vec<_>>(), [5, 1005, 2006, 3008]);
}
