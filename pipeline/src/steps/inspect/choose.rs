//! Fourth stage: which video and audio tracks could be used, in which order, and why. Pure but for
//! reading caps.

use super::activity::{SILENCE_DBFS, TrackActivity};
use super::scanned_track::ScannedTrack;
use crate::media::TrackChoice;

/// Shortest speech that counts, in ms: less may be a mistake.
const MIN_SPEECH_MS: u64 = 500;
/// Speech this far below the loudest still counts in full, in dB: mixing 5.1 down takes 8 dB.
const NEAR_DB: f32 = 12.0;
/// Below that, each such step halves what it counts, in dB: a loudspeaker that a far microphone
/// picks up is no rival.
const HALVED_EACH_DB: f32 = 12.0;
/// Tracks with this share of the best one's speech are as good as it.
const EQUAL_SHARE: f32 = 0.75;

/// The tracks that could be used.
pub struct Candidates<'a> {
    /// Video, largest first, of equals the one that comes first in the file. Covers and thumbnails
    /// are left out.
    pub videos: Vec<&'a ScannedTrack>,
    /// Audio in the order of the file. Phones put a track for headsets after the one that every
    /// player reads.
    pub audios: Vec<&'a ScannedTrack>,
}

impl<'a> Candidates<'a> {
    /// The candidates among these tracks.
    pub fn new(tracks: &'a [ScannedTrack]) -> Self {
        let timed = || tracks.iter().filter(|track| track.start_ns.is_some());
        let mut videos: Vec<_> = timed().filter(|track| track.is_video && !track.is_still()).collect();
        videos.sort_by_key(|track| std::cmp::Reverse(track.pixels()));
        Self { videos, audios: timed().filter(|track| !track.is_video).collect() }
    }

    /// Whether nothing can be used.
    pub fn is_empty(&self) -> bool {
        self.videos.is_empty() && self.audios.is_empty()
    }
}

/// Audio tracks in the order they are tried, and why the first one is the first.
#[derive(Debug)]
pub struct Ranking<'a> {
    /// The tracks.
    pub tracks: Vec<&'a ScannedTrack>,
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

/// Orders tracks by their speech, then audible before silent, then as in the file. `activity` has
/// `None` for a track that was not measured.
pub fn rank_by_speech<'a>(tracks: &[&'a ScannedTrack], activity: &[Option<TrackActivity>]) -> Ranking<'a> {
    let scores = Scores::new(tracks.len(), activity);
    let mut order: Vec<usize> = (0..tracks.len()).collect();
    order.sort_by(|&a, &b| {
        let by_class = scores.class(a).cmp(&scores.class(b));
        by_class.then(scores.score(b).total_cmp(&scores.score(a))).then(a.cmp(&b))
    });
    // Tracks of equal speech stay in the order of the file.
    let ties = order.iter().filter(|&&index| scores.class(index) == SpeechClass::MostSpeech).count();
    order[..ties].sort_unstable();
    let reason = order.first().map_or(FIRST_IN_FILE, |&first| scores.reason(first, ties));
    Ranking { tracks: order.into_iter().map(|index| tracks[index]).collect(), reason }
}

/// How good an audio track is, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SpeechClass {
    MostSpeech,
    SomeSpeech,
    Audible,
    /// Perhaps there was no time for it.
    NotMeasured,
    Silent,
}

/// The speech of all tracks, compared.
struct Scores<'a> {
    count: usize,
    activity: &'a [Option<TrackActivity>],
    loudest_dbfs: f32,
    best: f32,
}

impl<'a> Scores<'a> {
    fn new(count: usize, activity: &'a [Option<TrackActivity>]) -> Self {
        let mut scores = Self { count, activity, loudest_dbfs: f32::MIN, best: 0.0 };
        let levels = (0..count).filter_map(|index| scores.speech(index)).map(|found| found.speech_dbfs);
        scores.loudest_dbfs = levels.fold(f32::MIN, f32::max);
        scores.best = (0..count).map(|index| scores.score(index)).fold(0.0, f32::max);
        scores
    }

    fn activity(&self, index: usize) -> Option<TrackActivity> {
        self.activity.get(index).copied().flatten()
    }

    /// The activity of a track with enough speech.
    fn speech(&self, index: usize) -> Option<TrackActivity> {
        self.activity(index).filter(|found| found.speech_ms >= MIN_SPEECH_MS)
    }

    fn is_audible(&self, index: usize) -> bool {
        self.activity(index).is_some_and(|found| found.level_dbfs >= SILENCE_DBFS)
    }

    fn is_not_measured(&self, index: usize) -> bool {
        self.activity(index).is_none()
    }

    /// Length of a track's speech in ms, less for speech far below the loudest.
    fn score(&self, index: usize) -> f32 {
        self.speech(index).map_or(0.0, |found| {
            let below_db = (self.loudest_dbfs - found.speech_dbfs - NEAR_DB).max(0.0);
            found.speech_ms as f32 * 0.5_f32.powf(below_db / HALVED_EACH_DB)
        })
    }

    fn class(&self, index: usize) -> SpeechClass {
        let score = self.score(index);
        if self.best > 0.0 && score >= self.best * EQUAL_SHARE {
            SpeechClass::MostSpeech
        } else if score > 0.0 {
            SpeechClass::SomeSpeech
        } else if self.is_audible(index) {
            SpeechClass::Audible
        } else if self.is_not_measured(index) {
            SpeechClass::NotMeasured
        } else {
            SpeechClass::Silent
        }
    }

    fn count(&self, is_counted: impl Fn(usize) -> bool) -> usize {
        (0..self.count).filter(|&index| is_counted(index)).count()
    }

    /// Why a track is the first of `ties` that are as good.
    fn reason(&self, first: usize, ties: usize) -> Reason {
        let not_measured = self.count(|index| self.is_not_measured(index));
        if first > 0 && (0..first).all(|index| self.is_not_measured(index)) {
            return OTHERS_UNREADABLE;
        }
        if self.best > 0.0 {
            let with_speech = self.count(|index| self.score(index) > 0.0);
            return match (ties, with_speech) {
                (1, 1) if not_measured == 0 => ONLY_SPEECH,
                (1, _) => MOST_SPEECH,
                _ if first == 0 => FIRST_IN_FILE,
                _ => FIRST_SPEECH,
            };
        }
        if self.is_audible(first) {
            return match self.count(|index| self.is_audible(index)) {
                1 if not_measured == 0 => ONLY_AUDIBLE,
                _ if first == 0 => FIRST_IN_FILE,
                _ => FIRST_AUDIBLE,
            };
        }
        FIRST_IN_FILE
    }
}

/// Why this video track; `None` if it is the only one.
pub fn video_choice(
    track: &ScannedTrack,
    all: &[ScannedTrack],
    candidates: &Candidates<'_>,
) -> Option<TrackChoice> {
    let rivals: Vec<_> = all.iter().filter(|t| t.is_video && t.index != track.index).collect();
    let reason = if candidates.videos.first().is_some_and(|first| first.index != track.index) {
        ("larger_unreadable", "A larger picture can't be read here.")
    } else if rivals.iter().all(|t| t.is_still()) {
        ("others_still", "The others are still pictures.")
    } else if rivals.iter().any(|t| !t.is_still() && t.pixels() == track.pixels()) {
        ("first_largest", "It is the first of the largest.")
    } else {
        ("largest", "It is the largest.")
    };
    choice(rivals.len(), reason)
}

/// Why this audio track; `None` if it is the only one.
pub fn audio_choice(
    track: &ScannedTrack,
    all: &[ScannedTrack],
    ranking: &Ranking<'_>,
) -> Option<TrackChoice> {
    let rivals = all.iter().filter(|t| !t.is_video && t.index != track.index).count();
    let is_first = ranking.tracks.first().is_none_or(|first| first.index == track.index);
    choice(rivals, if is_first { ranking.reason } else { OTHERS_UNREADABLE })
}

fn choice(rivals: usize, (code, reason): Reason) -> Option<TrackChoice> {
    (rivals > 0).then(|| TrackChoice {
        tracks: rivals as u32 + 1,
        code: code.to_owned(),
        reason: reason.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(index: u32, width: i32, height: i32, name: &str, packets: u64) -> ScannedTrack {
        let caps = gstreamer::Caps::builder(name).field("width", width).field("height", height).build();
        ScannedTrack {
            caps: Some(caps),
            index,
            is_video: true,
            packets,
            start_ns: Some(0),
            ..ScannedTrack::default()
        }
    }

    #[test]
    fn the_largest_moving_video_is_tried_first_and_says_why() {
        assert!(gstreamer::init().is_ok());
        let all = [
            video(0, 320, 180, "video/x-h264", 300),
            video(1, 4000, 3000, "image/jpeg", 1),
            video(2, 480, 270, "video/x-h264", 300),
        ];
        let candidates = Candidates::new(&all);
        let order = &candidates.videos;
        assert_eq!(order.iter().map(|t| t.index).collect::<Vec<_>>(), [2, 0]);
        let why = |track: &ScannedTrack| video_choice(track, &all, &candidates);
        assert_eq!(
            why(order[0]),
            Some(TrackChoice { tracks: 3, code: "largest".into(), reason: "It is the largest.".into() })
        );
        assert_eq!(why(order[1]).map(|c| c.reason).as_deref(), Some("A larger picture can't be read here."));
        let single = Candidates::new(&all[..1]);
        assert_eq!(video_choice(&all[0], &all[..1], &single), None, "there was no choice");
        let cover = [all[0].clone(), all[1].clone()];
        let why = video_choice(&cover[0], &cover, &Candidates::new(&cover));
        assert_eq!(why.map(|c| c.reason).as_deref(), Some("The others are still pictures."));
    }

    fn tracks(count: u32) -> Vec<ScannedTrack> {
        (0..count).map(|index| ScannedTrack { index, start_ns: Some(0), ..ScannedTrack::default() }).collect()
    }

    fn speech(speech_ms: u64, speech_dbfs: f32) -> Option<TrackActivity> {
        Some(TrackActivity { level_dbfs: speech_dbfs, speech_ms, speech_dbfs })
    }

    fn no_speech(level_dbfs: f32) -> Option<TrackActivity> {
        Some(TrackActivity { level_dbfs, speech_ms: 0, speech_dbfs: -120.0 })
    }

    /// The tracks in order, and the code of the reason.
    fn ranked(activity: &[Option<TrackActivity>]) -> (Vec<u32>, &'static str) {
        let all = tracks(activity.len() as u32);
        let ranking = rank_by_speech(&Candidates::new(&all).audios, activity);
        (ranking.tracks.iter().map(|track| track.index).collect(), ranking.reason.0)
    }

    #[test]
    fn the_track_with_speech_goes_before_others() {
        let silent = no_speech(-120.0);
        assert_eq!(ranked(&[silent, speech(9000, -25.0)]), (vec![1, 0], "only_speech"));
        assert_eq!(ranked(&[no_speech(-20.0), speech(9000, -40.0), silent]), (vec![1, 0, 2], "only_speech"));
        // Muted half-way; a microphone that is far from the speaker; a loudspeaker across the room.
        assert_eq!(ranked(&[speech(9000, -25.0), speech(18_000, -25.0)]), (vec![1, 0], "most_speech"));
        assert_eq!(ranked(&[speech(15_000, -60.0), speech(15_000, -22.0)]), (vec![1, 0], "most_speech"));
        // A loud game with a few words, and a quiet commentary.
        assert_eq!(ranked(&[speech(3000, -15.0), speech(16_000, -40.0)]), (vec![1, 0], "most_speech"));
        assert_eq!(ranked(&[no_speech(-20.0), speech(300, -20.0)]).1, "first_in_file", "too little to count");
    }

    #[test]
    fn among_equals_the_first_is_taken() {
        assert_eq!(ranked(&[speech(9000, -25.0), speech(9900, -22.0)]), (vec![0, 1], "first_in_file"));
        let three = ranked(&[no_speech(-90.0), speech(9000, -25.0), speech(9900, -29.0)]);
        assert_eq!(three, (vec![1, 2, 0], "first_with_speech"));
        assert_eq!(ranked(&[no_speech(-20.0), no_speech(-30.0)]), (vec![0, 1], "first_in_file"));
        assert_eq!(ranked(&[no_speech(-120.0), no_speech(-120.0)]), (vec![0, 1], "first_in_file"));
        assert_eq!(ranked(&[no_speech(-120.0), no_speech(-40.0)]), (vec![1, 0], "only_audible"));
        assert_eq!(
            ranked(&[no_speech(-120.0), no_speech(-40.0), no_speech(-20.0)]),
            (vec![1, 2, 0], "first_audible")
        );
    }

    #[test]
    fn a_track_that_cannot_be_decoded_comes_last() {
        assert_eq!(ranked(&[None, speech(9000, -25.0)]), (vec![1, 0], "others_unreadable"));
        assert_eq!(ranked(&[speech(9000, -25.0), None]), (vec![0, 1], "most_speech"));
        assert_eq!(ranked(&[no_speech(-25.0), None]), (vec![0, 1], "first_in_file"));
        assert_eq!(ranked(&[None, None]), (vec![0, 1], "first_in_file"));
        let all = tracks(2);
        let ranking = rank_by_speech(&Candidates::new(&all).audios, &[speech(9000, -25.0), None]);
        let why = audio_choice(&all[1], &all, &ranking).map(|choice| choice.code);
        assert_eq!(why.as_deref(), Some("others_unreadable"));
        assert_eq!(audio_choice(&all[0], &all[..1], &ranking), None, "there was no choice");
    }
}
