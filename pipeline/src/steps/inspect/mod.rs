//! What a file is, or why it is refused: our own look at its bytes, its packets without decoding, then its first
//! pictures and sounds decoded.

mod activity;
#[cfg(test)]
mod choice_tests;
mod choose;
mod headers;
mod index_check;
mod joined;
mod outlier;
mod probe;
pub(crate) mod rate;
mod samples;
mod scan;
mod scanned;
mod sizes;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::container::ending::{self, Ending};
use crate::container::{
    appended, fragment_tail, integrity, matroska_orientation, motion_photo, scrambling, sniff,
};
use crate::context::StepContext;
use crate::cpu_clock::ContentionClock;
use crate::error::{Error, ErrorKind, Result};
use crate::gst::{TrackCodecs, encrypted, even_size, has_regular_frames, is_bare_video};
use crate::media::{
    ASSUMED_RATE, AudioTrack, Gap, INSIDE_PHOTO, MediaInfo, Rational, VideoTrack, Warning, is_short,
    last_frame_ns,
};
use crate::mp4::movie::Movie;
use crate::mp4::movie_index::MovieIndex;
use crate::mp4::sample_times;
use crate::source::{ByteRange, Source};
use scan::{Look, Scan};
use scanned::{MOST_TIMES, Scanned};
use unread::Kind;

/// What the step is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InspectRequest {
    /// Limits the file is held to.
    pub limits: crate::limits::Limits,
    /// The voice activity model file, which helps to choose among several audio tracks.
    #[serde(default)]
    pub vad_model_path: Option<std::path::PathBuf>,
}

/// Frame rate of a bare video stream that does not say its own: most such streams are of surveillance cameras.
const ASSUMED_BARE_RATE: Rational = Rational::new(25, 1);

/// Longest last packet of sound, in ns, and longest where nothing says how long it lasts.
const LONGEST_PACKET_NS: i64 = 1_000_000_000;
/// See `LONGEST_PACKET_NS`.
const LONGEST_UNKNOWN_PACKET_NS: i64 = 200_000_000;

/// After this, no more time is given to tracks that do not decode: a refusal comes within ten seconds, on a machine that
/// is not busy with other work.
const LONGEST_LOOK: Duration = Duration::from_millis(6500);

/// Runs the step.
pub fn run(request: &InspectRequest, source: Source, ctx: &StepContext) -> Result<MediaInfo> {
    let clock = Arc::new(ContentionClock::for_this_process());
    let source = clock.timed_source(source);
    let within = motion_photo::recording(source.as_ref())?;
    if let Some(within) = within {
        return one(request, within.view(source), Some(within), &clock, ctx);
    }
    let container = sniff::sniff(source.as_ref())?;
    let content = appended::find(source.as_ref(), container, &clock)?;
    let recordings = &content.recordings;
    let joined = match recordings.is_empty() {
        false => joined::inspect(recordings, request, &source, &clock, ctx)?,
        true => None,
    };
    let mut all = match joined {
        Some(all) => all,
        None => one(request, source.clone(), None, &clock, ctx)?,
    };
    if content.foreign_bytes > 0 {
        let size_bytes = source.size_bytes();
        let own = ByteRange { begins_at: 0, size_bytes: size_bytes - content.foreign_bytes };
        // Of a recording that was not closed, what follows its declared end may be the rest of it.
        if ending::of(own.view(source).as_ref(), container)? != Ending::Early {
            all.warnings.retain(|warning| *warning != Warning::not_closed());
            all.warnings.push(joined::foreign(content.foreign_bytes, size_bytes));
        }
    }
    Ok(all)
}

/// Inspects one recording, which was found `within` a file.
fn one(
    request: &InspectRequest,
    source: Source,
    within: Option<ByteRange>,
    clock: &ContentionClock,
    ctx: &StepContext,
) -> Result<MediaInfo> {
    let container = sniff::sniff(source.as_ref())?;
    let (mut movie, mut index) = (Movie::default(), None);
    let mut warnings = Vec::new();
    if within.is_some() {
        warnings.push(Warning::new(
            INSIDE_PHOTO,
            "This is a photo; the recording that is kept inside it is used.",
        ));
    }
    let mut readable = source.clone();
    if container == "mp4" {
        let read = MovieIndex::read(source.as_ref())?;
        index_check::check(&read, &request.limits)?;
        movie = Movie::parse(&read);
        let (repaired, differs) = movie.repaired(source.clone());
        readable = repaired;
        if read.is_truncated() {
            warnings.push(Warning::new(
                "cut_off",
                "The file is cut off inside its index; the tracks that are whole are used.",
            ));
        } else if differs {
            warnings.push(Warning::new(
                "odd_length",
                "The file says it is far longer than it is; its tracks were believed.",
            ));
        }
        index = Some(read);
    }
    if scrambling::is_scrambled(source.as_ref(), container)? {
        return Err(encrypted());
    }
    if container == "wav" && !integrity::wav_has_samples(source.as_ref())? {
        return Err(nothing_playable(Some(Error::internal("a WAV has no samples"))));
    }
    let mut scanned =
        scan::scan(readable, container, scan::budget(source.size_bytes()), Look::Sizes, clock, ctx)?;
    let mut tracks = scanned.numbered();
    if has_regular_frames(container) {
        for track in tracks.iter_mut().filter(|track| track.picture) {
            let rate = declared_rate(track).unwrap_or(ASSUMED_BARE_RATE);
            let claimed_ns = track.counted(rate, source.size_bytes(), scanned.whole);
            scanned.claimed_ns = claimed_ns.filter(|_| is_bare_video(container)).or(scanned.claimed_ns);
        }
    }
    for track in &mut tracks {
        by_the_index(track, &movie, index.as_ref(), &source, clock, ctx)?;
    }
    let codecs = match container {
        "mp4" => movie.codecs().collect(),
        _ => TrackCodecs::read(source.as_ref(), container)?,
    };
    for track in &mut tracks {
        let Some(caps) = &track.caps else { continue };
        track.codec_label = codecs.label(caps, track.index as usize);
        track.caps = codecs.corrected_caps(caps, track.index as usize).or(track.caps.take());
    }
    if container == "matroska" {
        let turns = matroska_orientation::turns(source.as_ref())?;
        for track in tracks.iter_mut().filter(|track| track.picture) {
            track.by_container = turns.get(track.index as usize).copied().unwrap_or_default();
        }
    }
    if tracks.len() as u32 > request.limits.max_tracks {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            "too_many_tracks",
            "The file has more tracks than a recording can have.",
        ));
    }
    let (pictures, sounds) = (choose::pictures(&tracks), choose::sounds(&tracks));
    if pictures.is_empty() && sounds.is_empty() && scanned.is_encrypted() {
        return Err(encrypted());
    }
    if pictures.is_empty() && sounds.is_empty() {
        return Err(nothing_playable(scanned.error));
    }
    let mut info = MediaInfo {
        container: container.to_owned(),
        size_bytes: source.size_bytes(),
        within,
        parts: Vec::new(),
        duration_ms: 0,
        origin_ns: 0,
        video_gap: None,
        video: None,
        audio: None,
        warnings,
    };
    let mut failure = None;
    let (mut video, mut audio) = (None, None);
    for &track in &pictures {
        match probe::picture(&source, &info, track, &request.limits, clock, ctx) {
            Ok(probed) => {
                video = Some((track, probed));
                break;
            }
            Err(error) => keep(Kind::Video.refusal(error, track.codec_label.as_deref()), &mut failure)?,
        }
    }
    let longest_ns = sounds.iter().map(|track| track.end_ns).max().unwrap_or(0);
    let claimed_ns = scanned.claimed_ns.filter(|_| !scanned.whole).and_then(|ns| i64::try_from(ns).ok());
    let ranking = choose::by_speech(
        &sounds,
        &if sounds.len() > 1 {
            let inputs = activity::Inputs {
                source: &source,
                info: &info,
                limits: &request.limits,
                total_ns: longest_ns.max(claimed_ns.unwrap_or(0)),
                vad_model: request.vad_model_path.as_deref(),
            };
            activity::measure(&inputs, &sounds, clock, ctx)?
        } else {
            Vec::new()
        },
    );
    for &track in &ranking.tracks {
        match probe::sound(&source, &info, track, &request.limits, clock, ctx) {
            Ok(probed) => {
                audio = Some((track, probed));
                break;
            }
            Err(error) => keep(Kind::Audio.refusal(error, track.codec_label.as_deref()), &mut failure)?,
        }
    }
    if is_bare_video(container) && tracks.iter().all(|track| declared_rate(track).is_none()) {
        info.warnings.push(Warning::new(
            ASSUMED_RATE,
            "This is a bare video stream that does not say its frame rate; 25 frames per second are assumed.",
        ));
    }
    let unread = |kind: Kind, found: &[&Scanned]| match found.first() {
        Some(track) => Some(kind.warning(failure.as_ref(), track.codec_label.as_deref())),
        None => kind.passed_over(&tracks, &movie).map(|label| kind.warning(None, label.as_deref())),
    };
    match (video.is_some(), audio.is_some()) {
        (false, false) => return Err(failure.unwrap_or_else(|| nothing_playable(None))),
        (false, true) => info.warnings.extend(unread(Kind::Video, &pictures)),
        (true, false) => info.warnings.extend(unread(Kind::Audio, &sounds)),
        (true, true) => {}
    }
    let torn = container == "ogg"
        && integrity::ogg_is_damaged(source.as_ref(), scan::budget(source.size_bytes()), ctx)?;
    if scanned.error.is_some() || torn {
        info.warnings.push(Warning::new("damaged", "The file is damaged; what can be read of it is used."));
    }
    let chosen = [video.as_ref().map(|v| v.0), audio.as_ref().map(|a| a.0)];
    let origin_ns = chosen.iter().flatten().filter_map(|t| t.start_ns).min().unwrap_or(0);
    info.origin_ns = origin_ns;
    let times = |track: &Scanned, frame_ns: i64| times_ms(track, frame_ns, origin_ns, &scanned);
    let audio_ns = audio.as_ref().map(|(track, _)| (track.start_ns.unwrap_or(0), track.end_ns));
    info.video = video.map(|(track, probed)| {
        let mut track = track.clone();
        if let Some(gap) = audio_ns.and_then(|audio_ns| track.close_claim(audio_ns, scanned.whole)) {
            let (start_ns, end_ns) = audio_ns.unwrap_or_default();
            let ms = |ns: i64| u64::try_from(ns / 1_000_000).unwrap_or(0).next_multiple_of(100);
            info.warnings.push(Warning::long_frame(ms(gap.length_ns), ms(end_ns.saturating_sub(start_ns))));
            info.video_gap = Some(Gap { after_ns: gap.after_ns.saturating_sub(origin_ns), ..gap });
        }
        let track = &track;
        // Of MPEG-PS few packets have a time, and the stream itself says its rate (ISO/IEC 13818-1, 2.7.4).
        let paced = match probed.rate.filter(|_| container == "mpegps") {
            Some(rate) => rate::Paced { rate, variable: false },
            None => rate::pace(&track.times_ns, declared_rate(track).or(probed.rate)),
        };
        let frame_ns = last_frame_ns(paced.rate, paced.variable) as i64;
        let (start_ms, end_ms) = times(track, frame_ns);
        let sizes = track.sizes_until(end_ms as i64 * 1_000_000 + origin_ns).summary(track.turn());
        // The first frame was decoded; of another size only headers are known.
        let lasting =
            sizes.map(|sizes| sizes.lasting).filter(|lasting| sizes.is_some_and(|s| s.first != *lasting));
        let (width, height) =
            lasting.map_or((probed.width, probed.height), |size| even_size(size.displayed()));
        let turn = lasting.map_or(probed.turn, |size| size.turn);
        VideoTrack {
            codec: probed.codec,
            stream_index: track.index,
            width,
            height,
            frame_rate: paced.rate,
            variable_rate: paced.variable,
            rotation_degrees: turn.degrees,
            mirrored: turn.mirrored,
            oriented_by_frame: track.turn().is_none()
                && (!turn.is_none() || sizes.is_some_and(|sizes| sizes.turns)),
            changes_size: sizes.is_some_and(|sizes| sizes.changes),
            interlaced: probed.interlaced,
            hdr: probed.hdr,
            keyframes_apart_ms: u64::try_from(track.longest_from_keyframe_ns() / 1_000_000).unwrap_or(0),
            chosen: choose::why_picture(track, &tracks, pictures.first().copied()),
            start_ms,
            end_ms,
        }
    });
    info.audio = audio.map(|(track, probed)| {
        let paced_ns = (1e9 / rate::pace(&track.times_ns, None).rate.as_f64()) as i64;
        // A packet of a transport stream has as many frames as fit in it, the last one those that are left.
        let left_ns = (container == "mpegts").then(|| track.last_packet_ns()).flatten();
        let packet_ns = left_ns.unwrap_or(paced_ns.min(LONGEST_UNKNOWN_PACKET_NS));
        let (start_ms, end_ms) = times(track, packet_ns.min(LONGEST_PACKET_NS));
        AudioTrack {
            codec: probed.codec,
            stream_index: track.index,
            channels: probed.channels,
            sample_rate_hz: probed.sample_rate_hz,
            language: track.language.clone(),
            chosen: choose::why_audio(track, &tracks, &ranking),
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
    let ending = ending::of(source.as_ref(), container)?;
    match expected_ms(&movie, &scanned, &info, ending) {
        Some(expected_ms) if is_short(info.duration_ms, expected_ms) => {
            info.warnings.push(Warning::cut_short("recording", info.duration_ms, expected_ms));
        }
        _ if ending == Ending::Early => info.warnings.push(Warning::not_closed()),
        _ => {}
    }
    Ok(info)
}

/// What an MP4's own index says of a track better than the demuxer: which of its kind it is, how to turn it, and, from its
/// sample tables or a scan of the track alone, its times.
fn by_the_index(
    track: &mut Scanned,
    movie: &Movie,
    index: Option<&MovieIndex>,
    source: &Source,
    clock: &ContentionClock,
    ctx: &StepContext,
) -> Result<()> {
    let listed = &movie.tracks;
    let Some(own) = listed.iter().find(|t| Some(t.id) == track.number) else { return Ok(()) };
    let before = listed.iter().take_while(|t| t.id != own.id);
    track.index = before.filter(|t| t.handler == own.handler).count() as u32;
    let flip = if own.mirrored { "flip-" } else { "" };
    track.orientation = Some(format!("{flip}rotate-{}", own.rotation_degrees));
    // A large file is not read to its end, but its sample tables say where that is.
    let size = source.size_bytes();
    let table = index.filter(|_| size > crate::limits::MAX_FULL_SCAN_BYTES);
    let alone = match table.and_then(|index| sample_times::sample_times(index, movie, own, size, MOST_TIMES))
    {
        Some(shown) => Scan::of_table(track.number, shown),
        None => {
            let of_track = |file: Source, budget| {
                scan::scan_media(movie.isolate_track(file, own.id), budget, clock, ctx)
            };
            let mut alone = of_track(source.clone(), scan::budget(size))?;
            if !alone.whole
                && let Some(ends) = fragment_tail::of(source)?
            {
                alone.end_as(&of_track(ends, u64::MAX)?);
            }
            alone
        }
    };
    if let Some(seen) = alone.track(track.number) {
        track.retimed(seen, alone.whole, own.edits.as_ref());
    }
    Ok(())
}

/// How long the recording should be by what the file says of itself, in ms. Only a file that was read whole is held
/// to it, and only to what a recording can be: of others the steps that decode it say where it ends. What is not damaged
/// and has its end is as long as its packets are.
fn expected_ms(movie: &Movie, scanned: &Scan, info: &MediaInfo, ending: Ending) -> Option<u64> {
    if !scanned.whole && scanned.error.is_none() {
        return None;
    }
    let told_ns = |handler: &[u8; 4], index: Option<u32>| movie.nth_track(handler, index?)?.presented_ns();
    let tracks = [
        told_ns(b"vide", info.video.as_ref().map(|v| v.stream_index)),
        told_ns(b"soun", info.audio.as_ref().map(|a| a.stream_index)),
    ];
    // The tracks of an MP4 say it themselves; elsewhere it is what the demuxer reads or works out.
    let told = match info.container.as_str() {
        "mp4" => {
            let video_gap_ns = info.video_gap.map_or(0, |gap| gap.length_ns.unsigned_abs());
            let [video, audio] = tracks;
            // The common timeline begins with what is presented first.
            let last = video.map(|ns| ns.saturating_sub(video_gap_ns)).max(audio);
            last.map(|ns| ns.saturating_sub(u64::try_from(info.origin_ns).unwrap_or(0)))
        }
        "matroska" | "avi" | "flv" | "asf" | "wav" | "flac" => {
            scanned.claimed_ns.filter(|_| ending != Ending::Complete || scanned.error.is_some())
        }
        _ => None,
    };
    told.map(|ns| ns / 1_000_000).filter(|&ms| ms < A_WEEK_MS)
}

/// Lengths above this are not lengths of recordings.
const A_WEEK_MS: u64 = 7 * 86_400_000;

/// A track that cannot be read costs the file only where there is no other, or a limit is broken.
fn keep(error: Error, failure: &mut Option<Error>) -> Result<()> {
    let hard = matches!(error.kind, ErrorKind::LimitExceeded | ErrorKind::Cancelled | ErrorKind::Dependency)
        || error.kind == ErrorKind::Internal;
    if hard {
        return Err(error);
    }
    failure.get_or_insert(error);
    Ok(())
}

fn nothing_playable(error: Option<Error>) -> Error {
    match error {
        Some(error) if error.kind != ErrorKind::Internal => error,
        Some(error) => Error::input("decode_failed", "The file is damaged, so it can't be played.")
            .with_source(error.to_string()),
        None => Error::input("no_playable_track", "There is nothing in the file that can be played."),
    }
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
    let ms = |ns: i64| (ns.saturating_sub(origin_ns).max(0) as u64 + 500_000) / 1_000_000;
    let start = track.start_ns.unwrap_or(origin_ns);
    let last = track.times_ns.iter().copied().max().unwrap_or(start);
    let mut end = track.end_ns;
    if end <= last {
        end = last.saturating_add(frame_ns);
    }
    if !scan.whole && scan.error.is_none() && !track.ended {
        // Only the front was read: the end is what the index says.
        let claimed = |ns: u64| (ns.min(i64::MAX as u64 / 2) as i64).saturating_add(origin_ns.max(0));
        end = end.max(scan.claimed_ns.map_or(end, claimed));
    }
    (ms(start), ms(end).max(ms(start)))
}

#[cfg(test)]
mod codec_tests;

#[cfg(test)]
mod container_tests;

#[cfg(test)]
mod slow_tests;

#[cfg(test)]
mod timing_tests;
