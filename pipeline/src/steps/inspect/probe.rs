//! The first pictures and sounds of a track, decoded: the truth about their size, shape and colour.

use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer_video as gst_video;

use super::scanned::Scanned;
use crate::context::StepContext;
use crate::cpu_clock::ContentionClock;
use crate::error::{Error, Result};
use crate::gst::{TrackDecoder, TrackKind, displayed_frame, even_size};
use crate::limits::Limits;
use crate::media::{AudioTrack, Hdr, MediaInfo, Orientation, Rational, VideoTrack};
use crate::source::Source;

/// Longest wait for the first decoded buffers, of several pictures for the first.
const LONGEST: Duration = Duration::from_millis(2500);
/// What each track is waited for, however late it is.
const LEAST: Duration = Duration::from_millis(1000);
/// How often the clock is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Pictures looked at: interlacing shows in the first few.
const PICTURES: usize = 5;

/// What decoded pictures are.
pub struct Pictures {
    /// Codec's name.
    pub codec: String,
    /// Width upright and with square pixels, even.
    pub width: u32,
    /// Height upright and with square pixels, even.
    pub height: u32,
    /// Frames per second the decoder says.
    pub rate: Option<Rational>,
    /// What makes the first frame upright.
    pub turn: Orientation,
    /// Whether any of the first ones is made of fields.
    pub interlaced: bool,
    /// Transfer.
    pub hdr: Hdr,
}

/// What decoded sound is.
pub struct Sounds {
    /// Codec's name.
    pub codec: String,
    /// Channels.
    pub channels: u32,
    /// Samples per second.
    pub sample_rate_hz: u32,
}

/// What the first decoded buffers are.
struct First {
    caps: gst::Caps,
    /// Whether any of them is made of fields.
    fields: bool,
    turn: Orientation,
}

/// The first decoded buffers' caps, flags and orientation.
fn first(
    source: &Source,
    info: &MediaInfo,
    kind: TrackKind,
    limits: &Limits,
    ctx: &StepContext,
    (most, clock): (usize, &ContentionClock),
) -> Result<First> {
    let mut decoding = TrackDecoder::open(source.clone(), info, kind, limits, Vec::new())?;
    decoding.start()?;
    let (real, begun) = (Instant::now(), clock.elapsed());
    let until = begun + LONGEST.min(super::LONGEST_LOOK.saturating_sub(begun)).max(LEAST);
    let mut found: Option<First> = None;
    for _ in 0..most {
        let decoded = loop {
            let decoded = decoding.next_within(ctx, LOOK)?;
            if decoded.is_some() || decoding.is_over() || clock.elapsed() > until {
                break decoded;
            }
        };
        let Some(decoded) = decoded else { break };
        let fields = decoded.buffer.flags().bits() & gst_video::VideoBufferFlags::INTERLACED.bits() != 0
            || found.as_ref().is_some_and(|first| first.fields);
        let turn = found.as_ref().map_or(decoded.turn, |first| first.turn);
        found = Some(First { caps: decoded.caps, fields, turn });
    }
    match found {
        Some(first) => Ok(first),
        None => {
            let (passed, counted) = (real.elapsed(), clock.elapsed() - begun);
            let how = if decoding.is_over() { "at its end" } else { "in time" };
            Err(Error::input("decode_failed", "The file is damaged, so it can't be played.").with_source(
                format!("nothing was decoded {how}: {passed:.1?} passed, {counted:.1?} counted"),
            ))
        }
    }
}

/// Decodes the first pictures of a track; hopeless ones are given up.
pub fn picture(
    source: &Source,
    info: &MediaInfo,
    track: &Scanned,
    limits: &Limits,
    clock: &ContentionClock,
    ctx: &StepContext,
) -> Result<Pictures> {
    let mut info = info.clone();
    let turn = track.turn();
    info.video = Some(VideoTrack {
        codec: String::new(),
        stream_index: track.index,
        width: 0,
        height: 0,
        frame_rate: Rational::new(25, 1),
        variable_rate: false,
        rotation_degrees: turn.degrees,
        mirrored: turn.mirrored,
        oriented_by_frame: false,
        changes_size: false,
        interlaced: false,
        hdr: Hdr::None,
        keyframes_apart_ms: 0,
        chosen: None,
        start_ms: 0,
        end_ms: 0,
    });
    let First { caps, fields, turn } =
        first(source, &info, TrackKind::Video, limits, ctx, (PICTURES, clock))?;
    let raw = gst_video::VideoInfo::from_caps(&caps)
        .map_err(|e| Error::internal("the decoder gave something odd").with_source(e))?;
    if u64::from(raw.width()) * u64::from(raw.height()) > limits.max_pixels {
        return Err(crate::gst::too_many_pixels());
    }
    let (width, height) = even_size(displayed_frame(&raw, turn));
    let hdr = match raw.colorimetry().transfer() {
        gst_video::VideoTransferFunction::Smpte2084 => Hdr::Pq,
        gst_video::VideoTransferFunction::AribStdB67 => Hdr::Hlg,
        _ => Hdr::None,
    };
    let fps = raw.fps();
    let rate =
        (fps.numer() > 0 && fps.denom() > 0).then(|| Rational::new(fps.numer() as u32, fps.denom() as u32));
    let progressive = raw.interlace_mode() == gst_video::VideoInterlaceMode::Progressive;
    Ok(Pictures {
        codec: codec_name(track),
        width,
        height,
        rate,
        turn,
        interlaced: !progressive && (fields || raw.interlace_mode() != gst_video::VideoInterlaceMode::Mixed),
        hdr,
    })
}

/// Decodes the first sound of a track; a hopeless one is given up.
pub fn sound(
    source: &Source,
    info: &MediaInfo,
    track: &Scanned,
    limits: &Limits,
    clock: &ContentionClock,
    ctx: &StepContext,
) -> Result<Sounds> {
    let info = with_audio(info, track);
    let First { caps, .. } = first(source, &info, TrackKind::Audio, limits, ctx, (1, clock))?;
    let number = |field: &str| {
        caps.structure(0)
            .and_then(|s| s.get::<i32>(field).ok())
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(0)
    };
    Ok(Sounds { codec: codec_name(track), channels: number("channels"), sample_rate_hz: number("rate") })
}

/// The recording as if this were its audio track.
pub fn with_audio(info: &MediaInfo, track: &Scanned) -> MediaInfo {
    let audio = AudioTrack {
        codec: String::new(),
        stream_index: track.index,
        channels: 0,
        sample_rate_hz: 0,
        language: None,
        chosen: None,
        start_ms: 0,
        end_ms: 0,
    };
    MediaInfo { audio: Some(audio), ..info.clone() }
}

/// Our name of a track's codec.
fn codec_name(track: &Scanned) -> String {
    let Some(s) = track.caps.as_ref().and_then(|c| c.structure(0)) else { return "unknown".into() };
    let version = s.get::<i32>("mpegversion").unwrap_or(0);
    match (s.name().as_str(), version) {
        ("video/x-h264", _) => "h264".into(),
        ("video/x-h265", _) => "hevc".into(),
        ("video/mpeg", 4) => "mpeg4".into(),
        ("video/mpeg", n) => format!("mpeg{n}video"),
        ("audio/mpeg", 1) => "mp3".into(),
        ("audio/mpeg", _) => "aac".into(),
        ("image/jpeg", _) => "mjpeg".into(),
        ("image/gst-libav-gif", _) => "gif".into(),
        ("audio/x-raw" | "video/x-raw", _) => "raw".into(),
        (name, _) => {
            let bare = name.rsplit('/').next().unwrap_or(name);
            bare.strip_prefix("x-").unwrap_or(bare).to_owned()
        }
    }
}
