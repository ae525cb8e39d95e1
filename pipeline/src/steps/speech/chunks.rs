//! What is given to the model at a time: one or a few spans of speech, cut at pauses.

use super::activity::Span;

/// A piece of the recording for one call of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The sound given to the model: the spans with a margin.
    pub sound: Span,
    /// The spans of speech in it, in order.
    pub spans: Vec<Span>,
}

/// How spans are put together.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Shortest pause at which a chunk ends, in ms.
    pub cut_ms: u64,
    /// Longest chunk, in ms; the model hears 30 s at most.
    pub longest_ms: u64,
    /// Sound kept before the first span, in ms: the model misses a word that starts with the sound.
    pub before_ms: u64,
    /// Sound kept after the last span, in ms.
    pub after_ms: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { cut_ms: 600, longest_ms: 25_000, before_ms: 250, after_ms: 350 }
    }
}

/// Puts spans together where the pause between is short, and cuts what gets too long at its longest pause.
pub fn chunks(spans: &[Span], duration_ms: u64, rules: Rules) -> Vec<Chunk> {
    let mut groups: Vec<Vec<Span>> = Vec::new();
    for span in spans.iter().flat_map(|span| shortened(*span, rules.longest_ms)) {
        match groups.last_mut() {
            Some(group) if span.start_ms - last(group).end_ms < rules.cut_ms => group.push(span),
            _ => groups.push(vec![span]),
        }
    }
    let groups: Vec<Vec<Span>> = groups.into_iter().flat_map(|group| cut(group, rules.longest_ms)).collect();
    let edges: Vec<Span> =
        groups.iter().map(|g| Span { start_ms: g[0].start_ms, end_ms: last(g).end_ms }).collect();
    let sounds = edges.iter().enumerate().map(|(index, edge)| {
        // Margins meet in the middle of a pause, so that no word is heard twice.
        let middle = |a: u64, b: u64| a + b.saturating_sub(a) / 2;
        let floor = if index == 0 { 0 } else { middle(edges[index - 1].end_ms, edge.start_ms) };
        let ceiling = edges.get(index + 1).map_or(duration_ms, |next| middle(edge.end_ms, next.start_ms));
        Span {
            start_ms: edge.start_ms.saturating_sub(rules.before_ms).max(floor),
            end_ms: (edge.end_ms + rules.after_ms).min(ceiling.max(edge.end_ms)),
        }
    });
    let sounds: Vec<Span> = sounds.collect();
    sounds.into_iter().zip(groups).map(|(sound, spans)| Chunk { sound, spans }).collect()
}

fn last(group: &[Span]) -> Span {
    group[group.len() - 1]
}

/// Speech without any pause for longer than the model hears is cut into equal parts.
fn shortened(span: Span, longest_ms: u64) -> Vec<Span> {
    let parts = span.length_ms().div_ceil(longest_ms).max(1);
    let edge = |part: u64| span.start_ms + span.length_ms() * part / parts;
    (0..parts).map(|part| Span { start_ms: edge(part), end_ms: edge(part + 1) }).collect()
}

fn cut(group: Vec<Span>, longest_ms: u64) -> Vec<Vec<Span>> {
    let length = last(&group).end_ms - group[0].start_ms;
    if length <= longest_ms || group.len() < 2 {
        return vec![group];
    }
    // The longest pause; of equal ones, that nearest to the middle.
    let middle = group[0].start_ms + length / 2;
    let at = (1..group.len())
        .max_by_key(|i| {
            let pause = group[*i].start_ms - group[*i - 1].end_ms;
            (pause, std::cmp::Reverse(group[*i].start_ms.abs_diff(middle)))
        })
        .unwrap_or(1);
    let mut first = group;
    let second = first.split_off(at);
    let mut parts = cut(first, longest_ms);
    parts.extend(cut(second, longest_ms));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start_ms: u64, end_ms: u64) -> Span {
        Span { start_ms, end_ms }
    }

    #[test]
    fn a_pause_ends_a_chunk_and_a_breath_does_not() {
        let spans = [span(1000, 3000), span(3300, 5000), span(7000, 8000)];
        let chunks = chunks(&spans, 8100, Rules::default());
        assert_eq!(chunks.len(), 2);
        assert_eq!(chunks[0], Chunk { sound: span(750, 5350), spans: spans[..2].to_vec() });
        assert_eq!(chunks[1].sound, span(6750, 8100), "not past the end");
    }

    #[test]
    fn margins_do_not_overlap() {
        let rules = Rules { cut_ms: 100, ..Rules::default() };
        let chunks = chunks(&[span(100, 1000), span(1200, 2000)], 9000, rules);
        assert_eq!(chunks[0].sound, span(0, 1100));
        assert_eq!(chunks[1].sound, span(1100, 2350));
    }

    #[test]
    fn long_speech_is_cut_at_its_longest_pause_and_never_exceeds_the_limit() {
        let rules = Rules::default();
        let mut spans: Vec<Span> = (0..20).map(|i| span(i * 3000, i * 3000 + 2700)).collect();
        spans[9].end_ms -= 150;
        let made = chunks(&spans, 60_000, rules);
        assert!(made.iter().any(|c| c.spans.last() == Some(&spans[9])));
        let endless = chunks(&[span(0, 100_000)], 100_000, rules);
        for chunk in made.iter().chain(&endless) {
            assert!(chunk.sound.length_ms() <= rules.longest_ms + rules.before_ms + rules.after_ms);
        }
        assert_eq!(made.iter().map(|c| c.spans.len()).sum::<usize>(), 20);
        assert_eq!(endless.len(), 4);
        assert!(chunks(&[], 1000, rules).is_empty());
    }
}
