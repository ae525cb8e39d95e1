//! The start of a track, decoded: its true size, shape and colour.

use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer_video as gst_video;

use super::inspection::{Inspection, MAX_DECODE_TIME};
use super::scanned_track::ScannedTrack;
use crate::error::{Error, Result};
use crate::gst::{TrackDecoder, TrackKind, displayed_frame, even_size};
use crate::media::{Hdr, MediaInfo, Orientation, Rational, VideoTrack};

/// Longest wait for the decoded start of a track, on the step's clock.
const MAX_WAIT: Duration = Duration::from_millis(2500);
/// Shortest wait for a track, however late it is.
const MIN_WAIT: Duration = Duration::from_millis(1000);
/// Longest wait for a buffer before the clock is read again.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Frames that are decoded: interlacing shows in the first few.
const MAX_FRAMES: usize = 5;

/// What decoded video is.
pub struct VideoProbe {
    /// Name of the codec.
    pub codec: String,
    /// Width upright and with square pixels, even.
    pub width: u32,
    /// Height upright and with square pixels, even.
    pub height: u32,
    /// Frames per second by the decoder.
    pub rate: Option<Rational>,
    /// Orientation that makes the first frame upright.
    pub turn: Orientation,
    /// Whether any of the first frames is made of fields.
    pub is_interlaced: bool,
    /// Transfer characteristic.
    pub hdr: Hdr,
}

/// What decoded audio is.
pub struct AudioProbe {
    /// Name of the codec.
    pub codec: String,
    /// Channels.
    pub channels: u32,
    /// Samples per second.
    pub sample_rate_hz: u32,
}

/// The first decoded buffers of a track.
struct DecodedStart {
    /// Caps of the last of them.
    caps: gst::Caps,
    /// Whether any of them is made of fields.
    has_fields: bool,
    /// Orientation of the first.
    turn: Orientation,
}

/// Decodes up to `max_buffers`. One is enough if no more come in time.
fn decode_start(
    inspection: &Inspection<'_>,
    media: &MediaInfo,
    kind: TrackKind,
    max_buffers: usize,
) -> Result<DecodedStart> {
    let (clock, limits) = (inspection.clock, &inspection.request.limits);
    let mut decoding = TrackDecoder::open(inspection.source.clone(), media, kind, limits, Vec::new())?;
    decoding.start()?;
    let (real_start, start) = (Instant::now(), clock.elapsed());
    let until = start + MAX_WAIT.min(MAX_DECODE_TIME.saturating_sub(start)).max(MIN_WAIT);
    let mut found: Option<DecodedStart> = None;
    for _ in 0..max_buffers {
        let decoded = loop {
            let decoded = decoding.next_within(inspection.ctx, POLL_INTERVAL)?;
            if decoded.is_some() || decoding.is_over() || clock.elapsed() > until {
                break decoded;
            }
        };
        let Some(decoded) = decoded else { break };
        let interlaced = gst_video::VideoBufferFlags::INTERLACED.bits();
        let has_fields = decoded.buffer.flags().bits() & interlaced != 0
            || found.as_ref().is_some_and(|start| start.has_fields);
        let turn = found.as_ref().map_or(decoded.turn, |start| start.turn);
        found = Some(DecodedStart { caps: decoded.caps, has_fields, turn });
    }
    found.ok_or_else(|| {
        let (passed, counted) = (real_start.elapsed(), clock.elapsed() - start);
        let when = if decoding.is_over() { "at its end" } else { "in time" };
        Error::damaged_file()
            .with_source(format!("nothing was decoded {when}: {passed:.1?} passed, {counted:.1?} counted"))
    })
}

/// Decodes the first frames of a track; an error if none comes in time.
pub fn video(inspection: &Inspection<'_>, track: &ScannedTrack) -> Result<VideoProbe> {
    let media = media_with_video(inspection, track);
    let DecodedStart { caps, has_fields, turn } =
        decode_start(inspection, &media, TrackKind::Video, MAX_FRAMES)?;
    let raw = gst_video::VideoInfo::from_caps(&caps)
        .map_err(|e| Error::internal("the decoder gave something odd").with_source(e))?;
    if u64::from(raw.width()) * u64::from(raw.height()) > inspection.request.limits.max_pixels {
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
    let is_interlaced = match raw.interlace_mode() {
        gst_video::VideoInterlaceMode::Progressive => false,
        gst_video::VideoInterlaceMode::Mixed => has_fields,
        _ => true,
    };
    Ok(VideoProbe { codec: codec_name(track), width, height, rate, turn, is_interlaced, hdr })
}

/// Decodes the first samples of a track; an error if none come in time.
pub fn audio(inspection: &Inspection<'_>, track: &ScannedTrack) -> Result<AudioProbe> {
    let media = inspection.media_info_with_audio(track.index);
    let DecodedStart { caps, .. } = decode_start(inspection, &media, TrackKind::Audio, 1)?;
    let number = |field: &str| {
        caps.structure(0)
            .and_then(|s| s.get::<i32>(field).ok())
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(0)
    };
    Ok(AudioProbe { codec: codec_name(track), channels: number("channels"), sample_rate_hz: number("rate") })
}

/// The recording with this video track, as far as is needed to decode it.
fn media_with_video(inspection: &Inspection<'_>, track: &ScannedTrack) -> MediaInfo {
    let turn = track.turn();
    let video = VideoTrack {
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
    };
    MediaInfo { video: Some(video), ..inspection.media_info() }
}

/// Our name of a track's codec.
fn codec_name(track: &ScannedTrack) -> String {
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
