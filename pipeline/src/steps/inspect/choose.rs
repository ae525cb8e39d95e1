//! Which video and which audio track of several, and why. Pure but for reading caps.

use super::activity::Activity;
use super::scanned::Scanned;
use crate::media::TrackChoice;

/// The pictures in the order they are tried: the largest that moves first, of equals the one that comes first in the
/// file. A cover or thumbnail is none.
pub fn pictures(tracks: &[Scanned]) -> Vec<&Scanned> {
    let mut found: Vec<_> =
        tracks.iter().filter(|t| t.picture && t.start_ns.is_some() && !is_still(t)).collect();
    found.sort_by_key(|track| std::cmp::Reverse(area(track)));
    found
}

/// The audio tracks as they come in the file. Phones put the one that every player reads first,
/// and one for headsets behind it.
pub fn sounds(tracks: &[Scanned]) -> Vec<&Scanned> {
    tracks.iter().filter(|t| !t.picture && t.start_ns.is_some()).collect()
}

/// Level under which a track is silent, in dBFS: a muted microphone may still have noise of its own.
pub const SILENCE_DBFS: f32 = -70.0;
/// Speech that counts, in ms: less may be a mistake.
const MIN_SPEECH_MS: u64 = 500;
/// Speech this far below the loudest still counts in full, in dB: mixing 5.1 down takes 8 dB.
const NEAR_DB: f32 = 12.0;
/// Below that, each such step halves what it counts, in dB: a loudspeaker that a far microphone
/// picks up is no rival.
const HALVED_EACH_DB: f32 = 12.0;
/// Tracks with this share of the best one's speech are as good as it.
const EQUAL_SHARE: f32 = 0.75;

/// Audio tracks in the order they are tried, and why the first one is the first.
#[derive(Debug)]
pub struct Ranking<'a> {
    /// The tracks.
    pub tracks: Vec<&'a Scanned>,
    reason: Reason,
}

/// A stable code and a sentence.
type Reason = (&'static str, &'static str);

const FIRST_IN_FILE: Reason = ("first_in_file", "It comes first in the file.");
const ONLY_SPEECH: Reason = ("only_speech", "It is the only one with speech.");
const MOST_SPEECH: Reason = ("most_speech", "It has the most speech.");
const FIRST_SPEECH: Reason = ("first_with_speech", "It is the first of those with the most speech.");
const ONLY_AUDIBLE: Reason = ("only_audible", "The others are silent.");
const FIRST_AUDIBLE: Reason = ("first_audible", "It is the first that is not silent.");
const OTHERS_UNREADABLE: Reason = ("others_unreadable", "Those before it can't be read here.");

/// Orders tracks by their speech, then by whether there is anything in them, then as they come in
/// the file. Silent tracks come last.
pub fn by_speech<'a>(tracks: &[&'a Scanned], activity: &[Option<Activity>]) -> Ranking<'a> {
    let of = |index: usize| activity.get(index).copied().flatten();
    let spoken = |index: usize| of(index).filter(|found| found.speech_ms >= MIN_SPEECH_MS);
    let audible = |index: usize| of(index).is_some_and(|found| found.level_dbfs >= SILENCE_DBFS);
    let all = 0..tracks.len();
    let loudest = all.clone().filter_map(spoken).map(|found| found.speech_dbfs).fold(f32::MIN, f32::max);
    let score = |index: usize| {
        spoken(index).map_or(0.0, |found| {
            let below_db = (loudest - found.speech_dbfs - NEAR_DB).max(0.0);
            found.speech_ms as f32 * 0.5_f32.powf(below_db / HALVED_EACH_DB)
        })
    };
    let best = all.clone().map(score).fold(0.0, f32::max);
    let equal = |index: usize| best > 0.0 && score(index) >= best * EQUAL_SHARE;
    let class = |index: usize| match of(index) {
        _ if equal(index) => 0,
        _ if score(index) > 0.0 => 1,
        _ if audible(index) => 2,
        // Perhaps there was no time for it.
        None => 3,
        Some(_) => 4,
    };
    let mut order: Vec<usize> = all.clone().collect();
    order.sort_by(|&a, &b| class(a).cmp(&class(b)).then(score(b).total_cmp(&score(a)).then(a.cmp(&b))));
    // Equal tracks stay as they come in the file.
    let ties = order.iter().filter(|&&index| class(index) == 0).count();
    order[..ties].sort_unstable();
    let count = |wanted: &dyn Fn(usize) -> bool| all.clone().filter(|&index| wanted(index)).count();
    let unread = count(&|index| of(index).is_none());
    let reason = match order.first() {
        Some(&first) if unread > 0 && first > 0 && (0..first).all(|index| of(index).is_none()) => {
            OTHERS_UNREADABLE
        }
        Some(&first) if best > 0.0 => match (ties, count(&|index| score(index) > 0.0)) {
            (1, 1) if unread == 0 => ONLY_SPEECH,
            (1, _) => MOST_SPEECH,
            _ if first == 0 => FIRST_IN_FILE,
            _ => FIRST_SPEECH,
        },
        Some(&first) if audible(first) => match count(&audible) {
            1 if unread == 0 => ONLY_AUDIBLE,
            _ if first == 0 => FIRST_IN_FILE,
            _ => FIRST_AUDIBLE,
        },
        _ => FIRST_IN_FILE,
    };
    Ranking { tracks: order.into_iter().map(|index| tracks[index]).collect(), reason }
}

/// Why this picture, where the file has several.
pub fn why_picture(track: &Scanned, all: &[Scanned], first: Option<&Scanned>) -> Option<TrackChoice> {
    let rivals: Vec<_> = all.iter().filter(|t| t.picture && t.index != track.index).collect();
    let why = if first.is_some_and(|first| first.index != track.index) {
        ("larger_unreadable", "A larger picture can't be read here.")
    } else if rivals.iter().all(|t| is_still(t)) {
        ("others_still", "The others are still pictures.")
    } else if rivals.iter().any(|t| !is_still(t) && area(t) == area(track)) {
        ("first_largest", "It is the first of the largest.")
    } else {
        ("largest", "It is the largest.")
    };
    choice(rivals.len(), why)
}

/// Why this audio track, if the file has several.
pub fn why_audio(track: &Scanned, all: &[Scanned], ranking: &Ranking<'_>) -> Option<TrackChoice> {
    let rivals = all.iter().filter(|t| !t.picture && t.index != track.index).count();
    let first = ranking.tracks.first().is_none_or(|first| first.index == track.index);
    choice(rivals, if first { ranking.reason } else { OTHERS_UNREADABLE })
}

fn choice(rivals: usize, (code, why): Reason) -> Option<TrackChoice> {
    (rivals > 0).then(|| TrackChoice {
        tracks: rivals as u32 + 1,
        code: code.to_owned(),
        reason: why.to_owned(),
    })
}

fn area(track: &Scanned) -> i64 {
    let size = track.caps.as_ref().and_then(|caps| {
        let s = caps.structure(0)?;
        Some(i64::from(s.get::<i32>("width").ok()?) * i64::from(s.get::<i32>("height").ok()?))
    });
    size.unwrap_or(0)
}

/// A cover or thumbnail: a frame or two in the format of a still image.
pub fn is_still(track: &Scanned) -> bool {
    let is_image = track
        .caps
        .as_ref()
        .and_then(|c| c.structure(0))
        .is_some_and(|s| s.name().starts_with("image/") && s.name() != "image/gst-libav-gif");
    is_image && track.packets < 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(index: u32, width: i32, height: i32, name: &str, packets: u64) -> Scanned {
        let caps = gstreamer::Caps::builder(name).field("width", width).field("height", height).build();
        Scanned { caps: Some(caps), index, picture: true, packets, start_ns: Some(0), ..Scanned::default() }
    }

    #[test]
    fn the_largest_moving_picture_is_tried_first_and_says_why() {
        assert!(gstreamer::init().is_ok());
        let all = [
            picture(0, 320, 180, "video/x-h264", 300),
            picture(1, 4000, 3000, "image/jpeg", 1),
            picture(2, 480, 270, "video/x-h264", 300),
        ];
        let order = pictures(&all);
        assert_eq!(order.iter().map(|t| t.index).collect::<Vec<_>>(), [2, 0]);
        let why = |track: &Scanned| why_picture(track, &all, order.first().copied());
        assert_eq!(
            why(order[0]),
            Some(TrackChoice { tracks: 3, code: "largest".into(), reason: "It is the largest.".into() })
        );
        assert_eq!(why(order[1]).map(|c| c.reason).as_deref(), Some("A larger picture can't be read here."));
        assert_eq!(why_picture(&all[0], &all[..1], Some(&all[0])), None, "there was no choice");
        let cover = [all[0].clone(), all[1].clone()];
        let why = why_picture(&cover[0], &cover, Some(&cover[0]));
        assert_eq!(why.map(|c| c.reason).as_deref(), Some("The others are still pictures."));
    }

    fn tracks(count: u32) -> Vec<Scanned> {
        (0..count).map(|index| Scanned { index, start_ns: Some(0), ..Scanned::default() }).collect()
    }

    fn speech(speech_ms: u64, speech_dbfs: f32) -> Option<Activity> {
        Some(Activity { level_dbfs: speech_dbfs, speech_ms, speech_dbfs })
    }

    fn sound(level_dbfs: f32) -> Option<Activity> {
        Some(Activity { level_dbfs, speech_ms: 0, speech_dbfs: -120.0 })
    }

    /// The tracks in order, and the code of the reason.
    fn ranked(activity: &[Option<Activity>]) -> (Vec<u32>, &'static str) {
        let all = tracks(activity.len() as u32);
        let ranking = by_speech(&sounds(&all), activity);
        (ranking.tracks.iter().map(|track| track.index).collect(), ranking.reason.0)
    }

    #[test]
    fn the_track_with_speech_goes_before_others() {
        let silent = sound(-120.0);
        assert_eq!(ranked(&[silent, speech(9000, -25.0)]), (vec![1, 0], "only_speech"));
        assert_eq!(ranked(&[sound(-20.0), speech(9000, -40.0), silent]), (vec![1, 0, 2], "only_speech"));
        // Muted half-way; a microphone that is far from the speaker; a loudspeaker across the room.
        assert_eq!(ranked(&[speech(9000, -25.0), speech(18_000, -25.0)]), (vec![1, 0], "most_speech"));
        assert_eq!(ranked(&[speech(15_000, -60.0), speech(15_000, -22.0)]), (vec![1, 0], "most_speech"));
        // A loud game with a few words, and a quiet commentary.
        assert_eq!(ranked(&[speech(3000, -15.0), speech(16_000, -40.0)]), (vec![1, 0], "most_speech"));
        assert_eq!(ranked(&[sound(-20.0), speech(300, -20.0)]).1, "first_in_file", "too little to count");
    }

    #[test]
    fn among_equals_the_first_is_taken() {
        assert_eq!(ranked(&[speech(9000, -25.0), speech(9900, -22.0)]), (vec![0, 1], "first_in_file"));
        let three = ranked(&[sound(-90.0), speech(9000, -25.0), speech(9900, -29.0)]);
        assert_eq!(three, (vec![1, 2, 0], "first_with_speech"));
        assert_eq!(ranked(&[sound(-20.0), sound(-30.0)]), (vec![0, 1], "first_in_file"));
        assert_eq!(ranked(&[sound(-120.0), sound(-120.0)]), (vec![0, 1], "first_in_file"));
        assert_eq!(ranked(&[sound(-120.0), sound(-40.0)]), (vec![1, 0], "only_audible"));
        assert_eq!(ranked(&[sound(-120.0), sound(-40.0), sound(-20.0)]), (vec![1, 2, 0], "first_audible"));
    }

    #[test]
    fn a_track_that_cannot_be_decoded_comes_last() {
        assert_eq!(ranked(&[None, speech(9000, -25.0)]), (vec![1, 0], "others_unreadable"));
        assert_eq!(ranked(&[speech(9000, -25.0), None]), (vec![0, 1], "most_speech"));
        assert_eq!(ranked(&[sound(-25.0), None]), (vec![0, 1], "first_in_file"));
        assert_eq!(ranked(&[None, None]), (vec![0, 1], "first_in_file"));
        let all = tracks(2);
        let ranking = by_speech(&sounds(&all), &[speech(9000, -25.0), None]);
        let why = why_audio(&all[1], &all, &ranking).map(|choice| choice.code);
        assert_eq!(why.as_deref(), Some("others_unreadable"));
        assert_eq!(why_audio(&all[0], &all[..1], &ranking), None, "there was no choice");
    }
}
