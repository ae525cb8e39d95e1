//! What a file is, or why it is refused: our own look at its bytes, its packets without decoding, then its first
//! pictures and sounds decoded.

mod boxes;
mod probe;
mod rate;
mod scan;
mod sniff;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::gst::boxes as gst_boxes;
use crate::media::{AudioTrack, MediaInfo, Rational, VideoTrack, Warning};
use crate::source::Source;
use crate::step::StepContext;
use scan::{Scan, Scanned};

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InspectRequest {
    /// Limits the file is held to.
    pub limits: crate::media::Limits,
}

/// Longest last frame where its packet does not say how long it lasts, in ns.
pub(crate) const LONGEST_UNKNOWN_NS: i64 = 200_000_000;

/// Runs the step.
pub fn run(request: &InspectRequest, source: Source, ctx: &StepContext) -> Result<MediaInfo> {
    let container = sniff::sniff(source.as_ref())?;
    let mut movie = gst_boxes::Movie::default();
    if container == "mp4" {
        let index = gst_boxes::read_index(source.as_ref())?;
        boxes::check(&index, &request.limits)?;
        movie = gst_boxes::movie(&index);
    }
    let scanned = scan::scan(source.clone(), container, ctx)?;
    let mut tracks = scanned.numbered();
    for track in &mut tracks {
        by_the_index(track, &movie, &source, ctx)?;
    }
    if tracks.len() as u32 > request.limits.max_tracks {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            "too_many_tracks",
            "The file has more tracks than a recording can have.",
        ));
    }
    let picture = choose_picture(&tracks);
    let sound = tracks.iter().find(|t| !t.picture && t.start_ns.is_some());
    if picture.is_none() && sound.is_none() {
        return Err(nothing_playable(scanned.error));
    }
    let mut info = MediaInfo {
        container: container.to_owned(),
        size_bytes: source.size_bytes(),
        duration_ms: 0,
        origin_ns: 0,
        video: None,
        audio: None,
        warnings: Vec::new(),
    };
    let mut failure = None;
    let (mut video, mut audio) = (None, None);
    if let Some(track) = picture {
        match probe::picture(&source, &info, track, &request.limits, ctx) {
            Ok(probed) => video = Some((track, probed)),
            Err(error) => {
                keep(error, &mut failure, &mut info, "The picture can't be read; only the sound is used.")?
            }
        }
    }
    if let Some(track) = sound {
        match probe::sound(&source, &info, track, &request.limits, ctx) {
            Ok(probed) => audio = Some((track, probed)),
            Err(error) => {
                keep(error, &mut failure, &mut info, "The sound can't be read; only the picture is used.")?
            }
        }
    }
    if video.is_none() && audio.is_none() {
        return Err(failure.unwrap_or_else(|| nothing_playable(None)));
    }
    if scanned.error.is_some() {
        info.warnings.push(Warning {
            code: "damaged".into(),
            message: "The file is damaged; what can be read of it is used.".into(),
        });
    }
    let chosen = [video.as_ref().map(|v| v.0), audio.as_ref().map(|a| a.0)];
    let origin_ns = chosen.iter().flatten().filter_map(|t| t.start_ns).min().unwrap_or(0);
    info.origin_ns = origin_ns;
    let times = |track: &Scanned, frame_ns: i64| times_ms(track, frame_ns, origin_ns, &scanned);
    info.video = video.map(|(track, probed)| {
        let paced = rate::pace(&track.times_ns, declared_rate(track).or(probed.rate));
        let (start_ms, end_ms) = times(track, (1e9 / paced.rate.as_f64()) as i64);
        VideoTrack {
            codec: probed.codec,
            stream_index: track.index,
            width: probed.width,
            height: probed.height,
            frame_rate: paced.rate,
            variable_rate: paced.variable,
            rotation_degrees: probed.rotation_degrees,
            mirrored: probed.mirrored,
            interlaced: probed.interlaced,
            hdr: probed.hdr,
            start_ms,
            end_ms,
        }
    });
    info.audio = audio.map(|(track, probed)| {
        let packet_ns = (1e9 / rate::pace(&track.times_ns, None).rate.as_f64()) as i64;
        let (start_ms, end_ms) = times(track, packet_ns);
        AudioTrack {
            codec: probed.codec,
            stream_index: track.index,
            channels: probed.channels,
            sample_rate_hz: probed.sample_rate_hz,
            language: track.language.clone(),
            start_ms,
            end_ms,
        }
    });
    let ends = [info.video.as_ref().map(|v| v.end_ms), info.audio.as_ref().map(|a| a.end_ms)];
    info.duration_ms = ends.into_iter().flatten().max().unwrap_or(0);
    if info.duration_ms > request.limits.max_duration_ms {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            "too_long",
            "The recording is longer than is allowed.",
        ));
    }
    Ok(info)
}

/// What an MP4's own index says of a track better than the demuxer: which of its kind it is, how to turn it, and, from a
/// scan of the track alone, its times.
fn by_the_index(
    track: &mut Scanned,
    movie: &gst_boxes::Movie,
    source: &Source,
    ctx: &StepContext,
) -> Result<()> {
    let listed = &movie.tracks;
    let Some(own) = listed.iter().find(|t| Some(t.id) == track.number) else { return Ok(()) };
    let before = listed.iter().take_while(|t| t.id != own.id);
    track.index = before.filter(|t| t.handler == own.handler).count() as u32;
    let flip = if own.mirrored { "flip-" } else { "" };
    track.orientation = Some(format!("{flip}rotate-{}", own.rotation_degrees));
    let alone = gst_boxes::only(source.clone(), movie, own.id);
    track.retimed(&scan::scan(alone, "mp4", ctx)?, own.edit);
    Ok(())
}

/// A track that cannot be read costs the file only where there is no other, or a limit is broken.
fn keep(error: Error, failure: &mut Option<Error>, info: &mut MediaInfo, message: &str) -> Result<()> {
    let hard = matches!(error.kind, ErrorKind::LimitExceeded | ErrorKind::Cancelled | ErrorKind::Dependency)
        || error.kind == ErrorKind::Internal;
    if hard {
        return Err(error);
    }
    info.warnings.push(Warning { code: error.code.into(), message: message.into() });
    failure.get_or_insert(error);
    Ok(())
}

fn nothing_playable(error: Option<Error>) -> Error {
    match error {
        Some(error) if error.kind != ErrorKind::Internal => error,
        Some(error) => Error::input("decode_failed", "The file is damaged, so it can't be played.")
            .because(error.to_string()),
        None => Error::input("no_playable_track", "There is nothing in the file that can be played."),
    }
}

/// The largest moving picture; a cover or thumbnail only where there is nothing else and it moves.
fn choose_picture(tracks: &[Scanned]) -> Option<&Scanned> {
    let area = |track: &Scanned| {
        let size = track.caps.as_ref().and_then(|caps| {
            let s = caps.structure(0)?;
            Some(i64::from(s.get::<i32>("width").ok()?) * i64::from(s.get::<i32>("height").ok()?))
        });
        size.unwrap_or(0)
    };
    let still = |track: &Scanned| {
        let jpeg = track.caps.as_ref().and_then(|c| c.structure(0)).is_some_and(|s| s.name() == "image/jpeg");
        jpeg && track.packets < 3
    };
    tracks
        .iter()
        .filter(|t| t.picture && t.start_ns.is_some() && !still(t))
        // The first of the largest.
        .rev()
        .max_by_key(|t| area(t))
}

/// The rate a track's caps declare.
fn declared_rate(track: &Scanned) -> Option<Rational> {
    let rate = track.caps.as_ref()?.structure(0)?.get::<gstreamer::Fraction>("framerate").ok()?;
    let (num, den) = (u32::try_from(rate.numer()).ok()?, u32::try_from(rate.denom()).ok()?);
    (num > 0 && den > 0).then_some(Rational::new(num, den))
}

/// Start and end of a track on the common timeline, in ms. `frame_ns` is the length of a frame whose packets have
/// none.
fn times_ms(track: &Scanned, frame_ns: i64, origin_ns: i64, scan: &Scan) -> (u64, u64) {
    let ms = |ns: i64| ((ns - origin_ns).max(0) as u64 + 500_000) / 1_000_000;
    let start = track.start_ns.unwrap_or(origin_ns);
    let last = track.times_ns.iter().copied().max().unwrap_or(start);
    let mut end = track.end_ns;
    if end <= last {
        end = last + frame_ns.min(LONGEST_UNKNOWN_NS);
    }
    if !scan.whole && scan.error.is_none() {
        // Only the front was read: the end is what the index says.
        end =
            end.max(scan.claimed_ns.map_or(end, |ns| ns.min(i64::MAX as u64 / 2) as i64 + origin_ns.max(0)));
    }
    (ms(start), ms(end).max(ms(start)))
}
