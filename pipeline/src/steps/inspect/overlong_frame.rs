//! A frame that claims to last far longer than the recording.
//!
//! The clock of a recorder's video started before that of its audio, so all that follows the frame
//! comes too late.

use crate::media::Gap;

/// Shortest excess duration, in ns: a shorter one is a pause.
const MIN_EXCESS_NS: i64 = 5_000_000_000;
/// Longest time between the ends of video and audio once the excess is removed, in ns; or a tenth
/// of the audio, if that is more.
const MAX_APART_NS: i64 = 1_000_000_000;

/// Finds the time without audio that makes the video end with the audio if it is removed. `None`
/// for slides: there the audio lasts as long as they do.
///
/// `times_ns` are the times of all frames, ascending. The last one ends at `end_ns`.
pub fn find(times_ns: &[i64], end_ns: i64, (audio_ns, audio_end_ns): (i64, i64)) -> Option<Gap> {
    let (&start_ns, &last_ns) = (times_ns.first()?, times_ns.last()?);
    let audio_length_ns = audio_end_ns.saturating_sub(audio_ns);
    let is_excess = |gap: &Gap| {
        let apart_ns = end_ns.saturating_sub(gap.length_ns).abs_diff(audio_end_ns);
        gap.length_ns >= MIN_EXCESS_NS && apart_ns <= MAX_APART_NS.max(audio_length_ns / 10).unsigned_abs()
    };
    // The video starts when the audio is over.
    let late = Gap { after_ns: i64::MIN, length_ns: start_ns.saturating_sub(audio_ns) };
    if start_ns >= audio_end_ns && audio_length_ns > 0 {
        return Some(late).filter(is_excess);
    }
    let lengths = times_ns.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    let mut lengths: Vec<i64> = lengths.chain([end_ns.saturating_sub(last_ns)]).collect();
    let (index, &longest_ns) = lengths.iter().enumerate().max_by_key(|(_, length)| **length)?;
    // The median is the duration of a frame.
    let middle = lengths.len() / 2;
    let usual_ns = *lengths.select_nth_unstable(middle).1;
    let usual_ns = if usual_ns < longest_ns { usual_ns } else { 0 };
    Some(Gap { after_ns: times_ns[index], length_ns: longest_ns - usual_ns }).filter(is_excess)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// 10 s of 30 frames a second, those from `first_late` on `late` seconds too late.
    fn frames(first_late: usize, late: i64) -> Vec<i64> {
        let time =
            |frame: usize| frame as i64 * SECOND / 30 + if frame >= first_late { late * SECOND } else { 0 };
        (0..300).map(time).collect()
    }

    #[test]
    fn a_frame_of_a_minute_in_ten_seconds_of_audio_is_wrong() {
        let audio = (0, 10 * SECOND);
        for (first_late, late) in [(1, 60), (1, 6), (150, 60), (299, 3600)] {
            let gap = find(&frames(first_late, late), (10 + late) * SECOND, audio);
            let after_ns = (first_late as i64 - 1) * SECOND / 30;
            assert_eq!(gap.map(|gap| gap.after_ns), Some(after_ns), "{first_late} {late}");
            let off = gap.map_or(0, |gap| gap.length_ns.abs_diff(late * SECOND));
            assert!(off < 1_000_000, "{first_late} {late}: {off}");
        }
        let last = find(&frames(300, 0), 70 * SECOND, audio);
        assert_eq!(last.map(|gap| gap.after_ns / SECOND), Some(9));
        let all = find(&frames(0, 60), 70 * SECOND, audio);
        assert_eq!(all, Some(Gap { after_ns: i64::MIN, length_ns: 60 * SECOND }));
    }

    #[test]
    fn slides_and_pauses_are_left_alone() {
        // Three slides over a minute of audio, and a pause that audio covers.
        assert_eq!(find(&[0, 20 * SECOND, 40 * SECOND], 60 * SECOND, (0, 60 * SECOND)), None);
        assert_eq!(find(&frames(150, 20), 30 * SECOND, (0, 30 * SECOND)), None);
        // Slides that go on long after their audio.
        assert_eq!(find(&[0, 20 * SECOND, 80 * SECOND], 100 * SECOND, (0, 10 * SECOND)), None);
        // Audio that comes later than its video.
        assert_eq!(find(&frames(0, 0), 10 * SECOND, (60 * SECOND, 70 * SECOND)), None);
        assert_eq!(find(&[], 0, (0, SECOND)), None);
    }
}
