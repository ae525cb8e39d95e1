//! Caps for codecs that decoders know but demuxers do not, and names for codecs that no decoder
//! knows. Both follow from the container's own declarations.

use std::io;

use gstreamer as gst;

use super::caps::is_video;
use crate::container::track_codec::{self, Codec};
use crate::source::ReadAt;

/// The codecs of a file's tracks.
#[derive(Clone, Debug, Default)]
pub struct TrackCodecs(Vec<Codec>);

impl FromIterator<Codec> for TrackCodecs {
    fn from_iter<T: IntoIterator<Item = Codec>>(codecs: T) -> Self {
        Self(codecs.into_iter().collect())
    }
}

impl TrackCodecs {
    /// Reads the codecs of a container other than MP4, which has them in its index.
    pub fn read(source: &dyn ReadAt, container: &str) -> io::Result<Self> {
        Ok(Self(match container {
            "avi" => track_codec::read_avi(source)?,
            "matroska" => track_codec::read_matroska(source)?,
            _ => Vec::new(),
        }))
    }

    /// Returns the caps of the `nth` track of a kind; `None` if the demuxer's `caps` are right.
    pub fn corrected_caps(&self, caps: &gst::CapsRef, nth: usize) -> Option<gst::Caps> {
        let structure = caps.structure(0)?;
        let is_video = is_video(caps);
        let codec = self.0.iter().filter(|codec| codec.is_video == is_video).nth(nth);
        if !is_video {
            return audio(structure, codec?);
        }
        if is_unknown(structure) {
            return video(codec?, structure);
        }
        if structure.name() == "video/x-raw" && codec.is_some_and(is_misread) {
            return Some(gst::Caps::new_empty_simple(UNREADABLE));
        }
        let shape = structure.get::<gst::Fraction>("pixel-aspect-ratio").ok()?;
        // A bitmap that is stored from top to bottom has a negative height, from which the demuxer
        // derives a negative ratio.
        (shape.numer() < 0).then(|| {
            let mut corrected = structure.to_owned();
            corrected
                .set("pixel-aspect-ratio", gst::Fraction::new(shape.numer().saturating_abs(), shape.denom()));
            gst::Caps::builder_full().structure(corrected).build()
        })
    }

    /// Common name of the codec of the `nth` track of a kind, whose caps are `caps`.
    pub fn label(&self, caps: &gst::CapsRef, nth: usize) -> Option<String> {
        let is_video = is_video(caps);
        if let Some(codec) = self.0.iter().filter(|codec| codec.is_video == is_video).nth(nth) {
            return codec.label();
        }
        let structure = caps.structure(0)?;
        if let Ok(number) = structure.get::<i32>("codec_id") {
            return Some(format!("the format 0x{number:04X}"));
        }
        let name = structure.name().rsplit('/').next()?;
        Some(format!("\"{}\"", name.strip_prefix("x-").unwrap_or(name)))
    }
}

impl Codec {
    /// Common name of the codec; `None` if its code is unreadable.
    pub fn label(&self) -> Option<String> {
        if let Some((_, name)) = NAMES.iter().find(|(code, _)| self.fourcc.starts_with(code)) {
            return Some((*name).to_owned());
        }
        let has_code = self.name.is_empty() || self.name.starts_with("V_MS/") || self.name == "V_QUICKTIME";
        if !has_code {
            return Some(format!("\"{}\"", self.name));
        }
        let is_readable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        let code = String::from_utf8_lossy(&self.fourcc);
        (self.fourcc.iter().all(is_readable)).then(|| format!("\"{}\"", code.trim()))
    }
}

/// Whether a demuxer's caps mean that it does not know the codec.
fn is_unknown(structure: &gst::StructureRef) -> bool {
    let name = structure.name().as_str();
    name.starts_with("video/x-gst-fourcc-")
        || matches!(name, "video/x-unknown" | "video/x-avi-unknown" | "video/x-asf-unknown")
}

/// Name of caps for raw video that nothing here reads.
const UNREADABLE: &str = "video/x-chalkstream-unread";

/// Whether the demuxer of QuickTime mistakes the format of raw video: it swaps components of
/// `v308`, and the bytes of 16-bit pixels.
fn is_misread(codec: &Codec) -> bool {
    codec.fourcc == *b"v308" || (codec.fourcc == *b"raw " && codec.depth == 16)
}

/// A codec as decoders know it.
struct KnownCodec {
    /// Four-character codes in lower case.
    fourccs: &'static [&'static [u8; 4]],
    /// Name and fields of the caps.
    name: &'static str,
    fields: &'static [(&'static str, Field)],
}

/// Value of a field of caps.
enum Field {
    Number(i32),
    Text(&'static str),
    False,
    /// The track's own bits per pixel.
    Depth,
}

const fn known(fourccs: &'static [&'static [u8; 4]], name: &'static str) -> KnownCodec {
    KnownCodec { fourccs, name, fields: &[] }
}

const fn with(known: KnownCodec, fields: &'static [(&'static str, Field)]) -> KnownCodec {
    KnownCodec { fields, ..known }
}

/// Codecs that only some demuxers know. some demuxers know.
const CODECS: &[KnownCodec] = &[
    known(&[b"avdn", b"avdh"], "video/x-dnxhd"),
    with(known(&[b"hfyu"], "video/x-huffyuv"), &[("bpp", Field::Depth)]),
    with(known(&[b"ffvh"], "video/x-gst-av-ffvhuff"), &[("bpp", Field::Depth)]),
    known(&[b"jpeg", b"mjpg", b"mjpa", b"ljpg", b"avdj", b"dmb1"], "image/jpeg"),
    known(&[b"mjpb"], "video/x-mjpeg-b"),
    known(&[b"mjp2", b"mj2c", b"lj2k", b"ipj2"], "image/x-j2c"),
    known(&[b"png ", b"mpng"], "image/png"),
    known(&[b"tiff"], "image/tiff"),
    known(&[b"sgi "], "image/x-sgi"),
    with(known(&[b"tga "], "image/x-tga"), &[("bpp", Field::Depth)]),
    known(&[b"bmp ", b"wrle"], "image/bmp"),
    with(known(&[b"apch"], "video/x-prores"), &[("variant", Field::Text("hq"))]),
    with(known(&[b"apcn"], "video/x-prores"), &[("variant", Field::Text("standard"))]),
    with(known(&[b"apcs"], "video/x-prores"), &[("variant", Field::Text("lt"))]),
    with(known(&[b"apco"], "video/x-prores"), &[("variant", Field::Text("proxy"))]),
    with(known(&[b"ap4h"], "video/x-prores"), &[("variant", Field::Text("4444"))]),
    with(known(&[b"ap4x"], "video/x-prores"), &[("variant", Field::Text("4444xq"))]),
    mpeg(
        &[b"m1v ", b"mp1v", b"mpeg", b"m1vx"],
        &[("mpegversion", Field::Number(1)), ("systemstream", Field::False)],
    ),
    mpeg(
        &[
            b"m2v1", b"mp2v", b"mpg2", b"hdv1", b"hdv2", b"hdv3", b"hdv4", b"hdv5", b"hdv6", b"hdv7",
            b"hdv8", b"hdv9", b"hdva", b"xdv1", b"xdv2", b"xdv3", b"xdv4", b"xdv5", b"xdv6", b"xdv7",
            b"xdv8", b"xdv9", b"xdva", b"xdvb", b"xdvc", b"xdvd", b"xdve", b"xdvf", b"xd54", b"xd55",
            b"xd59", b"xd5a", b"xd5b", b"xd5c", b"xd5d", b"xd5e", b"xd5f", b"mx5n", b"mx5p", b"mx4n",
            b"mx4p", b"mx3n", b"mx3p",
        ],
        &[("mpegversion", Field::Number(2)), ("systemstream", Field::False)],
    ),
    with(
        known(
            &[b"dvc ", b"dvcp", b"dvpp", b"dvsd", b"dv5n", b"dv5p", b"avdv", b"avd1", b"ddvc"],
            "video/x-dv",
        ),
        &[("systemstream", Field::False)],
    ),
    known(&[b"cfhd"], "video/x-cineform"),
    known(&[b"icod"], "video/x-apple-intermediate-codec"),
    known(&[b"cvid"], "video/x-cinepak"),
    with(known(&[b"svq1", b"svqi"], "video/x-svq"), &[("svqversion", Field::Number(1))]),
    with(known(&[b"rle "], "video/x-rle"), &[("layout", Field::Text("quicktime")), ("depth", Field::Depth)]),
    known(&[b"rpza", b"azpr"], "video/x-apple-video"),
    with(known(&[b"flv1"], "video/x-flash-video"), &[("flvversion", Field::Number(1))]),
    known(&[b"fsv1"], "video/x-flash-screen"),
    with(known(&[b"mpg4", b"mp41"], "video/x-msmpeg"), &[("msmpegversion", Field::Number(41))]),
    with(known(&[b"mp42"], "video/x-msmpeg"), &[("msmpegversion", Field::Number(42))]),
    with(known(&[b"mp43", b"div3"], "video/x-msmpeg"), &[("msmpegversion", Field::Number(43))]),
    with(known(&[b"wmv1"], "video/x-wmv"), &[("wmvversion", Field::Number(1))]),
    with(known(&[b"wmv2"], "video/x-wmv"), &[("wmvversion", Field::Number(2))]),
    known(&[b"h261"], "video/x-h261"),
    known(&[b"h263", b"s263"], "video/x-h263"),
    known(&[b"vp80", b"vp08"], "video/x-vp8"),
    known(&[b"vp90", b"vp09"], "video/x-vp9"),
    known(&[b"av01"], "video/x-av1"),
    with(
        known(&[b"hevc", b"h265", b"x265", b"hev1"], "video/x-h265"),
        &[("stream-format", Field::Text("byte-stream"))],
    ),
    raw(&[b"i420", b"iyuv"], &[("format", Field::Text("I420"))]),
    raw(&[b"yv12"], &[("format", Field::Text("YV12"))]),
    raw(&[b"y42b"], &[("format", Field::Text("Y42B"))]),
    raw(&[b"444p"], &[("format", Field::Text("Y444"))]),
    raw(&[b"nv12"], &[("format", Field::Text("NV12"))]),
    raw(&[b"nv21"], &[("format", Field::Text("NV21"))]),
    raw(&[b"uyvy", b"2vuy", b"hdyc"], &[("format", Field::Text("UYVY"))]),
    raw(&[b"yuy2", b"yuvs", b"yuyv"], &[("format", Field::Text("YUY2"))]),
    raw(&[b"bgra"], &[("format", Field::Text("BGRA"))]),
    raw(&[b"argb"], &[("format", Field::Text("ARGB"))]),
    raw(&[b"rgba"], &[("format", Field::Text("RGBA"))]),
    raw(&[b"abgr"], &[("format", Field::Text("ABGR"))]),
    raw(&[b"rgb\x18"], &[("format", Field::Text("RGB"))]),
    raw(&[b"bgr\x18"], &[("format", Field::Text("BGR"))]),
    raw(&[b"y800", b"y8  ", b"grey"], &[("format", Field::Text("GRAY8"))]),
];

const fn mpeg(fourccs: &'static [&'static [u8; 4]], fields: &'static [(&'static str, Field)]) -> KnownCodec {
    with(known(fourccs, "video/mpeg"), fields)
}

const fn raw(fourccs: &'static [&'static [u8; 4]], fields: &'static [(&'static str, Field)]) -> KnownCodec {
    with(known(fourccs, "video/x-raw"), fields)
}

/// Names of codecs that no decoder here knows, by the start of their codes.
const NAMES: &[(&[u8], &str)] = &[
    (b"UL", "Ut Video"),
    (b"UQ", "Ut Video"),
    (b"UM", "Ut Video"),
    (b"M8", "MagicYUV"),
    (b"M0", "MagicYUV"),
    (b"Hap", "Hap"),
    (b"drac", "Dirac"),
    (b"DIRA", "Dirac"),
    (b"SNOW", "Snow"),
    (b"MJLS", "JPEG-LS"),
    (b"SHQ", "SpeedHQ"),
    (b"R10k", "raw RGB of 10 bits"),
    (b"theo", "Theora in QuickTime"),
    (b"gif ", "GIF in another container"),
    (b"vvc1", "H.266 (VVC)"),
    (b"vvi1", "H.266 (VVC)"),
    (b"CLLC", "Canopus Lossless"),
    (b"CUVC", "Canopus HQ"),
    (b"xtor", "Dxtory"),
    (b"DXD", "DXV"),
    (b"pxlt", "Pixlet"),
    (b"Shr", "SheerVideo"),
    (b"aprn", "Apple ProRes RAW"),
    (b"aprh", "Apple ProRes RAW"),
];

/// Makes the caps of video as its decoder knows it. Keeps the demuxer's fields.
fn video(codec: &Codec, unknown: &gst::StructureRef) -> Option<gst::Caps> {
    let mut fourcc = codec.fourcc;
    fourcc.make_ascii_lowercase();
    let known = CODECS.iter().find(|known| known.fourccs.contains(&&fourcc))?;
    let (width, height) = (i32::try_from(codec.size.0).ok()?, i32::try_from(codec.size.1).ok()?);
    let rate = match codec.frame_ns {
        Some(ns @ 1..=0x7fff_ffff) => gst::Fraction::approximate_f64(1e9 / ns as f64)?,
        _ => gst::Fraction::new(0, 1),
    };
    let mut caps = gst::Caps::new_empty_simple(known.name);
    let fields = caps.get_mut()?.structure_mut(0)?;
    fields.set("width", width);
    fields.set("height", height);
    fields.set("framerate", rate);
    if let (Ok(wide @ 1..), Ok(high @ 1..)) = (i32::try_from(codec.pixel.0), i32::try_from(codec.pixel.1)) {
        fields.set("pixel-aspect-ratio", gst::Fraction::new(wide, high));
    }
    for name in ["framerate", "pixel-aspect-ratio", "interlace-mode", "field-order", "colorimetry"] {
        if let Ok(value) = unknown.value(name) {
            fields.set_value(name, value.clone());
        }
    }
    for (name, field) in known.fields {
        match field {
            Field::Number(number) => fields.set(*name, number),
            Field::Text(text) => fields.set(*name, text),
            Field::False => fields.set(*name, false),
            Field::Depth => fields.set(*name, codec.depth as i32),
        }
    }
    if !codec.private.is_empty() && !["video/x-raw", "video/x-prores"].contains(&known.name) {
        fields.set("codec_data", gst::Buffer::from_slice(codec.private.clone()));
    }
    Some(caps)
}

/// Corrects the byte order of raw audio, which QuickTime keeps in a box that the demuxer ignores.
fn audio(structure: &gst::StructureRef, codec: &Codec) -> Option<gst::Caps> {
    let order = if codec.is_little_endian? { "LE" } else { "BE" };
    let samples = match &codec.fourcc {
        b"fl32" => "F32",
        b"fl64" => "F64",
        b"in24" => "S24",
        b"in32" => "S32",
        _ => return None,
    };
    let format = format!("{samples}{order}");
    if structure.name() != "audio/x-raw" || structure.get::<String>("format").ok()? == format {
        return None;
    }
    let mut corrected = structure.to_owned();
    corrected.set("format", format);
    Some(gst::Caps::builder_full().structure(corrected).build())
}
