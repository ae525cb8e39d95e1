//! Who talks how much: the figures of `talk.json`.
//!
//! They come from turns and from the transcript's question marks. They say how long voices were
//! heard, not what was meant, and not whose voice it was.

use serde::Serialize;

use super::activity::SpeechSpan;
use super::speakers::{Turn, Voice};
use super::words::Word;
use crate::context::StepContext;
use crate::error::{Error, Result};

/// Path of the file in the step's folder.
const PATH: &str = "transcript/talk.json";
/// Length of a minute, in ms.
const MINUTE_MS: u64 = 60_000;
/// Number of longest stretches that are listed for each kind of voice.
const MAX_LONGEST: usize = 3;
/// Maximum distance of a question's last word to the main voice's turn, in ms.
const MAX_WORD_DISTANCE_MS: u64 = 300;
/// It looks like a semicolon.
const GREEK_QUESTION_MARK: char = '\u{37e}';

/// The format of `talk.json`.
#[derive(Debug, PartialEq, Serialize)]
struct Talk {
    /// Version of the format.
    version: u32,
    /// Length of the recording, in ms.
    duration_ms: u64,
    /// Part of all talk that is the main voice's, from 0 to 1; 0 without talk.
    main_share: f64,
    /// Time of all voices.
    total: Times,
    /// The same for every minute that has begun.
    minutes: Vec<Minute>,
    /// The main voice's questions, in order.
    questions: Vec<Question>,
    /// The longest turns of every kind of voice, the longest first.
    longest: Vec<Turn>,
    /// All turns in order. Where there is none, no one speaks.
    turns: Vec<Turn>,
}

/// How long was spoken, in ms.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Times {
    main_ms: u64,
    other_ms: u64,
    group_ms: u64,
    silence_ms: u64,
}

/// Figures of a minute.
#[derive(Debug, PartialEq, Serialize)]
struct Minute {
    #[serde(flatten)]
    times: Times,
    /// Questions of the main voice that end in it.
    questions: u32,
}

/// A question of the main voice.
#[derive(Debug, PartialEq, Serialize)]
struct Question {
    /// Time at which its last word ends, in ms.
    end_ms: u64,
    /// Time until a voice speaks, in ms; `None` if none does.
    wait_ms: Option<u64>,
    /// Which voice that is.
    next: Option<Voice>,
}

/// Writes `talk.json` and returns its path.
pub fn write(
    turns: Vec<Turn>,
    spans: &[SpeechSpan],
    words: &[Word],
    duration_ms: u64,
    ctx: &StepContext,
) -> Result<String> {
    let talk = Talk::new(turns, spans, words, duration_ms);
    let json = serde_json::to_vec(&talk)
        .map_err(|e| Error::internal("the talk times could not be written").with_source(e))?;
    ctx.write_output(PATH, &json)?;
    Ok(PATH.into())
}

impl Talk {
    fn new(turns: Vec<Turn>, spans: &[SpeechSpan], words: &[Word], duration_ms: u64) -> Self {
        let last_minute = duration_ms.saturating_sub(1) / MINUTE_MS;
        let questions: Vec<Question> = words
            .iter()
            .filter(|word| is_question_end(word))
            .filter_map(|word| question(word, &turns, spans))
            .collect();
        let minutes = (0..duration_ms.div_ceil(MINUTE_MS)).map(|minute| {
            let (from_ms, to_ms) = (minute * MINUTE_MS, ((minute + 1) * MINUTE_MS).min(duration_ms));
            let asked =
                questions.iter().filter(|question| (question.end_ms / MINUTE_MS).min(last_minute) == minute);
            Minute { times: times(&turns, from_ms, to_ms), questions: asked.count() as u32 }
        });
        let total = times(&turns, 0, duration_ms);
        let talk_ms = total.main_ms + total.other_ms + total.group_ms;
        let share = total.main_ms as f64 / talk_ms.max(1) as f64;
        Self {
            version: 1,
            duration_ms,
            main_share: (share * 1000.0).round() / 1000.0,
            minutes: minutes.collect(),
            longest: longest(&turns),
            total,
            questions,
            turns,
        }
    }
}

/// Returns how long was spoken between two times.
fn times(turns: &[Turn], from_ms: u64, to_ms: u64) -> Times {
    let mut times = Times::default();
    for turn in turns {
        let spoken_ms = turn.end_ms.min(to_ms).saturating_sub(turn.start_ms.max(from_ms));
        match turn.voice {
            Voice::Main => times.main_ms += spoken_ms,
            Voice::Other => times.other_ms += spoken_ms,
            Voice::Group => times.group_ms += spoken_ms,
        }
    }
    let talk_ms = times.main_ms + times.other_ms + times.group_ms;
    times.silence_ms = (to_ms - from_ms).saturating_sub(talk_ms);
    times
}

fn longest(turns: &[Turn]) -> Vec<Turn> {
    let kinds = [Voice::Main, Voice::Other, Voice::Group];
    let longest_of = |kind| {
        let mut own: Vec<&Turn> = turns.iter().filter(|turn| turn.voice == kind).collect();
        own.sort_by_key(|turn| std::cmp::Reverse(turn.end_ms - turn.start_ms));
        own.into_iter().take(MAX_LONGEST).cloned()
    };
    kinds.into_iter().flat_map(longest_of).collect()
}

fn is_question_end(word: &Word) -> bool {
    let marks = |c: char| matches!(c, '"' | '”' | '’' | '\'' | ')' | '\u{bb}' | '!');
    word.text.trim_end_matches(marks).ends_with(['?', '？', '؟', GREEK_QUESTION_MARK])
}

/// Returns the question that ends with a word; `None` if it is not the main voice's.
fn question(word: &Word, turns: &[Turn], spans: &[SpeechSpan]) -> Option<Question> {
    let middle_ms = word.start_ms.midpoint(word.end_ms);
    let distance_ms =
        |turn: &Turn| turn.start_ms.saturating_sub(middle_ms).max(middle_ms.saturating_sub(turn.end_ms));
    let (index, own) = turns.iter().enumerate().min_by_key(|(_, turn)| distance_ms(turn))?;
    if own.voice != Voice::Main || distance_ms(own) > MAX_WORD_DISTANCE_MS {
        return None;
    }
    // The pause around the word's end is where the voice was not heard, to some hundredths of a
    // second.
    let span = spans.iter().find(|span| span.end_ms >= middle_ms && span.end_ms <= own.end_ms);
    let end_ms = span.map_or(own.end_ms, |span| span.end_ms);
    let same_turn = spans.iter().find(|span| span.start_ms >= end_ms && span.start_ms < own.end_ms);
    let next = match same_turn {
        Some(span) => Some((span.start_ms, Voice::Main)),
        None => turns.get(index + 1).map(|turn| (turn.start_ms, turn.voice)),
    };
    Some(Question {
        end_ms,
        wait_ms: next.map(|(start_ms, _)| start_ms.saturating_sub(end_ms)),
        next: next.map(|(_, voice)| voice),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(start_ms: u64, end_ms: u64, voice: Voice) -> Turn {
        Turn { start_ms, end_ms, voice }
    }

    fn word(end_ms: u64, text: &str) -> Word {
        Word { start_ms: end_ms - 300, end_ms, text: text.to_owned(), probability: 1.0, doubt: 0.0 }
    }

    fn talk() -> Talk {
        let turns = vec![
            turn(1_000, 5_000, Voice::Main),
            turn(8_500, 10_000, Voice::Other),
            turn(50_000, 70_000, Voice::Main),
            turn(70_200, 90_000, Voice::Group),
        ];
        let spans = [(1_000, 3_000), (3_400, 5_000), (8_500, 10_000), (50_000, 70_000), (70_200, 90_000)];
        let spans = spans.map(|(start_ms, end_ms)| SpeechSpan { start_ms, end_ms });
        let words = [
            word(2_980, "ready?"),
            word(5_100, "seven?”"),
            word(9_900, "eight?"),
            word(60_000, "first;"),
            word(69_000, "right?"),
            word(80_000, "no?"),
        ];
        Talk::new(turns, &spans, &words, 100_000)
    }

    #[test]
    fn the_main_voices_questions_have_their_wait() {
        let question = |end_ms, wait_ms, next| Question { end_ms, wait_ms: Some(wait_ms), next: Some(next) };
        assert_eq!(
            talk().questions,
            [
                question(3_000, 400, Voice::Main),
                question(5_000, 3_500, Voice::Other),
                question(70_000, 200, Voice::Group),
            ]
        );
    }

    #[test]
    fn times_add_up_for_the_lesson_and_each_minute() {
        let talk = talk();
        let times =
            |main_ms, other_ms, group_ms, silence_ms| Times { main_ms, other_ms, group_ms, silence_ms };
        assert_eq!(talk.total, times(24_000, 1_500, 19_800, 54_700));
        assert_eq!(talk.minutes[0], Minute { times: times(14_000, 1_500, 0, 44_500), questions: 2 });
        assert_eq!(talk.minutes[1], Minute { times: times(10_000, 0, 19_800, 10_200), questions: 1 });
        assert!((talk.main_share - 0.53).abs() < 0.001);
        assert_eq!(talk.longest[0], turn(50_000, 70_000, Voice::Main));
    }

    #[test]
    fn there_may_be_no_talk() {
        let talk = Talk::new(Vec::new(), &[], &[], 30_000);
        assert!(talk.main_share.abs() < f64::EPSILON && talk.questions.is_empty());
        assert_eq!(talk.minutes.len(), 1);
        assert_eq!(talk.total.silence_ms, 30_000);
    }
}
