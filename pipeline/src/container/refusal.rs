//! Refusals of files that are no recording we can read. They name the kind of file, by its first
//! bytes, and say what to do.

use super::motion_photo::is_still_image;
use super::refusal_kinds::{RefusalKind, SIGNATURES, TEXTS};
use crate::error::Error;

/// The refusal of a file with this front, which is of no container we read. `None` if its kind is
/// not known.
pub fn for_front(front: &[u8]) -> Option<Error> {
    if front.iter().all(|&byte| byte == 0) {
        return Some(Error::input(
            "incomplete_file",
            "The file begins with empty data: a download or copy of it was never completed. Please download or copy \
             it again.",
        ));
    }
    if front.iter().all(|&byte| byte == 0xff) {
        return Some(Error::input(
            "incomplete_file",
            "The file begins with erased memory: the card or disk has lost it. Please copy it again, or use another copy.",
        ));
    }
    if is_still_image(front) {
        return Some(RefusalKind::Image.refuse("a photo (HEIC or AVIF)"));
    }
    // Audible's audiobooks before MP4.
    if front.get(4..8) == Some(b"\x57\x90\x75\x36") {
        return Some(crate::gst::encrypted());
    }
    if front.starts_with(b"PK\x03\x04") {
        return Some(for_zip(front));
    }
    if front.starts_with(b"bplist00") {
        let name = "a link or a placeholder of macOS (the recording is still in iCloud)";
        return Some(RefusalKind::Link.refuse(name));
    }
    // A Matroska cluster: the pieces after the first of a browser's recorder start with one.
    if front.starts_with(b"\x1f\x43\xb6\x75") {
        return Some(Error::input(
            "truncated_no_index",
            "The beginning of this recording is missing, so it can't be played. Please upload all of its pieces as \
             one file.",
        ));
    }
    // The header of a bitmap has two reserved words, which are 0.
    if front.starts_with(b"BM") && front.get(6..10) == Some(&[0; 4]) {
        return Some(RefusalKind::Image.refuse("an image (BMP)"));
    }
    let found = SIGNATURES
        .iter()
        .find(|found| front.get(found.offset..).is_some_and(|from| from.starts_with(found.magic)));
    match found {
        Some(found) => Some(found.kind.refuse(found.name)),
        None => for_text(&decode_text(front)),
    }
}

/// Offset of the identifier in a disc image, after 16 empty sectors (ECMA-119, 8.1; ECMA-167,
/// 2/9.1).
pub const DISC_IDENTIFIER_OFFSET: u64 = 32_769;

/// The refusal of a disc image, by the identifier in its first descriptor; `None` if it is none.
pub fn for_disc_image(identifier: &[u8]) -> Option<Error> {
    [&b"CD001"[..], b"BEA01", b"NSR02", b"NSR03"]
        .contains(&identifier)
        .then(|| RefusalKind::Archive.refuse("a disc image (ISO)"))
}

/// The refusal of a ZIP archive by the name of its first entry, since documents are archives too.
fn for_zip(front: &[u8]) -> Error {
    let length =
        front.get(26..28).map_or(0, |length| usize::from(u16::from_le_bytes([length[0], length[1]])));
    let rest = front.get(30..).unwrap_or_default();
    let name = String::from_utf8_lossy(&rest[..length.min(rest.len())]);
    let content =
        String::from_utf8_lossy(rest.get(length..(length + 80).min(rest.len())).unwrap_or_default());
    let starts = |names: &[&str]| names.iter().any(|start| name.starts_with(start));
    if starts(&["[Content_Types].xml", "_rels/", "docProps/", "word/", "ppt/", "xl/"]) {
        return RefusalKind::Document.refuse("an Office document");
    }
    if starts(&["Index/", "Index.zip", "Metadata/", "Data/", "preview"]) && !content.is_empty() {
        return RefusalKind::Document.refuse("a Keynote, Pages or Numbers document, or an archive");
    }
    if name == "mimetype" && content.starts_with("application/") {
        return RefusalKind::Document.refuse("a document");
    }
    if starts(&["AndroidManifest.xml", "META-INF/"]) {
        return RefusalKind::Other.refuse("a program");
    }
    RefusalKind::Archive.refuse("a ZIP archive")
}

/// The front as text, in UTF-8 or UTF-16, without the byte order mark.
fn decode_text(front: &[u8]) -> String {
    let wide = |order: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = front[2..].chunks_exact(2).map(|pair| order([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    if front.starts_with(b"\xff\xfe") {
        return wide(u16::from_le_bytes);
    }
    if front.starts_with(b"\xfe\xff") {
        return wide(u16::from_be_bytes);
    }
    String::from_utf8_lossy(front.strip_prefix(b"\xef\xbb\xbf").unwrap_or(front)).into_owned()
}

/// The refusal of a text; `None` if it is no text.
fn for_text(text: &str) -> Option<Error> {
    let mut start = text.trim_start();
    let lower = text.to_ascii_lowercase();
    // A part of a form starts with its boundary, followed by its headers.
    if start.starts_with("--") && lower.lines().take(4).any(|line| line.contains("form-data")) {
        return Some(RefusalKind::Form.refuse("a web form with the file inside"));
    }
    while let Some(rest) = skip_prologue(start) {
        start = rest.trim_start();
    }
    let starts = |with: &str| start.get(..with.len()).is_some_and(|front| front.eq_ignore_ascii_case(with));
    if let Some((_, kind, name)) = TEXTS.iter().find(|(with, ..)| starts(with)) {
        return Some(kind.refuse(name));
    }
    if !is_text(text) {
        return None;
    }
    let (is_json, has) = (starts("{") || starts("["), |word: &str| lower.contains(word));
    let (kind, name) = if start.lines().take(2).any(|line| line.contains(" --> ")) {
        (RefusalKind::Document, "a file of captions (SRT)")
    } else if starts("<") && (has("<code>") || has("accessdenied")) {
        (RefusalKind::Page, "a server's error message")
    } else if starts("<") {
        (RefusalKind::Page, "a page or document of the web (XML or HTML)")
    } else if is_json && has("docs.google.com") {
        (RefusalKind::Link, "a link to a web page")
    } else if is_json {
        (RefusalKind::Page, "a text for programs (JSON), often a server's error message")
    } else {
        (RefusalKind::Other, "a text")
    };
    Some(kind.refuse(name))
}

/// The text after an XML declaration, a comment or a reference to a style sheet; `None` if it
/// starts with none of them.
fn skip_prologue(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix("<?") {
        return rest.split_once("?>").map(|(_, rest)| rest);
    }
    text.strip_prefix("<!--")?.split_once("-->").map(|(_, rest)| rest)
}

/// Whether a text has no control characters and is valid UTF-8, except for a last character that is
/// cut off.
fn is_text(text: &str) -> bool {
    let is_odd = |c: char| (c.is_control() && !c.is_whitespace()) || c == char::REPLACEMENT_CHARACTER;
    !text.trim_end_matches(char::REPLACEMENT_CHARACTER).chars().any(is_odd)
}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;
