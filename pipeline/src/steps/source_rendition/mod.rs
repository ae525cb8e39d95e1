//! The source as a rendition: an index that lets a server answer segments out of the uploaded file itself. No frame is
//! decoded and no byte of media is copied.

mod compatibility;
mod keyframe_check;
mod plan;
mod write;

#[cfg(test)]
mod tests;

use std::io;

use serde::{Deserialize, Serialize};

use crate::context::StepContext;
use crate::declined::{Declined, declined};
use crate::error::{Error, Result};
use crate::fmp4::{Media, Track};
use crate::hls::TARGET_DURATION_S;
use crate::media::{AudioTrack, Hdr, MediaInfo, VideoTrack, held_until};
use crate::mp4::movie::{self, Index, Movie};
use crate::mp4::sample_entry;
use crate::mp4::sample_tables::Tables;
use crate::mp4::track_boxes::TrackBoxes;
use crate::report::{AudioRenditionReport, VideoRenditionReport};
use crate::source::{ReadAt, Source};
use chalkstream_formats::boxes::find;
use plan::{Clock, Plan};
use write::Written;

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
    pub declined: Option<Declined>,
    /// Length of the picture, in ms.
    pub duration_ms: u64,
}

/// A picture that is H.265.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HevcReport {
    /// The picture.
    pub picture: VideoRenditionReport,
    /// Its range of brightness.
    pub hdr: Hdr,
}

/// Most that the file's tables and `inspect` may differ on when the picture begins, in ms.
const START_MS: u64 = 50;

/// Why packaging ended early.
#[derive(Debug)]
enum Stop {
    Declined(Declined),
    Failed(Error),
}

impl From<Declined> for Stop {
    fn from(declined: Declined) -> Self {
        Self::Declined(declined)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

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
    compatibility::file(media)?;
    let no_picture = || declined("no_picture", "The recording has no picture, only sound.");
    let video = media.video.as_ref().ok_or_else(no_picture)?;
    let index = movie::read_index(source)?;
    if find(&index.bytes, b"mvex").is_some() {
        return Err(
            declined("fragmented", "The recording is stored in pieces that cannot be indexed.").into()
        );
    }
    let movie = movie::movie(&index);
    let track = TrackBoxes::find(&index, &movie, b"vide", video.stream_index).ok_or_else(no_picture)?;
    let picture = picture(&track, request, source)?;
    let written = write::index(
        "index/video",
        &picture.track,
        &picture.plan,
        &picture.tables,
        source.size_bytes(),
        ctx,
    )?;
    let is_hevc = matches!(picture.track.media, Media::CameraHevc { .. });
    // H.265 is not what a lesson is first watched with, and has the normalised sound alone.
    let sound = match &media.audio {
        Some(audio) if !is_hevc => {
            sound(&index, &movie, audio, media, &picture.plan, source.size_bytes(), ctx)?
        }
        _ => None,
    };
    // Picture and sound have one target duration: whichever has the longest segment sets it.
    let longest = [Some(&written), sound.as_ref().map(|(written, _)| written)].into_iter().flatten();
    let target = longest.map(target_duration_s).max().unwrap_or(TARGET_DURATION_S);
    write::playlist("source/video/index.m3u8", &written, target, ctx)?;
    if let Some((written, _)) = &sound {
        write::playlist("source/audio/index.m3u8", written, target, ctx)?;
    }
    let made = video_report(video, &picture, &written);
    let (video, hevc) = match is_hevc {
        true => (None, Some(HevcReport { picture: made, hdr: video.hdr })),
        false => (Some(made), None),
    };
    let audio = sound.map(|(_, report)| report);
    Ok(SourceRenditionReport { video, hevc, audio, declined: None, duration_ms: written.duration_ms() })
}

fn target_duration_s(written: &Written) -> u64 {
    let longest = written.durations.iter().copied().max().unwrap_or(0);
    let timescale = u64::from(written.timescale.max(1));
    TARGET_DURATION_S.max((longest + timescale / 2) / timescale)
}

/// A track that can be given out.
struct Fit<'a> {
    tables: Tables<'a>,
    plan: Plan,
    track: Track,
}

fn picture<'a>(
    part: &TrackBoxes<'a>,
    request: &SourceRenditionRequest,
    source: &dyn ReadAt,
) -> Result<Fit<'a>, Stop> {
    let edited =
        || declined("edited", "The recording was cut together in the camera, which players do not follow.");
    if part.is_edited {
        return Err(edited().into());
    }
    if request.media.video_gap.is_some() {
        return Err(
            declined("long_frame", "A frame of the recording claims far more time than it has.").into()
        );
    }
    let (kind, content) = sample_entry::only(part.stbl)?;
    let told = sample_entry::picture(kind, content)?;
    let shown = request.media.video.as_ref().map_or((0, 0), |video| (video.width, video.height));
    let (media, length_bytes) = compatibility::picture(&told, shown)?;
    let tables = Tables::read(part.stbl)?;
    if !tables.one_description() || !part.is_self_contained {
        return Err(
            declined("several_descriptions", "The recording is put together from several files.").into()
        );
    }
    let clock = Clock::new(part.timescale, part.edit, request.media.origin_ns)?;
    let keys = plan::keys(&tables)?;
    let video = request.media.video.as_ref();
    let frame_ns = video.map_or(0.0, |video| 1e9 / video.frame_rate.as_f64().max(1.0)) as i64;
    let plan = plan::picture(&tables, &keys, clock, frame_ns, request.max_segment_ms)?;
    // Other renditions go by what `inspect` saw: two of one recording must not be moved against each other.
    let start_ms = video.map_or(0, |video| video.start_ms);
    if plan.presented_ms().abs_diff(start_ms as i64) > START_MS {
        return Err(edited().into());
    }
    let reading = keyframe_check::Reading { source, coding: told.coding, length_bytes, config: &told.config };
    reading.check(&keys)?;
    let track = Track { timescale: plan.timescale, language: None, media };
    Ok(Fit { tables, plan, track })
}

fn sound(
    index: &Index,
    movie: &Movie,
    audio: &AudioTrack,
    media: &MediaInfo,
    picture: &Plan,
    source_bytes: u64,
    ctx: &StepContext,
) -> Result<Option<(Written, AudioRenditionReport)>, Stop> {
    let Some(fit) = fit_sound(index, movie, audio, media, picture) else { return Ok(None) };
    let written = match write::index("index/audio", &fit.track, &fit.plan, &fit.tables, source_bytes, ctx) {
        Ok(written) => written,
        // The picture is played with the normalised sound alone.
        Err(Stop::Declined(_)) => return Ok(None),
        Err(stop) => return Err(stop),
    };
    let Media::Aac { channels, .. } = fit.track.media else { return Ok(None) };
    let report = AudioRenditionReport {
        name: "source".into(),
        channels: channels.into(),
        codecs: fit.track.codecs(),
        bandwidth_bps: written.bandwidth_bps.0,
        average_bandwidth_bps: written.bandwidth_bps.1,
        playlist: "source/audio/index.m3u8".into(),
        segments: written.durations.len() as u32,
        duration_ms: written.duration_ms(),
    };
    Ok(Some((written, report)))
}

/// The recording's own sound, where browsers play it.
fn fit_sound<'a>(
    index: &'a Index,
    movie: &Movie,
    audio: &AudioTrack,
    media: &MediaInfo,
    picture: &Plan,
) -> Option<Fit<'a>> {
    let picture_ms = media.video.as_ref().map_or(0, |track| track.end_ms);
    if held_until(audio.end_ms, picture_ms) > audio.end_ms {
        return None;
    }
    let part = TrackBoxes::find(index, movie, b"soun", audio.stream_index)
        .filter(|part| !part.is_edited && part.is_self_contained)?;
    let (kind, content) = sample_entry::only(part.stbl).ok()?;
    let told = sample_entry::sound(kind, content)?;
    let tables = Tables::read(part.stbl).ok().filter(Tables::one_description)?;
    let clock = Clock::new(part.timescale, part.edit, media.origin_ns).ok()?;
    let ms = |ticks: u64| ticks * 1000 / u64::from(picture.timescale);
    // Sound that ends a little after the picture goes with its last segment, where that does not become too long.
    let last = picture.cuts.last().map_or(0, |cut| ms(cut.start));
    let over = (ms(picture.end) + 1000).min(last + TARGET_DURATION_S * 1000).max(ms(picture.end));
    let cuts: Vec<u64> = picture.cuts.iter().map(|cut| ms(cut.start)).chain([over]).collect();
    let plan = plan::sound(&tables, clock, &cuts)?;
    let language = audio.language.as_deref().and_then(|tag| tag.as_bytes().try_into().ok());
    let media = Media::Aac {
        config: told.config,
        channels: told.channels,
        sample_rate_hz: told.sample_rate_hz,
        bitrate_bps: 0,
    };
    let track = Track { timescale: plan.timescale, language, media };
    Some(Fit { tables, plan, track })
}

fn video_report(video: &VideoTrack, picture: &Fit<'_>, written: &Written) -> VideoRenditionReport {
    let (width, height) = match picture.track.media {
        Media::CameraAvc { width, height, .. } | Media::CameraHevc { width, height, .. } => (width, height),
        _ => (0, 0),
    };
    VideoRenditionReport {
        name: "source".into(),
        width: width.into(),
        height: height.into(),
        frame_rate: video.frame_rate,
        codecs: picture.track.codecs(),
        bandwidth_bps: written.bandwidth_bps.0,
        average_bandwidth_bps: written.bandwidth_bps.1,
        playlist: "source/video/index.m3u8".into(),
        segments: written.durations.len() as u32,
        duration_ms: written.duration_ms(),
    }
}
