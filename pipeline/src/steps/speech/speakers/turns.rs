//! Turns: stretches of speech by one voice, or by several in quick exchange.

use serde::{Deserialize, Serialize};

use crate::steps::speech::activity::SpeechSpan;

/// Step in which voices are distinguished, in ms.
const STEP_MS: u64 = 100;
/// Minimum length of a voice's part inside a span of speech, in ms; a shorter one is the voice
/// around it.
const MIN_PART_MS: u64 = 400;
/// Minimum pause between two turns of one voice, in ms; a shorter one is part of the turn.
const MIN_PAUSE_MS: u64 = 500;
/// Minimum length of a group's turn, in ms.
const MIN_GROUP_MS: u64 = 5_000;
/// Minimum number of voices in it.
const MIN_GROUP_VOICES: usize = 3;

/// Who speaks in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    /// The voice that speaks longest in the lesson.
    Main,
    /// Another voice.
    Other,
    /// Several other voices, at once or in quick exchange.
    Group,
}

/// A stretch of speech.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Start, in ms.
    pub start_ms: u64,
    /// End, in ms.
    pub end_ms: u64,
    /// Who speaks.
    pub voice: Voice,
}

/// A span of speech, and how similar its windows are to every voice.
pub struct VoicedSpan {
    pub span: SpeechSpan,
    /// The windows, each with its similarity to every voice, the main one first.
    pub windows: Vec<(SpeechSpan, Vec<f32>)>,
}

/// A stretch of speech by one voice, by its number; 0 is the main one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    start_ms: u64,
    end_ms: u64,
    number: usize,
}

/// Finds the turns of all spans.
pub fn find(spans: &[VoicedSpan]) -> Vec<Turn> {
    let mut parts: Vec<Part> = Vec::new();
    for span in spans {
        // A span too short to be judged is taken for the voice before it.
        let before = parts.last().map_or(0, |part| part.number);
        parts.extend(parts_of(span, before));
    }
    let mut turns: Vec<Turn> = Vec::new();
    let mut rest = parts.as_slice();
    while let [first, ..] = rest {
        let run = rest.chunk_by(belongs_to_turn).next().unwrap_or(rest);
        rest = &rest[run.len()..];
        let (start_ms, end_ms) = (first.start_ms, run[run.len() - 1].end_ms);
        if first.number == 0 {
            turns.push(Turn { start_ms, end_ms, voice: Voice::Main });
        } else if is_group(run) {
            turns.push(Turn { start_ms, end_ms, voice: Voice::Group });
        } else {
            let same = |a: &Part, b: &Part| a.number == b.number;
            turns.extend(run.chunk_by(same).map(|voice| Turn {
                start_ms: voice[0].start_ms,
                end_ms: voice[voice.len() - 1].end_ms,
                voice: Voice::Other,
            }));
        }
    }
    turns
}

/// Whether two parts are of one turn, or of one exchange of other voices.
fn belongs_to_turn(before: &Part, after: &Part) -> bool {
    (before.number == 0) == (after.number == 0) && after.start_ms - before.end_ms < MIN_PAUSE_MS
}

fn is_group(run: &[Part]) -> bool {
    let mut numbers: Vec<usize> = run.iter().map(|part| part.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    run[run.len() - 1].end_ms - run[0].start_ms >= MIN_GROUP_MS && numbers.len() >= MIN_GROUP_VOICES
}

/// Returns the parts of a span, one for each voice that speaks for long enough.
fn parts_of(voiced: &VoicedSpan, before: usize) -> Vec<Part> {
    let span = voiced.span;
    if voiced.windows.is_empty() {
        return vec![Part { start_ms: span.start_ms, end_ms: span.end_ms, number: before }];
    }
    let mut parts: Vec<Part> = Vec::new();
    let mut start_ms = span.start_ms;
    while start_ms < span.end_ms {
        let end_ms = (start_ms + STEP_MS).min(span.end_ms);
        let number = voice_at(&voiced.windows, (start_ms + end_ms) / 2);
        match parts.last_mut() {
            Some(last) if last.number == number => last.end_ms = end_ms,
            _ => parts.push(Part { start_ms, end_ms, number }),
        }
        start_ms = end_ms;
    }
    absorb_short(parts)
}

/// Returns the voice that is most similar to the windows around a time. A window whose middle is
/// nearer counts more.
fn voice_at(windows: &[(SpeechSpan, Vec<f32>)], at_ms: u64) -> usize {
    let voices = windows[0].1.len();
    let mut sums = vec![0.0_f32; voices];
    // Windows are in order. At the end of a span there may be none.
    let first = windows.partition_point(|(audio, _)| audio.end_ms <= at_ms).min(windows.len() - 1);
    let end = windows.partition_point(|(audio, _)| audio.start_ms <= at_ms).max(first + 1);
    for (audio, similarities) in &windows[first..end] {
        let half_ms = audio.duration_ms() as f32 / 2.0;
        let distance_ms = ((audio.start_ms + audio.end_ms) / 2).abs_diff(at_ms) as f32;
        let weight = (1.0 - distance_ms / half_ms.max(1.0)).max(0.001);
        sums.iter_mut().zip(similarities).for_each(|(sum, similarity)| *sum += similarity * weight);
    }
    (0..voices).max_by(|a, b| sums[*a].total_cmp(&sums[*b])).unwrap_or(0)
}

/// Gives parts that are too short to the longer neighbour.
fn absorb_short(mut parts: Vec<Part>) -> Vec<Part> {
    let length_ms = |part: &Part| part.end_ms - part.start_ms;
    while parts.len() > 1 {
        let Some(short) = (0..parts.len()).min_by_key(|index| length_ms(&parts[*index])) else { break };
        if length_ms(&parts[short]) >= MIN_PART_MS {
            break;
        }
        let earlier = short.checked_sub(1).map(|index| length_ms(&parts[index]));
        let later = parts.get(short + 1).map(length_ms);
        let part = parts.remove(short);
        if earlier >= later {
            parts[short - 1].end_ms = part.end_ms;
        } else {
            parts[short].start_ms = part.start_ms;
        }
        parts.dedup_by(|after, before| {
            let same = after.number == before.number;
            if same {
                before.end_ms = after.end_ms;
            }
            same
        });
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A span in which every window is of one voice, by numbers.
    fn span(start_ms: u64, voices: &[usize]) -> VoicedSpan {
        let window = |(index, voice): (usize, &usize)| {
            let start_ms = start_ms + index as u64 * 400;
            let similarities = (0..6).map(|number| if number == *voice { 0.9 } else { 0.5 }).collect();
            (SpeechSpan { start_ms, end_ms: start_ms + 1_600 }, similarities)
        };
        VoicedSpan {
            span: SpeechSpan { start_ms, end_ms: start_ms + 1_200 + voices.len() as u64 * 400 },
            windows: voices.iter().enumerate().map(window).collect(),
        }
    }

    fn turns(spans: &[VoicedSpan]) -> Vec<(u64, u64, Voice)> {
        find(spans).into_iter().map(|turn| (turn.start_ms, turn.end_ms, turn.voice)).collect()
    }

    #[test]
    fn a_turn_ends_where_another_voice_begins_or_after_a_pause() {
        let spans = [span(0, &[0, 0, 0]), span(2_700, &[0]), span(6_000, &[0, 0, 0, 0, 0, 1, 1, 1, 1, 1])];
        let found = turns(&spans);
        assert_eq!(found[..1], [(0, 4_300, Voice::Main)]);
        assert_eq!((found[1].0, found[1].2), (6_000, Voice::Main));
        assert!((8_300..=8_700).contains(&found[1].1), "{found:?}");
        assert_eq!(found[2], (found[1].1, 11_200, Voice::Other));
    }

    #[test]
    fn several_voices_in_quick_exchange_are_a_group_and_two_are_not() {
        let exchange = [span(0, &[1, 1, 1, 2, 2, 2]), span(3_700, &[3, 3, 3, 3])];
        assert_eq!(turns(&exchange), [(0, 6_500, Voice::Group)]);
        let two = [span(0, &[1, 1, 1, 1, 1, 1, 1]), span(4_100, &[2, 2, 2, 2])];
        assert_eq!(turns(&two).iter().map(|turn| turn.2).collect::<Vec<_>>(), [Voice::Other; 2]);
    }

    #[test]
    fn a_voice_within_a_long_span_is_found() {
        let voices: Vec<usize> =
            (0..3_000).map(|window| usize::from((1_500..1_520).contains(&window))).collect();
        let found = turns(&[span(0, &voices)]);
        assert_eq!(
            found.iter().map(|turn| turn.2).collect::<Vec<_>>(),
            [Voice::Main, Voice::Other, Voice::Main]
        );
        assert!((7_000..9_000).contains(&(found[1].1 - found[1].0)), "{found:?}");
    }

    #[test]
    fn a_moment_that_sounds_different_is_the_voice_around_it() {
        let spans = [span(0, &[0, 0, 0, 0, 0, 0])];
        assert_eq!(turns(&spans).len(), 1);
        let short = VoicedSpan { span: SpeechSpan { start_ms: 4_000, end_ms: 4_200 }, windows: Vec::new() };
        let spans = [span(0, &[1, 1, 1]), short];
        assert_eq!(turns(&spans).last(), Some(&(4_000, 4_200, Voice::Other)));
        assert!(turns(&[]).is_empty());
    }
}
