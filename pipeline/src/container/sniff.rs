//! The container of a file by its first bytes, before any media tool sees it.

use super::motion_photo::is_still_image;
use super::{bare_stream, refusal};
use crate::error::{Error, Result};
use crate::source::{ReadAt, read_full};

/// Bytes of a file's front that are examined.
const FRONT_BYTES: usize = 8 * 1024;

/// Name of the container, as in [`crate::media::MediaInfo::container`]; an error if the file is
/// refused.
pub fn sniff(source: &dyn ReadAt) -> Result<&'static str> {
    let mut front = vec![0; FRONT_BYTES];
    let read = read_full(source, 0, &mut front)?;
    front.truncate(read);
    if front.is_empty() {
        return Err(Error::input("empty_file", "The file is empty."));
    }
    if let Some(kind) = container(&front) {
        return Ok(kind);
    }
    if front.starts_with(b"ID3") && front.len() > 10 {
        // A tag before a bare audio stream. The bytes after it decide which.
        let size = front[6..10].iter().fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f));
        let mut after = vec![0; FRONT_BYTES];
        let read = read_full(source, 10 + size, &mut after)?;
        return Ok(match container(&after[..read]) {
            Some(kind @ ("flac" | "aac")) => kind,
            _ => "mp3",
        });
    }
    let mut identifier = [0; 5];
    if front.iter().all(|&byte| byte == 0)
        && read_full(source, refusal::DISC_IDENTIFIER_OFFSET, &mut identifier)? == identifier.len()
        && let Some(refused) = refusal::for_disc_image(&identifier)
    {
        return Err(refused);
    }
    if let Some(refused) = refusal::for_front(&front) {
        return Err(refused);
    }
    bare_stream::detect(&front).ok_or_else(|| Error::input("not_media", "This is not a recording."))
}

/// Containers by their first bytes.
const MAGIC: &[(&[u8], &str)] = &[
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"OggS", "ogg"),
    (b"FLV\x01", "flv"),
    (b"fLaC", "flac"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"#!AMR", "amr"),
    (b"\0\0\x01\xba", "mpegps"),
    (b"\0\0\x01\xb3", "mpegvideo"),
    (b"\x0b\x77", "ac3"),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", "mxf"),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0", "w64"),
    (b"caff\0\x01", "caf"),
    (b".snd", "au"),
    (b"DKIF", "ivf"),
    (b"YUV4MPEG2 ", "y4m"),
    (b"wvpk", "wavpack"),
    (b"\x7f\xfe\x80\x01", "dts"),
];

/// Name of the container that starts with these bytes.
pub(super) fn container(front: &[u8]) -> Option<&'static str> {
    let has = |offset: usize, magic: &[u8]| front.get(offset..offset + magic.len()) == Some(magic);
    if has(0, b"RIFF") || has(0, b"RF64") || has(0, b"BW64") {
        return match front.get(8..12)? {
            b"AVI " | b"AVIX" => Some("avi"),
            b"WAVE" => Some("wav"),
            _ => None,
        };
    }
    if has(0, b"FORM") && (has(8, b"AIFF") || has(8, b"AIFC")) {
        return Some("aiff");
    }
    for &(magic, kind) in MAGIC {
        if has(0, magic) {
            return Some(kind);
        }
    }
    // The first two blocks of a frame of DV (IEC 61834-2): its header and its first subcode.
    if has(0, b"\x1f\x07\0") && has(80, b"\x3f\x07") {
        return Some("dv");
    }
    if is_iso_media(front) {
        return (!is_still_image(front) && !has(4, b"ftypcrx ")).then_some("mp4");
    }
    if is_transport_stream(front) {
        return Some("mpegts");
    }
    match front {
        [0xff, second, ..] if second & 0xf6 == 0xf0 => Some("aac"),
        [0xff, second, third, ..]
            if second & 0xe0 == 0xe0
                && second & 0x06 != 0
                && third & 0xf0 != 0xf0
                && third & 0x0c != 0x0c =>
        {
            Some("mp3")
        }
        _ => None,
    }
}

/// Whether this is an ISO base media or QuickTime file, by the type of the first box.
fn is_iso_media(front: &[u8]) -> bool {
    matches!(
        front.get(4..8),
        Some(
            b"ftyp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"pnot" | b"styp" | b"moof" | b"uuid"
        )
    )
}

/// Whether this is an MPEG transport stream: each packet starts with a sync byte. Packets have 188
/// bytes, 192 with a time code before each (cameras), or 204 with error correction.
fn is_transport_stream(front: &[u8]) -> bool {
    [(188, 0), (192, 4), (204, 0)].iter().any(|&(size, first)| {
        let packets = front.iter().skip(first).step_by(size).take(5);
        packets.clone().count() >= 2 && packets.into_iter().all(|&byte| byte == 0x47)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::Bytes;

    fn code(bytes: &[u8]) -> &'static str {
        sniff(&Bytes(bytes.to_vec())).unwrap_or_else(|e| e.code)
    }

    #[test]
    fn recordings_are_recognised_by_their_first_bytes() {
        assert_eq!(code(b"\0\0\0\x18ftypqt  \0\0\0\0"), "mp4");
        assert_eq!(code(b"RIFF\0\0\0\0WAVEfmt "), "wav");
        assert_eq!(code(b"\x1a\x45\xdf\xa3"), "matroska");
        assert_eq!(code(b"GIF89a"), "gif");
        assert_eq!(code(b"BW64\xff\xff\xff\xffWAVEds64"), "wav");
        assert_eq!(code(&[b"\x1f\x07\0\xbf".to_vec(), vec![0; 76], b"\x3f\x07\0".to_vec()].concat()), "dv");
        assert_eq!(code(b"\0\0\0\x01\x67\x42\0\x1e\0\0\x01\x65\x88"), "h264");
        let mut ts = vec![0; 188 * 6];
        ts.iter_mut().step_by(188).for_each(|b| *b = 0x47);
        assert_eq!(code(&ts), "mpegts");
        let mut tagged = b"ID3\x04\0\0\0\0\0\x05hellofLaC".to_vec();
        assert_eq!(code(&tagged), "flac");
        tagged.truncate(15);
        assert_eq!(code(&tagged), "mp3");
    }

    #[test]
    fn others_are_refused_by_name() {
        assert_eq!(code(b""), "empty_file");
        assert_eq!(code(b"Dear colleagues, here is the lesson plan."), "not_media");
        assert_eq!(code(b"\xff\xd8\xff\xe0\0\x10JFIF"), "image_not_video");
        assert_eq!(code(b"\0\0\0\x18ftypheic\0\0\0\0"), "image_not_video");
        assert_eq!(code(b"\xef\xbb\xbf\n#EXTM3U\nhttp://a/"), "playlist_not_media");
        assert_eq!(code(b"ffconcat version 1.0\nfile /etc/passwd"), "playlist_not_media");
        assert_eq!(code(b"<?xml version=\"1.0\"?>\n<MPD>"), "playlist_not_media");
        assert_eq!(code(b"https://example.org/lesson"), "link_not_media");
        assert_eq!(code(b"[Reference]\r\nRef1=http://a/"), "playlist_not_media");
        assert_eq!(code(&[0xff; 9000]), "incomplete_file");
        assert_eq!(code(&[0; 9000]), "incomplete_file");
        let disc = [vec![0; 32_768], b"\x01CD001\x01".to_vec(), vec![0; 2000]].concat();
        assert_eq!(code(&disc), "archive_not_media");
        assert_eq!(code(b"\x12\x9a\x04\x80 nothing that is known"), "not_media");
    }
}
