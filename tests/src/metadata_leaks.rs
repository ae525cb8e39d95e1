//! Metadata that a camera leaves in a recording must not be in anything published: its words, its
//! boxes, its messages inside the frames.

use std::path::Path;

use crate::stream::files;

/// Boxes that hold what users and devices add.
const BOXES: [&[u8; 4]; 6] = [b"udta", b"meta", b"uuid", b"ilst", b"emsg", b"loci"];
/// Boxes whose content is boxes.
const NESTS: [&[u8; 4]; 7] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"];
/// The identity x264 puts in front of its own message: its settings.
const X264: [u8; 16] = *b"\xdc\x45\xe9\xbd\xe6\xd9\x48\xb7\x96\x2c\xd8\x20\xd9\x23\xee\xef";

/// Finds the values of a source that are left in the folder.
pub fn find(out: &Path, secrets: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for extension in ["mp4", "m4s", "m3u8", "vtt", "jpg", "json", "srt", "txt"] {
        for path in files(out, extension) {
            let bytes = std::fs::read(&path).unwrap();
            let name = path.strip_prefix(out).unwrap().display();
            for secret in secrets.iter().filter(|secret| contains(&bytes, secret.as_bytes())) {
                found.push(format!("{name} holds \"{secret}\" of the source"));
            }
            match extension {
                "mp4" | "m4s" => {
                    boxes(&bytes, &mut |kind| found.push(format!("{name} has a box {kind}")));
                    let init = std::fs::read(path.with_file_name("init.mp4")).unwrap_or_default();
                    for kind in messages(&bytes, contains(&init, b"hvc1")) {
                        found.push(format!("{name} has a message of type {kind} inside a frame"));
                    }
                }
                "jpg" if contains(&bytes, b"Exif\0") => found.push(format!("{name} has Exif data")),
                _ => {}
            }
        }
    }
    found
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    !wanted.is_empty() && bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn boxes(bytes: &[u8], say: &mut dyn FnMut(&str)) {
    let mut at = 0;
    while at + 8 <= bytes.len() {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let kind: [u8; 4] = bytes[at + 4..at + 8].try_into().unwrap();
        if size < 8 || at + size > bytes.len() {
            return;
        }
        if BOXES.contains(&&kind) {
            say(&String::from_utf8_lossy(&kind));
        }
        if NESTS.contains(&&kind) {
            boxes(&bytes[at + 8..at + size], say);
        }
        at += size;
    }
}

/// Types of the messages (SEI) in a segment's frames, H.264 or H.265, that carry data of a user: 4
/// and 5, but x264's own.
fn messages(segment: &[u8], hevc: bool) -> Vec<u8> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 8 <= segment.len() {
        let size = u32::from_be_bytes(segment[at..at + 4].try_into().unwrap()) as usize;
        if size < 8 || at + size > segment.len() {
            break;
        }
        if &segment[at + 4..at + 8] == b"mdat" {
            units(&segment[at + 8..at + size], hevc, &mut found);
        }
        at += size;
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// NAL units with lengths of four bytes in front. A segment of audio does not read as such, and
/// ends the walk.
fn units(data: &[u8], hevc: bool, found: &mut Vec<u8>) {
    let mut at = 0;
    while at + 5 <= data.len() {
        let size = u32::from_be_bytes(data[at..at + 4].try_into().unwrap()) as usize;
        if size == 0 || at + 4 + size > data.len() {
            return;
        }
        let unit = &data[at + 4..at + 4 + size];
        let (message, head) =
            if hevc { (matches!(unit[0] >> 1 & 0x3f, 39 | 40), 2) } else { (unit[0] & 0x1f == 6, 1) };
        if message {
            let mut rest = unit.get(head..).unwrap_or_default();
            while rest.len() > 2 {
                let (kind, after) = number(rest);
                let (length, after) = number(after);
                if matches!(kind, 4 | 5) && after.get(..16) != Some(&X264) {
                    found.push(kind as u8);
                }
                rest = after.get(length..).unwrap_or_default();
            }
        }
        at += 4 + size;
    }
}

/// A type or a length: bytes of 255 and one that is less, added up.
fn number(bytes: &[u8]) -> (usize, &[u8]) {
    let full = bytes.iter().take_while(|&&byte| byte == 255).count();
    let last = bytes.get(full).map_or(0, |&byte| usize::from(byte));
    (full * 255 + last, bytes.get(full + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::messages;

    #[test]
    fn messages_of_users_are_found_in_both_codings() {
        let message = [&[5, 20][..], &[7; 20], &[0x80]].concat();
        let segment = |head: &[u8]| {
            let unit = [head, &message].concat();
            let sized = [&(unit.len() as u32).to_be_bytes()[..], &unit].concat();
            [&(sized.len() as u32 + 8).to_be_bytes()[..], b"mdat", &sized].concat()
        };
        assert_eq!(messages(&segment(&[6]), false), [5]);
        for kind in [39, 40] {
            assert_eq!(messages(&segment(&[kind << 1, 1]), true), [5]);
        }
        // Filler is what such units become, and says nothing.
        assert!(messages(&segment(&[12]), false).is_empty());
        assert!(messages(&segment(&[38 << 1, 1]), true).is_empty());
    }
}
