//! Sixth stage: the report, with times on the common timeline and sizes as displayed.

use super::choose;
use super::findings::Findings;
use super::frame_rate::{self, FrameRate};
use super::inspection::Inspection;
use super::probe::{AudioProbe, VideoProbe};
use super::scan::Scan;
use super::scanned_track::ScannedTrack;
use crate::error::{Error, ErrorKind, Result};
use crate::gst::even_size;
use crate::media::{AudioTrack, Gap, MediaInfo, VideoTrack, Warning, last_frame_ns};

/// Longest last packet of audio, in ns.
const MAX_LAST_PACKET_NS: i64 = 1_000_000_000;
/// Longest last packet of audio if nothing says how long it lasts, in ns.
const MAX_UNKNOWN_PACKET_NS: i64 = 200_000_000;

/// Reports the chosen tracks; an error if the recording is longer than allowed.
pub fn media_info(
    inspection: &Inspection<'_>,
    findings: &Findings<'_>,
    warnings: Vec<Warning>,
) -> Result<MediaInfo> {
    let (video, audio) = (&findings.chosen.video, &findings.chosen.audio);
    let starts = [video.as_ref().and_then(|(t, _)| t.start_ns), audio.as_ref().and_then(|(t, _)| t.start_ns)];
    let origin_ns = starts.into_iter().flatten().min().unwrap_or(0);
    let mut media = MediaInfo { warnings, origin_ns, ..inspection.media_info() };
    if let Some((track, probe)) = video {
        let mut track = (*track).clone();
        remove_gap(&mut track, findings, &mut media);
        media.video = Some(video_track(inspection, findings, &track, probe, origin_ns));
    }
    if let Some((track, probe)) = audio {
        media.audio = Some(audio_track(inspection, findings, track, probe, origin_ns));
    }
    let ends = [media.video.as_ref().map(|v| v.end_ms), media.audio.as_ref().map(|a| a.end_ms)];
    media.duration_ms = ends.into_iter().flatten().max().unwrap_or(0);
    if media.duration_ms > inspection.request.limits.max_duration_ms {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            "too_long",
            "The recording is longer than is allowed.",
        ));
    }
    Ok(media)
}

/// Removes the time that a frame of the video wrongly claims, with a warning.
fn remove_gap(track: &mut ScannedTrack, findings: &Findings<'_>, media: &mut MediaInfo) {
    let Some((audio, _)) = &findings.chosen.audio else { return };
    let (start_ns, end_ns) = (audio.start_ns.unwrap_or(0), audio.end_ns);
    let Some(gap) = track.remove_gap((start_ns, end_ns), findings.scan.is_complete) else { return };
    let ms = |ns: i64| u64::try_from(ns / 1_000_000).unwrap_or(0).next_multiple_of(100);
    media.warnings.push(Warning::long_frame(ms(gap.length_ns), ms(end_ns.saturating_sub(start_ns))));
    media.video_gap = Some(Gap { after_ns: gap.after_ns.saturating_sub(media.origin_ns), ..gap });
}

fn video_track(
    inspection: &Inspection<'_>,
    findings: &Findings<'_>,
    track: &ScannedTrack,
    probe: &VideoProbe,
    origin_ns: i64,
) -> VideoTrack {
    // Few packets of MPEG-PS have a time, and the stream states its rate (ISO/IEC 13818-1, 2.7.4).
    let pace = match probe.rate.filter(|_| inspection.container == "mpegps") {
        Some(rate) => FrameRate { rate, is_variable: false },
        None => frame_rate::measure(&track.times_ns, track.declared_rate().or(probe.rate)),
    };
    let frame_ns = last_frame_ns(pace.rate, pace.is_variable) as i64;
    let (start_ms, end_ms) = times_ms(track, frame_ns, origin_ns, findings.scan);
    let sizes = track.sizes_until(end_ms as i64 * 1_000_000 + origin_ns).summary(track.turn());
    // The first frame was decoded. A size that comes later is known from headers only.
    let later_size = sizes.filter(|sizes| sizes.first != sizes.dominant).map(|sizes| sizes.dominant);
    let (width, height) = later_size.map_or((probe.width, probe.height), |size| even_size(size.displayed()));
    let turn = later_size.map_or(probe.turn, |size| size.turn);
    let has_turned_frames = !turn.is_none() || sizes.is_some_and(|sizes| sizes.has_turns);
    let keyframes_apart_ns = track.max_keyframe_interval_ns();
    VideoTrack {
        codec: probe.codec.clone(),
        stream_index: track.index,
        width,
        height,
        frame_rate: pace.rate,
        variable_rate: pace.is_variable,
        rotation_degrees: turn.degrees,
        mirrored: turn.mirrored,
        oriented_by_frame: track.turn().is_none() && has_turned_frames,
        changes_size: sizes.is_some_and(|sizes| sizes.has_changes),
        interlaced: probe.is_interlaced,
        hdr: probe.hdr,
        keyframes_apart_ms: u64::try_from(keyframes_apart_ns / 1_000_000).unwrap_or(0),
        chosen: choose::video_choice(track, findings.tracks, findings.candidates),
        start_ms,
        end_ms,
    }
}

fn audio_track(
    inspection: &Inspection<'_>,
    findings: &Findings<'_>,
    track: &ScannedTrack,
    probe: &AudioProbe,
    origin_ns: i64,
) -> AudioTrack {
    let usual_ns = (1e9 / frame_rate::measure(&track.times_ns, None).rate.as_f64()) as i64;
    // A packet of a transport stream has as many frames as fit in it, the last one the remainder.
    let remainder_ns = (inspection.container == "mpegts").then(|| track.last_packet_ns()).flatten();
    let packet_ns = remainder_ns.unwrap_or(usual_ns.min(MAX_UNKNOWN_PACKET_NS)).min(MAX_LAST_PACKET_NS);
    let (start_ms, end_ms) = times_ms(track, packet_ns, origin_ns, findings.scan);
    AudioTrack {
        codec: probe.codec.clone(),
        stream_index: track.index,
        channels: probe.channels,
        sample_rate_hz: probe.sample_rate_hz,
        language: track.language.clone(),
        chosen: choose::audio_choice(track, findings.tracks, &findings.chosen.audio_ranking),
        start_ms,
        end_ms,
    }
}

/// Start and end of a track on the common timeline, in ms. `packet_ns` is the length of a packet
/// that does not state one.
fn times_ms(track: &ScannedTrack, packet_ns: i64, origin_ns: i64, scan: &Scan) -> (u64, u64) {
    let ms = |ns: i64| (ns.saturating_sub(origin_ns).max(0) as u64 + 500_000) / 1_000_000;
    let start = track.start_ns.unwrap_or(origin_ns);
    let last = track.times_ns.iter().copied().max().unwrap_or(start);
    let mut end = track.end_ns;
    if end <= last {
        end = last.saturating_add(packet_ns);
    }
    if !scan.is_complete && scan.error.is_none() && !track.is_end_known {
        // Only the front was read, so the end is the declared one.
        let declared = |ns: u64| (ns.min(i64::MAX as u64 / 2) as i64).saturating_add(origin_ns.max(0));
        end = end.max(scan.declared_ns.map_or(end, declared));
    }
    (ms(start), ms(end).max(ms(start)))
}
