//! Why a file that is no recording we read is refused: what it is, and what to do, by its first bytes.

use crate::error::{Error, ErrorKind};

/// A kind of file that is known by the bytes at one offset.
struct Known {
    offset: usize,
    magic: &'static [u8],
    kind: Kind,
    /// What it is, as it reads after "This is".
    name: &'static str,
}

/// What a kind of file has in common with others: its code and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Other files packed into one.
    Archive,
    /// Text or slides.
    Document,
    /// A still image.
    Image,
    /// A file that only says where the recording is.
    Link,
    /// A list of files that a camera, a disc or a server keeps.
    List,
    /// Something that accompanies the recording.
    Sidecar,
    /// A recording in a form that is not read here.
    Container,
    /// A web page, or what a server says instead of the recording.
    Page,
    /// The recording as a program wrapped it to send it.
    Form,
    /// None of these.
    Other,
}

const fn known(offset: usize, magic: &'static [u8], kind: Kind, name: &'static str) -> Known {
    Known { offset, magic, kind, name }
}

impl Kind {
    fn code(self) -> &'static str {
        match self {
            Self::Archive => "archive_not_media",
            Self::Document => "document_not_media",
            Self::Image => "image_not_video",
            Self::Link => "link_not_media",
            Self::List => "playlist_not_media",
            Self::Sidecar => "sidecar_not_media",
            Self::Container => "unsupported_container",
            Self::Page => "page_not_media",
            Self::Form => "form_not_media",
            Self::Other => "not_media",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Archive => "Please unpack it and upload the recording inside.",
            Self::Document | Self::Image | Self::Other => "Please choose the video or audio file itself.",
            Self::Link => "Please download the recording first, then upload the downloaded file.",
            Self::List => "Please upload the video or audio files it points to.",
            Self::Sidecar => "Please upload the file of nearly the same name that has the video in it.",
            Self::Container => "Please convert or export it as MP4 and upload that.",
            Self::Page => "Please download the recording again, check that it plays, and upload that.",
            Self::Form => {
                "Please upload the file itself, and report this to the makers of the uploading program."
            }
        }
    }

    fn refuse(self, name: &str) -> Error {
        let message = match self {
            Self::Container => {
                format!("This is {name}, a kind of recording that can't be read here. {}", self.remedy())
            }
            _ => format!("This is {name}, not a recording. {}", self.remedy()),
        };
        let kind = if self == Self::Container { ErrorKind::Unsupported } else { ErrorKind::InvalidInput };
        Error::new(kind, self.code(), message)
    }
}

/// Files with bytes of their own. The first that matches names the file.
const KNOWN: &[Known] = &[
    known(0, b"\xff\xd8\xff", Kind::Image, "a photo (JPEG)"),
    known(0, b"\x89PNG", Kind::Image, "an image (PNG)"),
    known(0, b"II*\0", Kind::Image, "a photo (TIFF or a camera's raw format)"),
    known(0, b"MM\0*", Kind::Image, "a photo (TIFF or a camera's raw format)"),
    known(0, b"II\x1a\0\0\0HEAPCCDR", Kind::Image, "a photo (a camera's raw format)"),
    known(0, b"FUJIFILMCCD-RAW", Kind::Image, "a photo (a camera's raw format)"),
    known(4, b"ftypcrx ", Kind::Image, "a photo (a camera's raw format)"),
    known(4, b"JXL ", Kind::Image, "an image (JPEG XL)"),
    known(0, b"\xff\x0a", Kind::Image, "an image (JPEG XL)"),
    known(4, b"jP  ", Kind::Image, "an image (JPEG 2000)"),
    known(8, b"WEBP", Kind::Image, "an image (WebP)"),
    known(0, b"8BPS", Kind::Image, "an image (Photoshop)"),
    known(0, b"\0\0\x01\0", Kind::Image, "an icon"),
    known(0, b"PK\x05\x06", Kind::Archive, "an empty ZIP archive"),
    known(0, b"PK\x07\x08", Kind::Archive, "a part of a ZIP archive"),
    known(0, b"\x1f\x8b", Kind::Archive, "a GZIP archive"),
    known(0, b"\x1f\x9d", Kind::Archive, "a compressed file"),
    known(0, b"BZh", Kind::Archive, "a BZIP2 archive"),
    known(0, b"\xfd7zXZ\0", Kind::Archive, "an XZ archive"),
    known(0, b"\x28\xb5\x2f\xfd", Kind::Archive, "a ZSTD archive"),
    known(0, b"\x04\x22\x4d\x18", Kind::Archive, "an LZ4 archive"),
    known(0, b"7z\xbc\xaf\x27\x1c", Kind::Archive, "a 7-Zip archive"),
    known(0, b"Rar!\x1a\x07", Kind::Archive, "a RAR archive"),
    known(0, b"MSCF", Kind::Archive, "a CAB archive"),
    known(0, b"SIT!", Kind::Archive, "a StuffIt archive"),
    known(0, b"StuffIt", Kind::Archive, "a StuffIt archive"),
    known(0, b"xar!", Kind::Archive, "an XAR archive"),
    known(2, b"-lh", Kind::Archive, "an LZH archive"),
    known(257, b"ustar", Kind::Archive, "a TAR archive"),
    known(0, b"%PDF", Kind::Document, "a PDF document"),
    known(0, b"%!PS", Kind::Document, "a PostScript document"),
    known(0, b"{\\rtf", Kind::Document, "a text document (RTF)"),
    known(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind::Document, "an Office document"),
    known(0, b"SQLite format 3\0", Kind::Document, "a database"),
    known(0, b"WEBVTT", Kind::Document, "a file of captions (WebVTT)"),
    known(0, b"[Script Info]", Kind::Document, "a file of captions (SSA)"),
    known(0, b"MThd", Kind::Document, "a MIDI file, which has notes and no sound"),
    known(0, b"d8:announce", Kind::Link, "a torrent, which only points to files"),
    known(0, b"d13:announce-list", Kind::Link, "a torrent, which only points to files"),
    known(0, b"d10:created by", Kind::Link, "a torrent, which only points to files"),
    known(0, b"d4:infod", Kind::Link, "a torrent, which only points to files"),
    known(0, b"[InternetShortcut]", Kind::Link, "a link to a web page"),
    known(0, b"[Desktop Entry]", Kind::Link, "a shortcut"),
    known(0, b"L\0\0\0\x01\x14\x02\0", Kind::Link, "a Windows shortcut"),
    known(0, b"version https://git-lfs", Kind::Link, "a pointer to a file in Git LFS"),
    known(0, b"\0\0\0\0book\0\0\0\0", Kind::Link, "a macOS alias"),
    known(0, b"MPLS0", Kind::List, "a camera's or a disc's list of clips (AVCHD)"),
    known(0, b"INDX0", Kind::List, "a camera's or a disc's list of clips (AVCHD)"),
    known(0, b"HDMV0", Kind::List, "a camera's or a disc's list of clips (AVCHD)"),
    known(0, b"DVDVIDEO-V", Kind::List, "a DVD's table of contents"),
    known(0, b"\0\x05\x16\x07", Kind::Sidecar, "a macOS companion file (its name begins with \"._\")"),
    known(0, b"\0\x05\x16\0", Kind::Sidecar, "a macOS companion file (AppleSingle)"),
    known(0, b"MZ", Kind::Other, "a Windows program"),
    known(0, b"\x7fELF", Kind::Other, "a program"),
    known(0, b"\xcf\xfa\xed\xfe", Kind::Other, "a macOS program"),
    known(0, b"#!/", Kind::Other, "a script"),
    known(0, b"nut/multimedia container\0", Kind::Container, "a NUT file"),
    known(0, b"\xb7\xd8\0\x20\x37\x49\xda\x11", Kind::Container, "a Windows TV recording (WTV)"),
    known(0, b"BIK", Kind::Container, "a Bink video"),
    known(0, b"KB2", Kind::Container, "a Bink video"),
    known(0, b"SMK2", Kind::Container, "a Smacker video"),
    known(0, b"SMK4", Kind::Container, "a Smacker video"),
    known(4, b"RED1", Kind::Container, "raw camera video (R3D)"),
    known(4, b"RED2", Kind::Container, "raw camera video (R3D)"),
    known(0, b"ARRI", Kind::Container, "raw camera video (ARRIRAW)"),
    known(0, b"DHAV", Kind::Container, "a surveillance camera's recording (DAV)"),
    known(0, b"DAHUA", Kind::Container, "a surveillance camera's recording (DAV)"),
    known(0, b"IMKH", Kind::Container, "a surveillance camera's recording (Hikvision)"),
    known(0, b"4HKH", Kind::Container, "a surveillance camera's recording (Hikvision)"),
    known(0, b"HKVI", Kind::Container, "a surveillance camera's recording (Hikvision)"),
    known(0, b"\0\0\0\0\x01\xbc", Kind::Container, "a broadcast server's recording (GXF)"),
    known(0, b"FWS", Kind::Container, "a Flash animation (SWF)"),
    known(0, b"CWS", Kind::Container, "a Flash animation (SWF)"),
    known(0, b"ZWS", Kind::Container, "a Flash animation (SWF)"),
    known(0, b"\x8aMNG", Kind::Container, "an MNG animation"),
    known(0, b"RIFX", Kind::Container, "a big-endian WAV (RIFX)"),
    known(8, b"CDXA", Kind::Container, "a Video CD's file (DAT)"),
    known(8, b"QLCM", Kind::Container, "a phone's voice recording (QCP)"),
    known(0, b"Creative Voice File\x1a", Kind::Container, "a Creative Voice file (VOC)"),
    known(0, b".RMF", Kind::Container, "a RealMedia file"),
    known(0, b".ra\xfd", Kind::Container, "an old RealAudio file"),
    known(0, b"MAC ", Kind::Container, "a Monkey's Audio file (APE)"),
    known(0, b"TTA1", Kind::Container, "a True Audio file (TTA)"),
    known(0, b"MPCK", Kind::Container, "a Musepack file"),
    known(0, b"MP+", Kind::Container, "a Musepack file"),
    known(0, b"OFR ", Kind::Container, "an OptimFROG file"),
    known(0, b"DSD ", Kind::Container, "a DSD file (DSF)"),
    known(0, b"FRM8", Kind::Container, "a DSD file (DSDIFF)"),
    known(0, b"#!SILK", Kind::Container, "a messenger's voice message (SILK)"),
    known(0, b"\x02#!SILK", Kind::Container, "a messenger's voice message (SILK)"),
    known(0, b"\0\0\x01\xb0", Kind::Container, "a bare MPEG-4 video stream"),
];

/// Texts by how they begin, upper case or lower; the first that matches names the file.
const TEXTS: &[(&str, Kind, &str)] = &[
    ("#extm3u", Kind::List, "a playlist"),
    ("ffconcat", Kind::List, "a playlist"),
    ("[playlist]", Kind::List, "a playlist"),
    ("[reference]", Kind::List, "a playlist"),
    ("http://", Kind::Link, "a link to a web page"),
    ("https://", Kind::Link, "a link to a web page"),
    ("rtsp://", Kind::Link, "a link to a stream"),
    ("mms://", Kind::Link, "a link to a stream"),
    ("magnet:", Kind::Link, "a link to a torrent"),
    ("<smil", Kind::List, "a playlist"),
    ("<asx", Kind::List, "a playlist"),
    ("<mpd", Kind::List, "a playlist"),
    ("<playlist", Kind::List, "a playlist"),
    ("<!doctype html", Kind::Page, "a web page"),
    ("<html", Kind::Page, "a web page"),
    ("<head", Kind::Page, "a web page"),
    ("<body", Kind::Page, "a web page"),
    ("<script", Kind::Page, "a web page"),
    ("<meta", Kind::Page, "a web page"),
    ("<error", Kind::Page, "a server's error message"),
    ("{\"error", Kind::Page, "a server's error message"),
    ("<svg", Kind::Image, "a drawing (SVG)"),
    ("<tt ", Kind::Document, "a file of captions (TTML)"),
    ("<sami", Kind::Document, "a file of captions (SAMI)"),
    ("<xmeml", Kind::Document, "an editing project"),
    ("<fcpxml", Kind::Document, "an editing project"),
    ("<plist", Kind::Link, "a link or a placeholder of macOS"),
    ("<!doctype plist", Kind::Link, "a link or a placeholder of macOS"),
    ("mime-version:", Kind::Form, "an e-mail with the file inside"),
    ("content-type:", Kind::Form, "a web request with the file inside"),
    ("content-disposition:", Kind::Form, "a web request with the file inside"),
    ("http/1.", Kind::Form, "a web server's answer with its headers"),
    ("post /", Kind::Form, "a web request with the file inside"),
    ("put /", Kind::Form, "a web request with the file inside"),
    ("data:", Kind::Form, "a recording written as text (a data URL)"),
    // How MP4, Matroska, RIFF, Ogg and ID3 begin in base64.
    ("aaaag", Kind::Form, "a recording written as text (base64)"),
    ("aaaah", Kind::Form, "a recording written as text (base64)"),
    ("aaaai", Kind::Form, "a recording written as text (base64)"),
    ("gkxfo", Kind::Form, "a recording written as text (base64)"),
    ("uklgr", Kind::Form, "a recording written as text (base64)"),
    ("t2dnu", Kind::Form, "a recording written as text (base64)"),
    ("sudm", Kind::Form, "a recording written as text (base64)"),
];

/// Why a file with this front is refused; `None` if the front is of no kind that is known here. It is the front of a
/// file that is in none of the containers we read.
pub fn refusal(front: &[u8]) -> Option<Error> {
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
    if super::motion_photo::is_still_image(front) {
        return Some(Kind::Image.refuse("a photo (HEIC or AVIF)"));
    }
    // Audible's audiobooks before MP4.
    if front.get(4..8) == Some(b"\x57\x90\x75\x36") {
        return Some(crate::gst::encrypted());
    }
    if front.starts_with(b"PK\x03\x04") {
        return Some(zipped(front));
    }
    if front.starts_with(b"bplist00") {
        let name = "a link or a placeholder of macOS (the recording is still in iCloud)";
        return Some(Kind::Link.refuse(name));
    }
    // A matroska cluster: what a browser's recorder hands out after its first piece.
    if front.starts_with(b"\x1f\x43\xb6\x75") {
        return Some(Error::input(
            "truncated_no_index",
            "The beginning of this recording is missing, so it can't be played. Please upload all of its pieces as \
             one file.",
        ));
    }
    // A bitmap's header says that two reserved words are 0.
    if front.starts_with(b"BM") && front.get(6..10) == Some(&[0; 4]) {
        return Some(Kind::Image.refuse("an image (BMP)"));
    }
    let found = KNOWN
        .iter()
        .find(|known| front.get(known.offset..).is_some_and(|from| from.starts_with(known.magic)));
    match found {
        Some(known) => Some(known.kind.refuse(known.name)),
        None => written(&text(front)),
    }
}

/// Where the descriptor of a disc image has its identifier, behind 16 empty sectors (ECMA-119, 8.1; ECMA-167, 2/9.1).
pub const DISC_IDENTIFIER_AT: u64 = 32_769;

/// The refusal of a disc image, by the identifier in its first descriptor.
pub fn disc_image(identifier: &[u8]) -> Option<Error> {
    [&b"CD001"[..], b"BEA01", b"NSR02", b"NSR03"]
        .contains(&identifier)
        .then(|| Kind::Archive.refuse("a disc image (ISO)"))
}

/// A ZIP archive, by the name of its first entry: documents are archives too.
fn zipped(front: &[u8]) -> Error {
    let length =
        front.get(26..28).map_or(0, |length| usize::from(u16::from_le_bytes([length[0], length[1]])));
    let rest = front.get(30..).unwrap_or_default();
    let name = String::from_utf8_lossy(&rest[..length.min(rest.len())]);
    let content =
        String::from_utf8_lossy(rest.get(length..(length + 80).min(rest.len())).unwrap_or_default());
    let starts = |names: &[&str]| names.iter().any(|start| name.starts_with(start));
    if starts(&["[Content_Types].xml", "_rels/", "docProps/", "word/", "ppt/", "xl/"]) {
        return Kind::Document.refuse("an Office document");
    }
    if starts(&["Index/", "Index.zip", "Metadata/", "Data/", "preview"]) && !content.is_empty() {
        return Kind::Document.refuse("a Keynote, Pages or Numbers document, or an archive");
    }
    if name == "mimetype" && content.starts_with("application/") {
        return Kind::Document.refuse("a document");
    }
    if starts(&["AndroidManifest.xml", "META-INF/"]) {
        return Kind::Other.refuse("a program");
    }
    Kind::Archive.refuse("a ZIP archive")
}

/// The front as text, in UTF-8 or UTF-16, without the mark in front.
fn text(front: &[u8]) -> String {
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

/// Why a text is refused; `None` if it is no text.
fn written(text: &str) -> Option<Error> {
    let mut start = text.trim_start();
    let lower = text.to_ascii_lowercase();
    // A form's part begins with its boundary, and its headers are close behind.
    if start.starts_with("--") && lower.lines().take(4).any(|line| line.contains("form-data")) {
        return Some(Kind::Form.refuse("a web form with the file inside"));
    }
    while let Some(rest) = prologue(start) {
        start = rest.trim_start();
    }
    let begins = |with: &str| start.get(..with.len()).is_some_and(|front| front.eq_ignore_ascii_case(with));
    if let Some((_, kind, name)) = TEXTS.iter().find(|(with, ..)| begins(with)) {
        return Some(kind.refuse(name));
    }
    if !readable(text) {
        return None;
    }
    let (json, says) = (begins("{") || begins("["), |word: &str| lower.contains(word));
    let (kind, name) = if start.lines().take(2).any(|line| line.contains(" --> ")) {
        (Kind::Document, "a file of captions (SRT)")
    } else if begins("<") && (says("<code>") || says("accessdenied")) {
        (Kind::Page, "a server's error message")
    } else if begins("<") {
        (Kind::Page, "a page or document of the web (XML or HTML)")
    } else if json && says("docs.google.com") {
        (Kind::Link, "a link to a web page")
    } else if json {
        (Kind::Page, "a text for programs (JSON), often a server's error message")
    } else {
        (Kind::Other, "a text")
    };
    Some(kind.refuse(name))
}

/// What follows an XML declaration, a comment or a style sheet's reference.
fn prologue(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix("<?") {
        return rest.split_once("?>").map(|(_, rest)| rest);
    }
    text.strip_prefix("<!--")?.split_once("-->").map(|(_, rest)| rest)
}

/// Whether a text has no control characters and no bytes that are not UTF-8, but for a last one that was cut.
fn readable(text: &str) -> bool {
    let odd = |c: char| (c.is_control() && !c.is_whitespace()) || c == char::REPLACEMENT_CHARACTER;
    !text.trim_end_matches(char::REPLACEMENT_CHARACTER).chars().any(odd)
}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;
