//! The kinds of files that are refused by name: how they are recognised, and the refusal of each.

use crate::error::{Error, ErrorKind};

/// A kind of file that is recognised by the bytes at one offset.
pub struct Signature {
    /// The offset.
    pub offset: usize,
    /// The bytes.
    pub magic: &'static [u8],
    /// Selects the refusal.
    pub kind: RefusalKind,
    /// Its name, as it reads after "This is".
    pub name: &'static str,
}

/// Kinds of files that share a code and a remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Other files packed into one.
    Archive,
    /// Text or slides.
    Document,
    /// A still image.
    Image,
    /// A file that only points to the recording.
    Link,
    /// A list of files that a camera, a disc or a server keeps.
    List,
    /// Something that accompanies the recording.
    Sidecar,
    /// A recording in a container that is not supported.
    Container,
    /// A web page, or an error message that a server sent instead of the recording.
    Page,
    /// The recording inside the message in which a program sent it.
    Form,
    /// None of these.
    Other,
}

const fn signature(offset: usize, magic: &'static [u8], kind: RefusalKind, name: &'static str) -> Signature {
    Signature { offset, magic, kind, name }
}

impl RefusalKind {
    /// The error code.
    pub fn code(self) -> &'static str {
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

    /// The refusal of a file of this kind, with a name that reads after "This is".
    pub fn refuse(self, name: &str) -> Error {
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

/// Files with an own signature. The first that matches names the file.
pub const SIGNATURES: &[Signature] = &[
    signature(0, b"\xff\xd8\xff", RefusalKind::Image, "a photo (JPEG)"),
    signature(0, b"\x89PNG", RefusalKind::Image, "an image (PNG)"),
    signature(0, b"II*\0", RefusalKind::Image, "a photo (TIFF or a camera's raw format)"),
    signature(0, b"MM\0*", RefusalKind::Image, "a photo (TIFF or a camera's raw format)"),
    signature(0, b"II\x1a\0\0\0HEAPCCDR", RefusalKind::Image, "a photo (a camera's raw format)"),
    signature(0, b"FUJIFILMCCD-RAW", RefusalKind::Image, "a photo (a camera's raw format)"),
    signature(4, b"ftypcrx ", RefusalKind::Image, "a photo (a camera's raw format)"),
    signature(4, b"JXL ", RefusalKind::Image, "an image (JPEG XL)"),
    signature(0, b"\xff\x0a", RefusalKind::Image, "an image (JPEG XL)"),
    signature(4, b"jP  ", RefusalKind::Image, "an image (JPEG 2000)"),
    signature(8, b"WEBP", RefusalKind::Image, "an image (WebP)"),
    signature(0, b"8BPS", RefusalKind::Image, "an image (Photoshop)"),
    signature(0, b"\0\0\x01\0", RefusalKind::Image, "an icon"),
    signature(0, b"PK\x05\x06", RefusalKind::Archive, "an empty ZIP archive"),
    signature(0, b"PK\x07\x08", RefusalKind::Archive, "a part of a ZIP archive"),
    signature(0, b"\x1f\x8b", RefusalKind::Archive, "a GZIP archive"),
    signature(0, b"\x1f\x9d", RefusalKind::Archive, "a compressed file"),
    signature(0, b"BZh", RefusalKind::Archive, "a BZIP2 archive"),
    signature(0, b"\xfd7zXZ\0", RefusalKind::Archive, "an XZ archive"),
    signature(0, b"\x28\xb5\x2f\xfd", RefusalKind::Archive, "a ZSTD archive"),
    signature(0, b"\x04\x22\x4d\x18", RefusalKind::Archive, "an LZ4 archive"),
    signature(0, b"7z\xbc\xaf\x27\x1c", RefusalKind::Archive, "a 7-Zip archive"),
    signature(0, b"Rar!\x1a\x07", RefusalKind::Archive, "a RAR archive"),
    signature(0, b"MSCF", RefusalKind::Archive, "a CAB archive"),
    signature(0, b"SIT!", RefusalKind::Archive, "a StuffIt archive"),
    signature(0, b"StuffIt", RefusalKind::Archive, "a StuffIt archive"),
    signature(0, b"xar!", RefusalKind::Archive, "an XAR archive"),
    signature(2, b"-lh", RefusalKind::Archive, "an LZH archive"),
    signature(257, b"ustar", RefusalKind::Archive, "a TAR archive"),
    signature(0, b"%PDF", RefusalKind::Document, "a PDF document"),
    signature(0, b"%!PS", RefusalKind::Document, "a PostScript document"),
    signature(0, b"{\\rtf", RefusalKind::Document, "a text document (RTF)"),
    signature(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", RefusalKind::Document, "an Office document"),
    signature(0, b"SQLite format 3\0", RefusalKind::Document, "a database"),
    signature(0, b"WEBVTT", RefusalKind::Document, "a file of captions (WebVTT)"),
    signature(0, b"[Script Info]", RefusalKind::Document, "a file of captions (SSA)"),
    signature(0, b"MThd", RefusalKind::Document, "a MIDI file, which has notes and no sound"),
    signature(0, b"d8:announce", RefusalKind::Link, "a torrent, which only points to files"),
    signature(0, b"d13:announce-list", RefusalKind::Link, "a torrent, which only points to files"),
    signature(0, b"d10:created by", RefusalKind::Link, "a torrent, which only points to files"),
    signature(0, b"d4:infod", RefusalKind::Link, "a torrent, which only points to files"),
    signature(0, b"[InternetShortcut]", RefusalKind::Link, "a link to a web page"),
    signature(0, b"[Desktop Entry]", RefusalKind::Link, "a shortcut"),
    signature(0, b"L\0\0\0\x01\x14\x02\0", RefusalKind::Link, "a Windows shortcut"),
    signature(0, b"version https://git-lfs", RefusalKind::Link, "a pointer to a file in Git LFS"),
    signature(0, b"\0\0\0\0book\0\0\0\0", RefusalKind::Link, "a macOS alias"),
    signature(0, b"MPLS0", RefusalKind::List, "a camera's or a disc's list of clips (AVCHD)"),
    signature(0, b"INDX0", RefusalKind::List, "a camera's or a disc's list of clips (AVCHD)"),
    signature(0, b"HDMV0", RefusalKind::List, "a camera's or a disc's list of clips (AVCHD)"),
    signature(0, b"DVDVIDEO-V", RefusalKind::List, "a DVD's table of contents"),
    signature(
        0,
        b"\0\x05\x16\x07",
        RefusalKind::Sidecar,
        "a macOS companion file (its name begins with \"._\")",
    ),
    signature(0, b"\0\x05\x16\0", RefusalKind::Sidecar, "a macOS companion file (AppleSingle)"),
    signature(0, b"MZ", RefusalKind::Other, "a Windows program"),
    signature(0, b"\x7fELF", RefusalKind::Other, "a program"),
    signature(0, b"\xcf\xfa\xed\xfe", RefusalKind::Other, "a macOS program"),
    signature(0, b"#!/", RefusalKind::Other, "a script"),
    signature(0, b"nut/multimedia container\0", RefusalKind::Container, "a NUT file"),
    signature(0, b"\xb7\xd8\0\x20\x37\x49\xda\x11", RefusalKind::Container, "a Windows TV recording (WTV)"),
    signature(0, b"BIK", RefusalKind::Container, "a Bink video"),
    signature(0, b"KB2", RefusalKind::Container, "a Bink video"),
    signature(0, b"SMK2", RefusalKind::Container, "a Smacker video"),
    signature(0, b"SMK4", RefusalKind::Container, "a Smacker video"),
    signature(4, b"RED1", RefusalKind::Container, "raw camera video (R3D)"),
    signature(4, b"RED2", RefusalKind::Container, "raw camera video (R3D)"),
    signature(0, b"ARRI", RefusalKind::Container, "raw camera video (ARRIRAW)"),
    signature(0, b"DHAV", RefusalKind::Container, "a surveillance camera's recording (DAV)"),
    signature(0, b"DAHUA", RefusalKind::Container, "a surveillance camera's recording (DAV)"),
    signature(0, b"IMKH", RefusalKind::Container, "a surveillance camera's recording (Hikvision)"),
    signature(0, b"4HKH", RefusalKind::Container, "a surveillance camera's recording (Hikvision)"),
    signature(0, b"HKVI", RefusalKind::Container, "a surveillance camera's recording (Hikvision)"),
    signature(0, b"\0\0\0\0\x01\xbc", RefusalKind::Container, "a broadcast server's recording (GXF)"),
    signature(0, b"FWS", RefusalKind::Container, "a Flash animation (SWF)"),
    signature(0, b"CWS", RefusalKind::Container, "a Flash animation (SWF)"),
    signature(0, b"ZWS", RefusalKind::Container, "a Flash animation (SWF)"),
    signature(0, b"\x8aMNG", RefusalKind::Container, "an MNG animation"),
    signature(0, b"RIFX", RefusalKind::Container, "a big-endian WAV (RIFX)"),
    signature(8, b"CDXA", RefusalKind::Container, "a Video CD's file (DAT)"),
    signature(8, b"QLCM", RefusalKind::Container, "a phone's voice recording (QCP)"),
    signature(0, b"Creative Voice File\x1a", RefusalKind::Container, "a Creative Voice file (VOC)"),
    signature(0, b".RMF", RefusalKind::Container, "a RealMedia file"),
    signature(0, b".ra\xfd", RefusalKind::Container, "an old RealAudio file"),
    signature(0, b"MAC ", RefusalKind::Container, "a Monkey's Audio file (APE)"),
    signature(0, b"TTA1", RefusalKind::Container, "a True Audio file (TTA)"),
    signature(0, b"MPCK", RefusalKind::Container, "a Musepack file"),
    signature(0, b"MP+", RefusalKind::Container, "a Musepack file"),
    signature(0, b"OFR ", RefusalKind::Container, "an OptimFROG file"),
    signature(0, b"DSD ", RefusalKind::Container, "a DSD file (DSF)"),
    signature(0, b"FRM8", RefusalKind::Container, "a DSD file (DSDIFF)"),
    signature(0, b"#!SILK", RefusalKind::Container, "a messenger's voice message (SILK)"),
    signature(0, b"\x02#!SILK", RefusalKind::Container, "a messenger's voice message (SILK)"),
    signature(0, b"\0\0\x01\xb0", RefusalKind::Container, "a bare MPEG-4 video stream"),
];

/// Texts by their start, in upper or lower case. The first that matches names the file.
pub const TEXTS: &[(&str, RefusalKind, &str)] = &[
    ("#extm3u", RefusalKind::List, "a playlist"),
    ("ffconcat", RefusalKind::List, "a playlist"),
    ("[playlist]", RefusalKind::List, "a playlist"),
    ("[reference]", RefusalKind::List, "a playlist"),
    ("http://", RefusalKind::Link, "a link to a web page"),
    ("https://", RefusalKind::Link, "a link to a web page"),
    ("rtsp://", RefusalKind::Link, "a link to a stream"),
    ("mms://", RefusalKind::Link, "a link to a stream"),
    ("magnet:", RefusalKind::Link, "a link to a torrent"),
    ("<smil", RefusalKind::List, "a playlist"),
    ("<asx", RefusalKind::List, "a playlist"),
    ("<mpd", RefusalKind::List, "a playlist"),
    ("<playlist", RefusalKind::List, "a playlist"),
    ("<!doctype html", RefusalKind::Page, "a web page"),
    ("<html", RefusalKind::Page, "a web page"),
    ("<head", RefusalKind::Page, "a web page"),
    ("<body", RefusalKind::Page, "a web page"),
    ("<script", RefusalKind::Page, "a web page"),
    ("<meta", RefusalKind::Page, "a web page"),
    ("<error", RefusalKind::Page, "a server's error message"),
    ("{\"error", RefusalKind::Page, "a server's error message"),
    ("<svg", RefusalKind::Image, "a drawing (SVG)"),
    ("<tt ", RefusalKind::Document, "a file of captions (TTML)"),
    ("<sami", RefusalKind::Document, "a file of captions (SAMI)"),
    ("<xmeml", RefusalKind::Document, "an editing project"),
    ("<fcpxml", RefusalKind::Document, "an editing project"),
    ("<plist", RefusalKind::Link, "a link or a placeholder of macOS"),
    ("<!doctype plist", RefusalKind::Link, "a link or a placeholder of macOS"),
    ("mime-version:", RefusalKind::Form, "an e-mail with the file inside"),
    ("content-type:", RefusalKind::Form, "a web request with the file inside"),
    ("content-disposition:", RefusalKind::Form, "a web request with the file inside"),
    ("http/1.", RefusalKind::Form, "a web server's answer with its headers"),
    ("post /", RefusalKind::Form, "a web request with the file inside"),
    ("put /", RefusalKind::Form, "a web request with the file inside"),
    ("data:", RefusalKind::Form, "a recording written as text (a data URL)"),
    // The starts of MP4, Matroska, RIFF, Ogg and ID3 in base64.
    ("aaaag", RefusalKind::Form, "a recording written as text (base64)"),
    ("aaaah", RefusalKind::Form, "a recording written as text (base64)"),
    ("aaaai", RefusalKind::Form, "a recording written as text (base64)"),
    ("gkxfo", RefusalKind::Form, "a recording written as text (base64)"),
    ("uklgr", RefusalKind::Form, "a recording written as text (base64)"),
    ("t2dnu", RefusalKind::Form, "a recording written as text (base64)"),
    ("sudm", RefusalKind::Form, "a recording written as text (base64)"),
];
