//! Indexes the uploaded file so that a server can assemble segments from it. The step decodes no
//! frame and copies no byte of media.

mod compatibility;
mod keyframe_check;
mod plan;
mod stop;
mod write;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::context::StepContext;
use crate::declined::{DeclineReason, declined};
use crate::error::Result;
use crate::fmp4::{Track, TrackMedia};
use crate::hls::TARGET_DURATION_S;
use crate::media::{AudioTrack, Hdr, MediaInfo, VideoTrack, padded_end_ms};
use crate::mp4::movie::Movie;
use crate::mp4::movie_index::MovieIndex;
use crate::mp4::sample_entry;
use crate::mp4::sample_tables::SampleTables;
use crate::mp4::track_boxes::TrackBoxes;
use crate::report::{AudioRenditionReport, VideoRenditionReport};
use crate::source::{ReadAt, Source};
use chalkstream_formats::boxes::find;
use plan::{SegmentPlan, TrackClock};
use stop::Stop;
use write::WrittenTrack;

/// The request of the step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceRenditionRequest {
    /// The file, as `inspect` found it.
    pub media: MediaInfo,
    /// Limits that the file is held to.
    pub limits: crate::limits::Limits,
    /// Longest segment, and so the longest distance between two keyframes, in ms.
    pub max_segment_ms: u64,
}

/// The renditions made, or the reason why there are none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRenditionReport {
    /// The H.264 video: name `source`, playlist `source/video/index.m3u8`, index in `index/video`.
    pub video: Option<VideoRenditionReport>,
    /// The video if it is H.265, with the same name and paths. It gets a multivariant playlist of
    /// its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hevc: Option<HevcReport>,
    /// The audio as uploaded, until the normalised renditions are there: playlist
    /// `source/audio/index.m3u8`, index in `index/audio`.
    pub audio: Option<AudioRenditionReport>,
    /// Reason why the video is not used.
    pub declined: Option<DeclineReason>,
    /// Length of the video, in ms.
    pub duration_ms: u64,
}

/// H.265 video of the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HevcReport {
    /// The rendition.
    #[serde(rename = "picture")]
    pub video: VideoRenditionReport,
    /// Its dynamic range.
    pub hdr: Hdr,
}

/// Most that the sample tables and `inspect` may disagree about the start of the video, in ms.
const MAX_START_DIFFERENCE_MS: u64 = 50;

/// Runs the step.
pub fn run(
    request: &SourceRenditionRequest,
    source: Source,
    ctx: &StepContext,
) -> Result<SourceRenditionReport> {
    match package(request, source.as_ref(), ctx) {
        Ok(report) => Ok(report),
        Err(Stop::Declined(declined)) => {
            let declined = Some(declined);
            Ok(SourceRenditionReport { video: None, hevc: None, audio: None, declined, duration_ms: 0 })
        }
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn package(
    request: &SourceRenditionRequest,
    source: &dyn ReadAt,
    ctx: &StepContext,
) -> Result<SourceRenditionReport, Stop> {
    let media = &request.media;
    compatibility::check_file(media)?;
    let no_video = || declined("no_picture", "The recording has no picture, only sound.");
    let video = media.video.as_ref().ok_or_else(no_video)?;
    let index = MovieIndex::read(source)?;
    if find(&index.bytes, b"mvex").is_some() {
        return Err(
            declined("fragmented", "The recording is stored in pieces that cannot be indexed.").into()
        );
    }
    let movie = Movie::parse(&index);
    let track = TrackBoxes::find(&index, &movie, b"vide", video.stream_index).ok_or_else(no_video)?;
    let video_track = video_track(&track, request, source)?;
    let written = write::write_index(
        "index/video",
        &video_track.track,
        &video_track.plan,
        &video_track.tables,
        source.size_bytes(),
        ctx,
    )?;
    let is_hevc = matches!(video_track.track.media, TrackMedia::CameraHevc { .. });
    // Viewers start with H.264, so H.265 gets the normalised audio alone.
    let audio = match &media.audio {
        Some(audio) if !is_hevc => {
            write_audio(&index, &movie, audio, media, &video_track.plan, source.size_bytes(), ctx)?
        }
        _ => None,
    };
    // Video and audio share one target duration, which the longest segment of either sets.
    let longest = [Some(&written), audio.as_ref().map(|(written, _)| written)].into_iter().flatten();
    let target = longest.map(target_duration_s).max().unwrap_or(TARGET_DURATION_S);
    write::write_playlist("source/video/index.m3u8", &written, target, ctx)?;
    if let Some((written, _)) = &audio {
        write::write_playlist("source/audio/index.m3u8", written, target, ctx)?;
    }
    let made = video_report(video, &video_track, &written);
    let (video, hevc) = match is_hevc {
        true => (None, Some(HevcReport { video: made, hdr: video.hdr })),
        false => (Some(made), None),
    };
    let audio = audio.map(|(_, report)| report);
    Ok(SourceRenditionReport { video, hevc, audio, declined: None, duration_ms: written.duration_ms() })
}

fn target_duration_s(written: &WrittenTrack) -> u64 {
    let longest = written.durations.iter().copied().max().unwrap_or(0);
    let timescale = u64::from(written.timescale.max(1));
    TARGET_DURATION_S.max((longest + timescale / 2) / timescale)
}

/// A track that can be served as it is.
struct PackagedTrack<'a> {
    tables: SampleTables<'a>,
    plan: SegmentPlan,
    track: Track,
}

fn video_track<'a>(
    track_boxes: &TrackBoxes<'a>,
    request: &SourceRenditionRequest,
    source: &dyn ReadAt,
) -> Result<PackagedTrack<'a>, Stop> {
    let edited =
        || declined("edited", "The recording was cut together in the camera, which players do not follow.");
    if track_boxes.is_edited {
        return Err(edited().into());
    }
    if request.media.video_gap.is_some() {
        return Err(
            declined("long_frame", "A frame of the recording claims far more time than it has.").into()
        );
    }
    let (kind, content) = sample_entry::single_entry(track_boxes.stbl)?;
    let entry = sample_entry::parse_video(kind, content)?;
    let displayed_size = request.media.video.as_ref().map_or((0, 0), |video| (video.width, video.height));
    let (media, length_bytes) = compatibility::check_video(&entry, displayed_size)?;
    let tables = SampleTables::read(track_boxes.stbl)?;
    if !tables.has_one_description() || !track_boxes.is_self_contained {
        return Err(
            declined("several_descriptions", "The recording is put together from several files.").into()
        );
    }
    let clock = TrackClock::new(track_boxes.timescale, track_boxes.edit, request.media.origin_ns)?;
    let keys = plan::keyframes(&tables)?;
    let video = request.media.video.as_ref();
    let frame_ns = video.map_or(0.0, |video| 1e9 / video.frame_rate.as_f64().max(1.0)) as i64;
    let plan = plan::plan_video(&tables, &keys, clock, frame_ns, request.max_segment_ms)?;
    // Other renditions start where `inspect` says, and renditions must not be offset against each
    // other.
    let start_ms = video.map_or(0, |video| video.start_ms);
    if plan.presented_ms().abs_diff(start_ms as i64) > MAX_START_DIFFERENCE_MS {
        return Err(edited().into());
    }
    let inspector =
        keyframe_check::SampleInspector { source, coding: entry.coding, length_bytes, config: &entry.config };
    inspector.check(&keys)?;
    let track = Track { timescale: plan.timescale, language: None, media };
    Ok(PackagedTrack { tables, plan, track })
}

fn write_audio(
    index: &MovieIndex,
    movie: &Movie,
    audio: &AudioTrack,
    media: &MediaInfo,
    video_plan: &SegmentPlan,
    source_bytes: u64,
    ctx: &StepContext,
) -> Result<Option<(WrittenTrack, AudioRenditionReport)>, Stop> {
    let Some(packaged) = audio_track(index, movie, audio, media, video_plan) else { return Ok(None) };
    let written = match write::write_index(
        "index/audio",
        &packaged.track,
        &packaged.plan,
        &packaged.tables,
        source_bytes,
        ctx,
    ) {
        Ok(written) => written,
        // The video is then played with the normalised audio alone.
        Err(Stop::Declined(_)) => return Ok(None),
        Err(stop) => return Err(stop),
    };
    let TrackMedia::Aac { channels, .. } = packaged.track.media else { return Ok(None) };
    let report = AudioRenditionReport {
        name: "source".into(),
        channels: channels.into(),
        codecs: packaged.track.codecs(),
        bandwidth_bps: written.bandwidth_bps.0,
        average_bandwidth_bps: written.bandwidth_bps.1,
        playlist: "source/audio/index.m3u8".into(),
        segments: written.durations.len() as u32,
        duration_ms: written.duration_ms(),
    };
    Ok(Some((written, report)))
}

/// Returns the recording's own audio; `None` if browsers cannot play it.
fn audio_track<'a>(
    index: &'a MovieIndex,
    movie: &Movie,
    audio: &AudioTrack,
    media: &MediaInfo,
    video_plan: &SegmentPlan,
) -> Option<PackagedTrack<'a>> {
    let video_end_ms = media.video.as_ref().map_or(0, |track| track.end_ms);
    if padded_end_ms(audio.end_ms, video_end_ms) > audio.end_ms {
        return None;
    }
    let track_boxes = TrackBoxes::find(index, movie, b"soun", audio.stream_index)
        .filter(|track_boxes| !track_boxes.is_edited && track_boxes.is_self_contained)?;
    let (kind, content) = sample_entry::single_entry(track_boxes.stbl).ok()?;
    let entry = sample_entry::parse_audio(kind, content)?;
    let tables = SampleTables::read(track_boxes.stbl).ok().filter(SampleTables::has_one_description)?;
    let clock = TrackClock::new(track_boxes.timescale, track_boxes.edit, media.origin_ns).ok()?;
    let ms = |ticks: u64| ticks * 1000 / u64::from(video_plan.timescale);
    // Audio that ends a little after the video joins its last segment, if that stays short enough.
    let last = video_plan.cuts.last().map_or(0, |cut| ms(cut.start));
    let end_ms = (ms(video_plan.end) + 1000).min(last + TARGET_DURATION_S * 1000).max(ms(video_plan.end));
    let cuts: Vec<u64> = video_plan.cuts.iter().map(|cut| ms(cut.start)).chain([end_ms]).collect();
    let plan = plan::plan_audio(&tables, clock, &cuts)?;
    let language = audio.language.as_deref().and_then(|tag| tag.as_bytes().try_into().ok());
    let media = TrackMedia::Aac {
        config: entry.config,
        channels: entry.channels,
        sample_rate_hz: entry.sample_rate_hz,
        bitrate_bps: 0,
    };
    let track = Track { timescale: plan.timescale, language, media };
    Some(PackagedTrack { tables, plan, track })
}

fn video_report(
    video: &VideoTrack,
    video_track: &PackagedTrack<'_>,
    written: &WrittenTrack,
) -> VideoRenditionReport {
    let (width, height) = match video_track.track.media {
        TrackMedia::CameraAvc { width, height, .. } | TrackMedia::CameraHevc { width, height, .. } => {
            (width, height)
        }
        _ => (0, 0),
    };
    VideoRenditionReport {
        name: "source".into(),
        width: width.into(),
        height: height.into(),
        frame_rate: video.frame_rate,
        codecs: video_track.track.codecs(),
        bandwidth_bps: written.bandwidth_bps.0,
        average_bandwidth_bps: written.bandwidth_bps.1,
        playlist: "source/video/index.m3u8".into(),
        segments: written.durations.len() as u32,
        duration_ms: written.duration_ms(),
    }
}
