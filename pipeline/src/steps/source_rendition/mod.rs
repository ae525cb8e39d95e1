//! The source as a rendition: an index that lets a server answer segments out of the uploaded file itself. No frame is
//! decoded and no byte of media is copied.

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
use crate::fmp4::{Media, Track};
use crate::hls::TARGET_DURATION_S;
use crate::media::{AudioTrack, Hdr, MediaInfo, VideoTrack, padded_end_ms};
use crate::mp4::movie::{self, Index, Movie};
use crate::mp4::sample_entry;
use crate::mp4::sample_tables::SampleTables;
use crate::mp4::track_boxes::TrackBoxes;
use crate::report::{AudioRenditionReport, VideoRenditionReport};
use crate::source::{ReadAt, Source};
use chalkstream_formats::boxes::find;
use plan::{SegmentPlan, TrackClock};
use stop::Stop;
use write::WrittenTrack;

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceRenditionRequest {
    /// What the file is.
    pub media: MediaInfo,
    /// Limits the file is held to.
    pub limits: crate::limits::Limits,
    /// Longest segment, and so the longest distance of two keyframes, in ms.
    pub max_segment_ms: u64,
}

/// What was made, or why nothing was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRenditionReport {
    /// The picture: name `source`, playlist `source/video/index.m3u8`, its index in `index/video`.
    pub video: Option<VideoRenditionReport>,
    /// The picture, where it is H.265: named and laid out alike, and for a multivariant playlist of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hevc: Option<HevcReport>,
    /// The sound as it came, for the time until the normalised renditions are there: playlist
    /// `source/audio/index.m3u8`, its index in `index/audio`.
    pub audio: Option<AudioRenditionReport>,
    /// Why the picture is not used.
    pub declined: Option<DeclineReason>,
    /// Length of the picture, in ms.
    pub duration_ms: u64,
}

/// A picture that is H.265.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HevcReport {
    /// The rendition.
    #[serde(rename = "picture")]
    pub video: VideoRenditionReport,
    /// Its range of brightness.
    pub hdr: Hdr,
}

/// Most that the file's tables and `inspect` may differ on when the picture begins, in ms.
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
    let index = movie::read_index(source)?;
    if find(&index.bytes, b"mvex").is_some() {
        return Err(
            declined("fragmented", "The recording is stored in pieces that cannot be indexed.").into()
        );
    }
    let movie = movie::read_movie(&index);
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
    let is_hevc = matches!(video_track.track.media, Media::CameraHevc { .. });
    // H.265 is not what a lesson is first watched with, and has the normalised sound alone.
    let sound = match &media.audio {
        Some(audio) if !is_hevc => {
            write_audio(&index, &movie, audio, media, &video_track.plan, source.size_bytes(), ctx)?
        }
        _ => None,
    };
    // Picture and sound have one target duration: whichever has the longest segment sets it.
    let longest = [Some(&written), sound.as_ref().map(|(written, _)| written)].into_iter().flatten();
    let target = longest.map(target_duration_s).max().unwrap_or(TARGET_DURATION_S);
    write::write_playlist("source/video/index.m3u8", &written, target, ctx)?;
    if let Some((written, _)) = &sound {
        write::write_playlist("source/audio/index.m3u8", written, target, ctx)?;
    }
    let made = video_report(video, &video_track, &written);
    let (video, hevc) = match is_hevc {
        true => (None, Some(HevcReport { video: made, hdr: video.hdr })),
        false => (Some(made), None),
    };
    let audio = sound.map(|(_, report)| report);
    Ok(SourceRenditionReport { video, hevc, audio, declined: None, duration_ms: written.duration_ms() })
}

fn target_duration_s(written: &WrittenTrack) -> u64 {
    let longest = written.durations.iter().copied().max().unwrap_or(0);
    let timescale = u64::from(written.timescale.max(1));
    TARGET_DURATION_S.max((longest + timescale / 2) / timescale)
}

/// A track that can be given out.
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
    // Other renditions go by what `inspect` saw: two of one recording must not be moved against each other.
    let start_ms = video.map_or(0, |video| video.start_ms);
    if plan.presented_ms().abs_diff(start_ms as i64) > MAX_START_DIFFERENCE_MS {
        return Err(edited().into());
    }
    let reading =
        keyframe_check::SampleInspector { source, coding: entry.coding, length_bytes, config: &entry.config };
    reading.check(&keys)?;
    let track = Track { timescale: plan.timescale, language: None, media };
    Ok(PackagedTrack { tables, plan, track })
}

fn write_audio(
    index: &Index,
    movie: &Movie,
    audio: &AudioTrack,
    media: &MediaInfo,
    video_track: &SegmentPlan,
    source_bytes: u64,
    ctx: &StepContext,
) -> Result<Option<(WrittenTrack, AudioRenditionReport)>, Stop> {
    let Some(audio) = audio_track(index, movie, audio, media, video_track) else { return Ok(None) };
    let written = match write::write_index(
        "index/audio",
        &audio.track,
        &audio.plan,
        &audio.tables,
        source_bytes,
        ctx,
    ) {
        Ok(written) => written,
        // The picture is played with the normalised sound alone.
        Err(Stop::Declined(_)) => return Ok(None),
        Err(stop) => return Err(stop),
    };
    let Media::Aac { channels, .. } = audio.track.media else { return Ok(None) };
    let report = AudioRenditionReport {
        name: "source".into(),
        channels: channels.into(),
        codecs: audio.track.codecs(),
        bandwidth_bps: written.bandwidth_bps.0,
        average_bandwidth_bps: written.bandwidth_bps.1,
        playlist: "source/audio/index.m3u8".into(),
        segments: written.durations.len() as u32,
        duration_ms: written.duration_ms(),
    };
    Ok(Some((written, report)))
}

/// The recording's own sound, where browsers play it.
fn audio_track<'a>(
    index: &'a Index,
    movie: &Movie,
    audio: &AudioTrack,
    media: &MediaInfo,
    video_track: &SegmentPlan,
) -> Option<PackagedTrack<'a>> {
    let picture_ms = media.video.as_ref().map_or(0, |track| track.end_ms);
    if padded_end_ms(audio.end_ms, picture_ms) > audio.end_ms {
        return None;
    }
    let track_boxes = TrackBoxes::find(index, movie, b"soun", audio.stream_index)
        .filter(|track_boxes| !track_boxes.is_edited && track_boxes.is_self_contained)?;
    let (kind, content) = sample_entry::single_entry(track_boxes.stbl).ok()?;
    let entry = sample_entry::parse_audio(kind, content)?;
    let tables = SampleTables::read(track_boxes.stbl).ok().filter(SampleTables::has_one_description)?;
    let clock = TrackClock::new(track_boxes.timescale, track_boxes.edit, media.origin_ns).ok()?;
    let ms = |ticks: u64| ticks * 1000 / u64::from(video_track.timescale);
    // Sound that ends a little after the picture goes with its last segment, where that does not become too long.
    let last = video_track.cuts.last().map_or(0, |cut| ms(cut.start));
    let over = (ms(video_track.end) + 1000).min(last + TARGET_DURATION_S * 1000).max(ms(video_track.end));
    let cuts: Vec<u64> = video_track.cuts.iter().map(|cut| ms(cut.start)).chain([over]).collect();
    let plan = plan::plan_audio(&tables, clock, &cuts)?;
    let language = audio.language.as_deref().and_then(|tag| tag.as_bytes().try_into().ok());
    let media = Media::Aac {
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
        Media::CameraAvc { width, height, .. } | Media::CameraHevc { width, height, .. } => (width, height),
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
