//! Splitting of normalised text into the pieces of a vocabulary: of all ways the one with the
//! highest sum of scores (a unigram model, as SentencePiece has it).

/// Number of the piece that stands for an unknown character.
pub const UNKNOWN: u32 = 0;
/// An unknown character scores by so much worse than the worst piece.
const UNKNOWN_PENALTY: f64 = 10.0;

/// The vocabulary, sorted by the pieces' bytes.
pub struct Pieces {
    /// All pieces, one after another.
    text: Vec<u8>,
    /// Start of each piece, and the end of the last.
    starts: Vec<u32>,
    /// Number of each piece.
    ids: Vec<u32>,
    scores: Vec<f32>,
    unknown_score: f64,
}

/// The best way to a position of the text.
#[derive(Clone, Copy)]
struct Step {
    score: f64,
    from: usize,
    id: u32,
}

impl Pieces {
    /// A vocabulary of as many pieces as there are scores. `None` if the parts do not fit together.
    pub fn new(text: Vec<u8>, starts: Vec<u32>, ids: Vec<u32>, scores: Vec<f32>) -> Option<Self> {
        let is_sound = starts.len() == scores.len() + 1
            && ids.len() == scores.len()
            && starts.is_sorted()
            && starts.last().is_some_and(|end| *end as usize == text.len());
        let worst = scores.iter().copied().fold(f32::INFINITY, f32::min);
        let unknown_score = f64::from(worst) - UNKNOWN_PENALTY;
        is_sound.then_some(Self { text, starts, ids, scores, unknown_score })
    }

    /// Splits a text; returns the numbers of its pieces.
    pub fn split(&self, text: &str) -> Vec<u32> {
        let unreached = Step { score: f64::NEG_INFINITY, from: 0, id: UNKNOWN };
        let mut best = vec![unreached; text.len() + 1];
        best[0].score = 0.0;
        for (at, character) in text.char_indices() {
            let base = best[at].score;
            let mut reach = |length: usize, score: f64, id: u32| {
                if base + score > best[at + length].score {
                    best[at + length] = Step { score: base + score, from: at, id };
                }
            };
            let single = character.len_utf8();
            let mut is_known = false;
            self.for_each_prefix(&text.as_bytes()[at..], |length, index| {
                is_known |= length == single;
                reach(length, f64::from(self.scores[index]), self.ids[index]);
            });
            if !is_known {
                reach(single, self.unknown_score, UNKNOWN);
            }
        }
        let mut ids = Vec::new();
        let mut at = text.len();
        while at > 0 {
            ids.push(best[at].id);
            at = best[at].from;
        }
        ids.reverse();
        ids
    }

    fn piece(&self, index: usize) -> &[u8] {
        &self.text[self.starts[index] as usize..self.starts[index + 1] as usize]
    }

    /// Calls `visit` with length and index of each piece that begins `text`, the shortest first.
    fn for_each_prefix(&self, text: &[u8], mut visit: impl FnMut(usize, usize)) {
        // The pieces that begin with the bytes so far lie between these.
        let (mut from, mut to) = (0, self.scores.len());
        for (depth, byte) in text.iter().enumerate() {
            from = self.first_between(from, to, |piece| piece.get(depth).is_some_and(|b| b >= byte));
            to = self.first_between(from, to, |piece| piece.get(depth).is_some_and(|b| b > byte));
            if from == to {
                return;
            }
            if self.piece(from).len() == depth + 1 {
                visit(depth + 1, from);
            }
        }
    }

    /// The first index from which on the pieces are `beyond`, by halving.
    fn first_between(&self, mut from: usize, mut to: usize, beyond: impl Fn(&[u8]) -> bool) -> usize {
        while from < to {
            let middle = from.midpoint(to);
            match beyond(self.piece(middle)) {
                true => to = middle,
                false => from = middle + 1,
            }
        }
        from
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pieces(of: &[(&str, f32)]) -> Pieces {
        let mut sorted: Vec<_> = of.iter().zip(10..).collect();
        sorted.sort_by_key(|((piece, _), _)| *piece);
        let text: String = sorted.iter().map(|((piece, _), _)| *piece).collect();
        let ends = sorted.iter().scan(0, |end, ((piece, _), _)| {
            *end += piece.len() as u32;
            Some(*end)
        });
        let starts = std::iter::once(0).chain(ends).collect();
        let ids = sorted.iter().map(|(_, id)| *id).collect();
        let scores = sorted.iter().map(|((_, score), _)| *score).collect();
        Pieces::new(text.into_bytes(), starts, ids, scores).unwrap()
    }

    #[test]
    fn the_best_way_is_taken_and_unknown_characters_pass() {
        let pieces =
            pieces(&[("a", -1.0), ("ab", -1.5), ("b", -1.0), ("abc", -4.0), ("cé", -1.0), ("c", -2.0)]);
        assert_eq!(pieces.split("ab"), [11]);
        assert_eq!(pieces.split("abc"), [11, 15], "the longest piece is not the best");
        assert_eq!(pieces.split("abcé"), [11, 14]);
        assert_eq!(pieces.split("aé日b"), [10, UNKNOWN, UNKNOWN, 12]);
        assert!(pieces.split("").is_empty());
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        assert!(Pieces::new(b"ab".to_vec(), vec![0, 3], vec![1], vec![0.0]).is_none());
        assert!(Pieces::new(b"ab".to_vec(), vec![0, 2], vec![1, 2], vec![0.0]).is_none());
    }
}
