//! The source as a rendition: an index that lets a server answer segments out of the uploaded file itself. No frame is
//! decoded and no byte of media is copied.

mod entry;
mod fit;
mod hevc;
mod look;
mod plan;
mod sps;
mod tables;
mod write;

#[cfg(test)]
mod tests;

use std::io;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::fmp4::{Media, Track};
use crate::gst::boxes::{self, Index};
use crate::hls::TARGET_DURATION_S;
use crate::media::{AudioTrack, Hdr, MediaInfo, VideoTrack, held_until};
use crate::sound::AudioReport;
use crate::source::{ReadAt, Source};
use crate::step::StepContext;
use crate::transcode::RenditionReport;
pub(crate) use hevc::units as hevc_units;
use plan::{Clock, Plan};
pub(crate) use sps::sequence;
use tables::{Tables, find, word};
use write::Written;

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PackageRequest {
    /// What the file is.
    pub media: MediaInfo,
    /// Limits the file is held to.
    pub limits: crate::media::Limits,
    /// Longest segment, and so the longest distance of two keyframes, in ms.
    pub max_segment_ms: u64,
}

/// Why a source is not a rendition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    /// Stable code.
    pub code: String,
    /// One plain sentence.
    pub message: String,
}

/// What was made, or why nothing was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackageReport {
    /// The picture: name `source`, playlist `source/video/index.m3u8`, its index in `index/video`.
    pub video: Option<RenditionReport>,
    /// The picture, where it is H.265: named and laid out alike, and for a multivariant playlist of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hevc: Option<HevcReport>,
    /// The sound as it came, for the time until the normalised renditions are there: playlist
    /// `source/audio/index.m3u8`, its index in `index/audio`.
    pub audio: Option<AudioReport>,
    /// Why the picture is not used.
    pub declined: Option<Declined>,
    /// Length of the picture, in ms.
    pub duration_ms: u64,
}

/// A picture that is H.265.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HevcReport {
    /// The picture.
    pub picture: RenditionReport,
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

fn declined(code: &str, message: &str) -> Declined {
    Declined { code: code.into(), message: message.into() }
}

fn open_gop() -> Declined {
    declined(
        "open_gop",
        "The recording's keyframes need pictures before them, so a player could not start at them.",
    )
}

fn cut_off() -> Declined {
    declined("cut_off", "The recording is cut off: its end is missing.")
}

/// Runs the step.
pub fn run(request: &PackageRequest, source: Source, ctx: &StepContext) -> Result<PackageReport> {
    match package(request, source.as_ref(), ctx) {
        Ok(report) => Ok(report),
        Err(Stop::Declined(declined)) => {
            let declined = Some(declined);
            Ok(PackageReport { video: None, hevc: None, audio: None, declined, duration_ms: 0 })
        }
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn package(request: &PackageRequest, source: &dyn ReadAt, ctx: &StepContext) -> Result<PackageReport, Stop> {
    let media = &request.media;
    fit::file(media)?;
    let no_picture = || declined("no_picture", "The recording has no picture, only sound.");
    let video = media.video.as_ref().ok_or_else(no_picture)?;
    let index = boxes::read_index(source)?;
    if find(&index.bytes, b"mvex").is_some() {
        return Err(
            declined("fragmented", "The recording is stored in pieces that cannot be indexed.").into()
        );
    }
    let movie = boxes::movie(&index);
    let track = Part::of(&index, &movie, b"vide", video.stream_index).ok_or_else(no_picture)?;
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
    Ok(PackageReport { video, hevc, audio, declined: None, duration_ms: written.duration_ms() })
}

fn target_duration_s(written: &Written) -> u64 {
    let longest = written.durations.iter().copied().max().unwrap_or(0);
    let timescale = u64::from(written.timescale.max(1));
    TARGET_DURATION_S.max((longest + timescale / 2) / timescale)
}

/// A track's boxes.
struct Part<'a> {
    stbl: &'a [u8],
    timescale: u32,
    edit: Option<boxes::Edit>,
    /// Its edit list presents several parts of it, or at another speed.
    edited: bool,
    /// Its samples are in this very file.
    own: bool,
}

impl<'a> Part<'a> {
    /// The `place`th track of a handler.
    fn of(index: &'a Index, movie: &boxes::Movie, handler: &[u8; 4], place: u32) -> Option<Self> {
        let track = boxes::nth(&movie.tracks, handler, place)?;
        let mut rest = &index.bytes[..];
        let trak = loop {
            let (kind, content, next) = boxes::split(rest)?;
            if &kind == b"trak" && id(content) == Some(track.id) {
                break content;
            }
            rest = next;
        };
        let media = find(trak, b"mdia")?;
        let header = find(media, b"mdhd")?;
        let timescale = word(header, if *header.first()? == 1 { 20 } else { 12 })?;
        let minf = find(media, b"minf")?;
        let list = find(trak, b"edts").and_then(|edits| find(edits, b"elst"));
        let edited = list.is_some_and(|list| {
            let some = word(list, 4).is_some_and(|count| count > 0);
            some && (track.edit.is_none() || !at_its_own_speed(list))
        });
        let references = find(minf, b"dinf").and_then(|dinf| find(dinf, b"dref"));
        // Flag 1 of the only entry; one that is missing can mean nothing else.
        let own = references
            .is_none_or(|list| word(list, 4) == Some(1) && word(list, 16).is_some_and(|f| f & 1 == 1));
        Some(Self { stbl: find(minf, b"stbl")?, timescale, edit: track.edit, edited, own })
    }
}

fn id(trak: &[u8]) -> Option<u32> {
    let head = find(trak, b"tkhd")?;
    word(head, if *head.first()? == 1 { 20 } else { 12 })
}

/// Whether every entry of an edit list plays at a speed of one, or is empty.
fn at_its_own_speed(list: &[u8]) -> bool {
    let size = if list.first() == Some(&1) { 20 } else { 12 };
    list.get(8..).unwrap_or_default().chunks_exact(size).all(|entry| {
        let start_is_none = word(entry, size - 8) == Some(u32::MAX);
        start_is_none || word(entry, size - 4) == Some(0x1_0000)
    })
}

/// Most samples whose times are read: six hours at 90 a second. Raw sound has far more.
const MOST_SHOWN: u64 = 2_000_000;
/// Times beyond this are no times of a recording.
const A_WEEK_NS: i64 = 7 * 86_400_000_000_000;

/// When a track's samples are shown, before any edit.
pub struct Shown {
    /// Times of the first `most` samples in decode order, in ns.
    pub times_ns: Vec<i64>,
    /// Latest end, in ns.
    pub end_ns: i64,
    /// How many there are.
    pub samples: u64,
    /// Time of the last keyframe, in ns.
    pub keyframe_ns: Option<i64>,
    /// Longest time between two keyframes, in ns.
    pub keyframes_apart_ns: i64,
}

/// Reads that from the sample tables; `None` where they do not say it (a recording in pieces, times that are shifted
/// once more), where they are not plausible, or where samples lie beyond the file's end.
pub fn shown(
    index: &Index,
    movie: &boxes::Movie,
    track: &boxes::Track,
    file: u64,
    most: usize,
) -> Option<Shown> {
    if find(&index.bytes, b"mvex").is_some() {
        return None;
    }
    let place = movie.tracks.iter().take_while(|t| t.id != track.id).filter(|t| t.handler == track.handler);
    let part = Part::of(index, movie, &track.handler, place.count() as u32)?;
    if !part.own || part.timescale == 0 || find(part.stbl, b"cslg").is_some() {
        return None;
    }
    let tables = Tables::read(part.stbl).ok()?;
    let ns = |ticks: i64| {
        let ns = i64::try_from(i128::from(ticks) * 1_000_000_000 / i128::from(part.timescale)).ok()?;
        (-A_WEEK_NS..=A_WEEK_NS).contains(&ns).then_some(ns)
    };
    let mut shown =
        Shown { times_ns: Vec::new(), end_ns: 0, samples: 0, keyframe_ns: None, keyframes_apart_ns: 0 };
    for sample in tables.samples() {
        if sample.offset.checked_add(u64::from(sample.size))? > file {
            return None;
        }
        shown.samples += 1;
        if shown.samples > MOST_SHOWN {
            return None;
        }
        if sample.sync {
            let at = ns(sample.pts)?;
            let before = shown.keyframe_ns.replace(at).unwrap_or(at);
            shown.keyframes_apart_ns = shown.keyframes_apart_ns.max(at.saturating_sub(before));
        }
        shown.end_ns = shown.end_ns.max(ns(sample.pts.checked_add(i64::from(sample.duration))?)?);
        if shown.times_ns.len() < most {
            shown.times_ns.push(ns(sample.pts)?);
        }
    }
    (shown.samples > 0).then_some(shown)
}

/// A track that can be given out.
struct Fit<'a> {
    tables: Tables<'a>,
    plan: Plan,
    track: Track,
}

fn picture<'a>(part: &Part<'a>, request: &PackageRequest, source: &dyn ReadAt) -> Result<Fit<'a>, Stop> {
    let edited =
        || declined("edited", "The recording was cut together in the camera, which players do not follow.");
    if part.edited {
        return Err(edited().into());
    }
    if request.media.video_gap.is_some() {
        return Err(
            declined("long_frame", "A frame of the recording claims far more time than it has.").into()
        );
    }
    let (kind, content) = entry::only(part.stbl)?;
    let told = entry::picture(kind, content)?;
    let shown = request.media.video.as_ref().map_or((0, 0), |video| (video.width, video.height));
    let (media, length_bytes) = fit::picture(&told, shown)?;
    let tables = Tables::read(part.stbl)?;
    if !tables.one_description() || !part.own {
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
    let reading = look::Reading { source, coding: told.coding, length_bytes, config: &told.config };
    reading.check(&keys)?;
    let track = Track { timescale: plan.timescale, language: None, media };
    Ok(Fit { tables, plan, track })
}

fn sound(
    index: &Index,
    movie: &boxes::Movie,
    audio: &AudioTrack,
    media: &MediaInfo,
    picture: &Plan,
    source_bytes: u64,
    ctx: &StepContext,
) -> Result<Option<(Written, AudioReport)>, Stop> {
    let Some(fit) = fit_sound(index, movie, audio, media, picture) else { return Ok(None) };
    let written = match write::index("index/audio", &fit.track, &fit.plan, &fit.tables, source_bytes, ctx) {
        Ok(written) => written,
        // The picture is played with the normalised sound alone.
        Err(Stop::Declined(_)) => return Ok(None),
        Err(stop) => return Err(stop),
    };
    let Media::Aac { channels, .. } = fit.track.media else { return Ok(None) };
    let report = AudioReport {
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
    movie: &boxes::Movie,
    audio: &AudioTrack,
    media: &MediaInfo,
    picture: &Plan,
) -> Option<Fit<'a>> {
    let picture_ms = media.video.as_ref().map_or(0, |track| track.end_ms);
    if held_until(audio.end_ms, picture_ms) > audio.end_ms {
        return None;
    }
    let part = Part::of(index, movie, b"soun", audio.stream_index).filter(|part| !part.edited && part.own)?;
    let (kind, content) = entry::only(part.stbl).ok()?;
    let told = entry::sound(kind, content)?;
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

fn video_report(video: &VideoTrack, picture: &Fit<'_>, written: &Written) -> RenditionReport {
    let (width, height) = match picture.track.media {
        Media::CameraAvc { width, height, .. } | Media::CameraHevc { width, height, .. } => (width, height),
        _ => (0, 0),
    };
    RenditionReport {
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
