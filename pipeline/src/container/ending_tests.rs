#![allow(clippy::unwrap_used)]
use super::*;
use crate::source::Bytes;

fn ending(container: &str, bytes: &[u8]) -> Ending {
    Ending::read(&Bytes(bytes.to_vec()), container).unwrap()
}

fn riff(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [name, &(content.len() as u32).to_le_bytes()[..], content].concat()
}

fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes()[..], name, content].concat()
}

#[test]
fn an_avi_is_closed_when_its_sizes_fit_and_it_has_an_index() {
    let list = |kind: &[u8; 4], content: &[u8]| riff(b"LIST", &[kind, content].concat());
    let movi = list(b"movi", &riff(b"00dc", &[7; 100]));
    let body = |index: &[u8]| [&b"AVI "[..], &list(b"hdrl", &[0; 20]), &movi, index].concat();
    let closed = riff(b"RIFF", &body(&riff(b"idx1", &[0; 16])));
    assert_eq!(ending("avi", &closed), Ending::Complete);
    // Cut off; with sizes of 0; without an index; with data that is not counted.
    assert_eq!(ending("avi", &closed[..closed.len() - 30]), Ending::Incomplete);
    let mut open = closed.clone();
    open[4..8].fill(0);
    assert_eq!(ending("avi", &open), Ending::Incomplete);
    open[4..8].copy_from_slice(&24_u32.to_le_bytes());
    assert_eq!(ending("avi", &riff(b"RIFF", &body(&[]))), Ending::Unknown);
    let counted = [riff(b"RIFF", &body(&[])), riff(b"00dc", &[7; 100])].concat();
    assert_eq!(ending("avi", &counted), Ending::Incomplete);
    let mut no_movi = closed.clone();
    let position = closed.windows(4).position(|w| w == b"movi").unwrap();
    no_movi[position - 4..position].fill(0);
    assert_eq!(ending("avi", &no_movi), Ending::Incomplete);
}

#[test]
fn a_wav_is_closed_when_its_samples_are_counted() {
    let wav = |size: u32, samples: usize| {
        let data = [&b"data"[..], &size.to_le_bytes(), &vec![1; samples]].concat();
        [&b"RIFF\0\0\0\0WAVE"[..], &riff(b"fmt ", &[0; 16]), &data].concat()
    };
    assert_eq!(ending("wav", &wav(100, 100)), Ending::Complete);
    assert_eq!(ending("wav", &wav(100, 120)), Ending::Complete);
    for size in [0, 200, u32::MAX] {
        assert_eq!(ending("wav", &wav(size, 100)), Ending::Incomplete, "{size}");
    }
    let ds64 = riff(b"ds64", &[[0; 8], 100_u64.to_le_bytes(), [0; 8]].concat());
    let data = [&b"data"[..], &[0xff; 4], &[1; 100]].concat();
    let wide = [&b"RF64\xff\xff\xff\xffWAVE"[..], &ds64, &data].concat();
    assert_eq!(ending("wav", &wide), Ending::Complete);
}

#[test]
fn a_matroska_file_is_complete_if_its_muxer_finished() {
    let ebml = |name: &[u8], content: &[u8]| {
        [name, &(0x1000_0000 | content.len() as u32).to_be_bytes(), content].concat()
    };
    let head = ebml(&EBML.to_be_bytes(), &[0; 10]);
    let cluster = ebml(&CLUSTER.to_be_bytes(), &[7; 100]);
    let file = |segment_size: &[u8], info: &[u8]| {
        let info = ebml(&INFO.to_be_bytes(), info);
        [&head[..], &SEGMENT.to_be_bytes(), segment_size, &info, &cluster].concat()
    };
    let unknown = [1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let duration = ebml(&[0x44, 0x89], &4_f64.to_be_bytes());
    let length = (duration.len() + 8 + cluster.len()) as u32;
    let known = (0x1000_0000 | length).to_be_bytes();
    assert_eq!(ending("matroska", &file(&known, &duration)), Ending::Complete);
    let cut = file(&known, &duration);
    assert_eq!(ending("matroska", &cut[..cut.len() - 1]), Ending::Incomplete);
    // As a browser records, complete and cut off.
    let live = file(&unknown, &ebml(&[0x4d, 0x80], b"Chrome"));
    assert_eq!(ending("matroska", &live), Ending::Unknown);
    assert_eq!(ending("matroska", &live[..live.len() - 1]), Ending::Incomplete);
    // With room for a duration that never came, or one of 0.
    assert_eq!(ending("matroska", &file(&unknown, &ebml(&[0xec], &[0; 9]))), Ending::Incomplete);
    let zero = ebml(&[0x44, 0x89], &[0; 8]);
    assert_eq!(ending("matroska", &file(&unknown, &zero)), Ending::Incomplete);
}

#[test]
fn fragments_are_cut_off_where_a_box_goes_beyond_the_end() {
    let front = [boxed(b"ftyp", b"isom"), boxed(b"moov", &[0; 100])].concat();
    let file = [&front[..], &boxed(b"moof", &[0; 30]), &boxed(b"mdat", &[0; 100])].concat();
    assert_eq!(ending("mp4", &file), Ending::Unknown);
    for missing in [1, 90, 104, 120] {
        assert_eq!(ending("mp4", &file[..file.len() - missing]), Ending::Incomplete, "{missing}");
    }
    // A file without fragments: its sample tables show what is missing.
    let plain = [&front[..], &boxed(b"mdat", &[0; 100])].concat();
    assert_eq!(ending("mp4", &plain[..plain.len() - 10]), Ending::Unknown);
}

#[test]
fn other_containers_say_it_by_their_last_part() {
    let flv = |duration: f64| {
        let data = [&b"onMetaData\0\x08duration\0"[..], &duration.to_be_bytes()].concat();
        let length = data.len() as u32;
        let tag = [&[18][..], &length.to_be_bytes()[1..], &[0; 7], &data].concat();
        [&b"FLV\x01\x05\0\0\0\x09\0\0\0\0"[..], &tag, &(length + 11).to_be_bytes()].concat()
    };
    assert_eq!(ending("flv", &flv(4.0)), Ending::Complete);
    assert_eq!(ending("flv", &flv(0.0)), Ending::Incomplete);
    assert_eq!(ending("flv", &flv(4.0)[..40]), Ending::Incomplete);

    let page = |flags: u8| {
        let head = [&b"OggS\0"[..], &[flags], &[0; 20], &[1, 50]].concat();
        [&head[..], &[7; 50]].concat()
    };
    assert_eq!(ending("ogg", &page(4)), Ending::Complete);
    assert_eq!(ending("ogg", &page(0)), Ending::Unknown);
    assert_eq!(ending("ogg", &page(4)[..60]), Ending::Incomplete);

    let packets = [[&[0x47][..], &[0; 187]].concat(), [&[0x47][..], &[0; 187]].concat()].concat().repeat(3);
    assert_eq!(ending("mpegts", &packets), Ending::Unknown);
    assert_eq!(ending("mpegts", &packets[..1000]), Ending::Incomplete);

    let asf = |claimed: u64| {
        let name = b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65";
        [&[0; 30][..], name, &[0; 24], &claimed.to_le_bytes(), &[0; 100]].concat()
    };
    assert_eq!(ending("asf", &asf(100)), Ending::Complete);
    assert_eq!(ending("asf", &asf(1000)), Ending::Incomplete);
    assert_eq!(ending("asf", &asf(0)), Ending::Unknown);
}
