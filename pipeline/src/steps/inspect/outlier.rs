//! A frame that claims to last far longer than the recording: the clock of a recorder's video began before that of its
//! audio, and all that follows the frame comes too late.

use crate::media::Gap;

/// A shorter claim is a pause, in ns.
const MIN_CLAIM_NS: i64 = 5_000_000_000;
/// How far apart video and audio may end once the claim is dropped, in ns; or a tenth of the audio, if that is more.
const APART_NS: i64 = 1_000_000_000;

/// The time that no audio covers and that, dropped, makes the video end with the audio. `None` for slides: there the
/// audio lasts as long as they do.
///
/// `times_ns` are the times of all frames, ascending; `end_ns` is that of the last one's end.
pub fn claim(times_ns: &[i64], end_ns: i64, (audio_ns, audio_end_ns): (i64, i64)) -> Option<Gap> {
    let (&start_ns, &last_ns) = (times_ns.first()?, times_ns.last()?);
    let audio_length_ns = audio_end_ns.saturating_sub(audio_ns);
    let close = |gap: &Gap| {
        let apart_ns = end_ns.saturating_sub(gap.length_ns).abs_diff(audio_end_ns);
        gap.length_ns >= MIN_CLAIM_NS && apart_ns <= APART_NS.max(audio_length_ns / 10).unsigned_abs()
    };
    // The video begins when the audio is over.
    let late = Gap { after_ns: i64::MIN, length_ns: start_ns.saturating_sub(audio_ns) };
    if start_ns >= audio_end_ns && audio_length_ns > 0 {
        return Some(late).filter(close);
    }
    let lengths = times_ns.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    let mut lengths: Vec<i64> = lengths.chain([end_ns.saturating_sub(last_ns)]).collect();
    let (place, &longest_ns) = lengths.iter().enumerate().max_by_key(|(_, length)| **length)?;
    // The middle one is what a frame lasts.
    let middle = lengths.len() / 2;
    let usual_ns = *lengths.select_nth_unstable(middle).1;
    let usual_ns = if usual_ns < longest_ns { usual_ns } else { 0 };
    Some(Gap { after_ns: times_ns[place], length_ns: longest_ns - usual_ns }).filter(close)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// 10 s of 30 frames a second, those from `place` on `late` seconds too late.
    fn frames(place: usize, late: i64) -> Vec<i64> {
        let time = |frame: usize| frame as i64 * SECOND / 30 + if frame >= place { late * SECOND } else { 0 };
        (0..300).map(time).collect()
    }

    #[test]
    fn a_frame_of_a_minute_in_ten_seconds_of_audio_is_wrong() {
        let audio = (0, 10 * SECOND);
        for (place, late) in [(1, 60), (1, 6), (150, 60), (299, 3600)] {
            let gap = claim(&frames(place, late), (10 + late) * SECOND, audio);
            let after_ns = (place as i64 - 1) * SECOND / 30;
            assert_eq!(gap.map(|gap| gap.after_ns), Some(after_ns), "{place} {late}");
            let off = gap.map_or(0, |gap| gap.length_ns.abs_diff(late * SECOND));
            assert!(off < 1_000_000, "{place} {late}: {off}");
        }
        let last = claim(&frames(300, 0), 70 * SECOND, audio);
        assert_eq!(last.map(|gap| gap.after_ns / SECOND), Some(9));
        let all = claim(&frames(0, 60), 70 * SECOND, audio);
        assert_eq!(all, Some(Gap { after_ns: i64::MIN, length_ns: 60 * SECOND }));
    }

    #[test]
    fn slides_and_pauses_are_left_alone() {
        // Three slides over a minute of audio, and a pause that audio covers.
        assert_eq!(claim(&[0, 20 * SECOND, 40 * SECOND], 60 * SECOND, (0, 60 * SECOND)), None);
        assert_eq!(claim(&frames(150, 20), 30 * SECOND, (0, 30 * SECOND)), None);
        // Slides that go on long after their audio.
        assert_eq!(claim(&[0, 20 * SECOND, 80 * SECOND], 100 * SECOND, (0, 10 * SECOND)), None);
        // Audio that comes later than its video.
        assert_eq!(claim(&frames(0, 0), 10 * SECOND, (60 * SECOND, 70 * SECOND)), None);
        assert_eq!(claim(&[], 0, (0, SECOND)), None);
    }
}
