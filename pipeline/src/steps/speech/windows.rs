//! Windows: what one call of the model transcribes, at most 30 s of a stretch.

use super::activity::SpeechSpan;
use super::stretches::Stretch;

/// A window of a stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The audio given to the model.
    pub audio: SpeechSpan,
    /// The speech in it, in order.
    pub spans: Vec<SpeechSpan>,
    /// Whether it ends in the middle of speech, as there is no pause to cut at.
    pub ends_in_speech: bool,
}

/// The rules by which a stretch is cut into windows.
#[derive(Clone, Copy, Debug)]
pub struct WindowRules {
    /// Length of a window before which no pause ends it, in ms.
    pub min_ms: u64,
    /// Maximum length, in ms; the model takes 30 s at most.
    pub max_ms: u64,
    /// Audio kept before the first span, in ms: the model misses a word with which the audio
    /// starts.
    pub margin_before_ms: u64,
    /// Audio kept after the last span, in ms.
    pub margin_after_ms: u64,
    /// Length of a pause from which a longer one is no better, in ms.
    pub long_pause_ms: u64,
}

impl Default for WindowRules {
    fn default() -> Self {
        Self {
            min_ms: 14_000,
            max_ms: 28_000,
            margin_before_ms: 250,
            margin_after_ms: 350,
            long_pause_ms: 1_000,
        }
    }
}

/// Returns the window that begins at `from_ms`; `None` if no speech is left.
///
/// What does not fit is cut at the longest pause; among long pauses at the last.
pub fn next_window(stretch: &Stretch, from_ms: u64, rules: WindowRules) -> Option<Window> {
    let clip = |span: &SpeechSpan| SpeechSpan { start_ms: span.start_ms.max(from_ms), ..*span };
    let spans: Vec<SpeechSpan> =
        stretch.spans.iter().filter(|span| span.end_ms > from_ms).map(clip).collect();
    let (first, last) = (spans.first()?, spans.last()?);
    let start_ms =
        first.start_ms.saturating_sub(rules.margin_before_ms).max(from_ms).max(stretch.audio.start_ms);
    let end_ms = stretch.audio.end_ms.min(last.end_ms + rules.margin_after_ms).max(last.end_ms);
    if end_ms - start_ms <= rules.max_ms {
        let audio = SpeechSpan { start_ms, end_ms };
        return Some(Window { audio, spans, ends_in_speech: false });
    }
    let cut = (1..spans.len())
        .take_while(|next| spans[next - 1].end_ms + rules.margin_after_ms <= start_ms + rules.max_ms)
        .max_by_key(|next| {
            let pause_ms = spans[*next].start_ms - spans[next - 1].end_ms;
            let is_late = spans[next - 1].end_ms >= start_ms + rules.min_ms;
            (is_late, if is_late { pause_ms.min(rules.long_pause_ms) } else { *next as u64 }, *next)
        });
    let Some(next) = cut else {
        let end_ms = start_ms + rules.max_ms;
        let clip = |span: &SpeechSpan| SpeechSpan { end_ms: span.end_ms.min(end_ms), ..*span };
        let spans = spans.iter().filter(|span| span.start_ms < end_ms).map(clip).collect();
        return Some(Window { audio: SpeechSpan { start_ms, end_ms }, spans, ends_in_speech: true });
    };
    let (before, after) = (spans[next - 1], spans[next]);
    let middle_ms = before.end_ms + (after.start_ms - before.end_ms) / 2;
    let end_ms = (before.end_ms + rules.margin_after_ms).min(middle_ms);
    let audio = SpeechSpan { start_ms, end_ms };
    Some(Window { audio, spans: spans[..next].to_vec(), ends_in_speech: false })
}

/// Returns the first windows of the longest stretches, by which a language is detected.
pub fn first_windows(stretches: &[Stretch], count: usize) -> Vec<SpeechSpan> {
    let mut longest: Vec<&Stretch> = stretches.iter().collect();
    longest.sort_by_key(|stretch| std::cmp::Reverse(stretch.audio.duration_ms()));
    let first = |stretch: &&Stretch| next_window(stretch, stretch.audio.start_ms, WindowRules::default());
    longest.iter().filter_map(first).take(count).map(|window| window.audio).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start_ms: u64, end_ms: u64) -> SpeechSpan {
        SpeechSpan { start_ms, end_ms }
    }

    fn stretch(spans: &[SpeechSpan]) -> Stretch {
        let (first, last) = (spans[0], spans[spans.len() - 1]);
        Stretch { audio: span(first.start_ms.saturating_sub(250), last.end_ms + 350), spans: spans.to_vec() }
    }

    fn windows(stretch: &Stretch) -> Vec<Window> {
        let (mut from_ms, mut windows) = (stretch.audio.start_ms, Vec::new());
        while let Some(window) = next_window(stretch, from_ms, WindowRules::default()) {
            from_ms = window.audio.end_ms;
            windows.push(window);
        }
        windows
    }

    #[test]
    fn a_short_stretch_is_one_window() {
        let stretch = stretch(&[span(1000, 4000), span(5000, 28_000)]);
        let windows = windows(&stretch);
        assert_eq!(windows.len(), 1);
        assert_eq!((windows[0].audio, &windows[0].spans), (stretch.audio, &stretch.spans));
    }

    #[test]
    fn every_span_is_in_one_window_and_the_cut_is_in_a_long_pause() {
        let mut spans: Vec<SpeechSpan> = (0..40).map(|i| span(i * 2000, i * 2000 + 1700)).collect();
        spans[10].end_ms -= 500;
        let stretch = stretch(&spans);
        let windows = windows(&stretch);
        assert_eq!(windows[0].spans.last(), Some(&spans[10]), "its pause is the longest");
        assert_eq!(windows.iter().flat_map(|window| window.spans.clone()).collect::<Vec<_>>(), spans);
        assert!(windows.iter().all(|window| window.audio.duration_ms() <= 28_000));
        assert!(windows.windows(2).all(|pair| pair[0].audio.end_ms <= pair[1].audio.start_ms));
    }

    #[test]
    fn speech_without_a_pause_is_cut_at_the_limit() {
        let windows = windows(&stretch(&[span(0, 70_000)]));
        let cuts: Vec<_> =
            windows.iter().map(|window| (window.audio.end_ms, window.ends_in_speech)).collect();
        assert_eq!(cuts, [(28_000, true), (56_000, true), (70_350, false)]);
    }
}
