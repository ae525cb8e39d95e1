//! Stretches: parts of the recording that are transcribed each on its own, cut at long pauses.

use super::activity::SpeechSpan;

/// Consecutive speech. Nothing of one stretch is needed for another, so they can be transcribed at
/// once, by several threads or in several steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its audio: the spans with a margin.
    pub audio: SpeechSpan,
    /// The spans of speech in it, in order.
    pub spans: Vec<SpeechSpan>,
}

/// The rules by which spans are joined to stretches.
#[derive(Clone, Copy, Debug)]
pub struct StretchRules {
    /// Minimum pause at which a stretch ends, in ms.
    pub min_pause_ms: u64,
    /// Maximum length of a stretch without its margins, in ms.
    pub max_stretch_ms: u64,
    /// Audio kept before the first span, in ms: the model misses a word with which the audio
    /// starts.
    pub margin_before_ms: u64,
    /// Audio kept after the last span, in ms.
    pub margin_after_ms: u64,
}

impl Default for StretchRules {
    fn default() -> Self {
        Self { min_pause_ms: 2_000, max_stretch_ms: 180_000, margin_before_ms: 250, margin_after_ms: 350 }
    }
}

/// Joins spans with a short pause between them, and splits long stretches at their longest pause.
pub fn join_spans(spans: &[SpeechSpan], duration_ms: u64, rules: StretchRules) -> Vec<Stretch> {
    let mut groups: Vec<Vec<SpeechSpan>> = Vec::new();
    for span in spans.iter().flat_map(|span| split_long_span(*span, rules.max_stretch_ms)) {
        match groups.last_mut() {
            Some(group) if span.start_ms - last_span(group).end_ms < rules.min_pause_ms => group.push(span),
            _ => groups.push(vec![span]),
        }
    }
    let groups: Vec<Vec<SpeechSpan>> =
        groups.into_iter().flat_map(|group| split_group(group, rules.max_stretch_ms)).collect();
    let edges: Vec<SpeechSpan> =
        groups.iter().map(|g| SpeechSpan { start_ms: g[0].start_ms, end_ms: last_span(g).end_ms }).collect();
    let margined = edges.iter().enumerate().map(|(index, edge)| {
        // Margins meet in the middle of a pause, so that no word is transcribed twice.
        let middle = |a: u64, b: u64| a + b.saturating_sub(a) / 2;
        let floor = if index == 0 { 0 } else { middle(edges[index - 1].end_ms, edge.start_ms) };
        let ceiling = edges.get(index + 1).map_or(duration_ms, |next| middle(edge.end_ms, next.start_ms));
        SpeechSpan {
            start_ms: edge.start_ms.saturating_sub(rules.margin_before_ms).max(floor),
            end_ms: (edge.end_ms + rules.margin_after_ms).min(ceiling.max(edge.end_ms)),
        }
    });
    let margined: Vec<SpeechSpan> = margined.collect();
    margined.into_iter().zip(groups).map(|(audio, spans)| Stretch { audio, spans }).collect()
}

fn last_span(group: &[SpeechSpan]) -> SpeechSpan {
    group[group.len() - 1]
}

/// Splits speech without a pause into equal parts.
fn split_long_span(span: SpeechSpan, max_stretch_ms: u64) -> Vec<SpeechSpan> {
    let parts = span.duration_ms().div_ceil(max_stretch_ms).max(1);
    let edge = |part: u64| span.start_ms + span.duration_ms() * part / parts;
    (0..parts).map(|part| SpeechSpan { start_ms: edge(part), end_ms: edge(part + 1) }).collect()
}

fn split_group(group: Vec<SpeechSpan>, max_stretch_ms: u64) -> Vec<Vec<SpeechSpan>> {
    let length = last_span(&group).end_ms - group[0].start_ms;
    if length <= max_stretch_ms || group.len() < 2 {
        return vec![group];
    }
    // The longest pause; among equal ones, the one nearest to the middle.
    let middle = group[0].start_ms + length / 2;
    let at = (1..group.len())
        .max_by_key(|i| {
            let pause = group[*i].start_ms - group[*i - 1].end_ms;
            (pause, std::cmp::Reverse(group[*i].start_ms.abs_diff(middle)))
        })
        .unwrap_or(1);
    let mut first = group;
    let second = first.split_off(at);
    let mut parts = split_group(first, max_stretch_ms);
    parts.extend(split_group(second, max_stretch_ms));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start_ms: u64, end_ms: u64) -> SpeechSpan {
        SpeechSpan { start_ms, end_ms }
    }

    #[test]
    fn a_long_pause_ends_a_stretch_and_a_breath_does_not() {
        let spans = [span(1000, 3000), span(3300, 5000), span(7000, 8000)];
        let stretches = join_spans(&spans, 8100, StretchRules::default());
        assert_eq!(stretches.len(), 2);
        assert_eq!(stretches[0], Stretch { audio: span(750, 5350), spans: spans[..2].to_vec() });
        assert_eq!(stretches[1].audio, span(6750, 8100), "not past the end");
    }

    #[test]
    fn margins_do_not_overlap() {
        let rules = StretchRules { min_pause_ms: 100, ..StretchRules::default() };
        let stretches = join_spans(&[span(100, 1000), span(1200, 2000)], 9000, rules);
        assert_eq!(stretches[0].audio, span(0, 1100));
        assert_eq!(stretches[1].audio, span(1100, 2350));
    }

    #[test]
    fn long_speech_is_cut_at_its_longest_pause_and_never_exceeds_the_limit() {
        let rules = StretchRules::default();
        let mut spans: Vec<SpeechSpan> = (0..20).map(|i| span(i * 12_000, i * 12_000 + 11_700)).collect();
        spans[9].end_ms -= 150;
        let made = join_spans(&spans, 240_000, rules);
        assert!(made.iter().any(|c| c.spans.last() == Some(&spans[9])));
        let endless = join_spans(&[span(0, 500_000)], 500_000, rules);
        for stretch in made.iter().chain(&endless) {
            assert!(
                stretch.audio.duration_ms()
                    <= rules.max_stretch_ms + rules.margin_before_ms + rules.margin_after_ms
            );
        }
        assert_eq!(made.iter().map(|c| c.spans.len()).sum::<usize>(), 20);
        assert_eq!(endless.len(), 3);
        assert!(join_spans(&[], 1000, rules).is_empty());
    }
}
