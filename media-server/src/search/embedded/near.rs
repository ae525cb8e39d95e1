//! Whether the words of a query lie near each other in a passage, read from the index's positions.
//! So only passages that match are taken from the disk.

use tantivy::fastfield::Column;
use tantivy::postings::{Postings, SegmentPostings};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet, SegmentReader};

use super::super::engine::Error;
use super::super::transcript::MAX_SPAN_WORDS;
use super::select::Form;

/// The positions of one segment.
pub struct Near {
    clauses: Vec<Vec<FormPostings>>,
    own_words: Column<u64>,
    spoken: Vec<SpokenForm>,
    positions: Vec<u32>,
}

/// A clause at a word of the passage. Of the same clause at the same word, the form that is not
/// new comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SpokenForm {
    position: u32,
    clause: usize,
    is_new: bool,
}

struct FormPostings {
    terms: Vec<SegmentPostings>,
    is_new: bool,
}

impl Near {
    /// Opens the positions of all forms. `None` if a clause has none in this segment.
    pub fn open(segment: &SegmentReader, clauses: &[Vec<Form>]) -> Result<Option<Self>, Error> {
        let mut opened = Vec::new();
        for forms in clauses {
            let mut found = Vec::new();
            for form in forms {
                found.extend(FormPostings::open(segment, form)?);
            }
            if found.is_empty() {
                return Ok(None);
            }
            opened.push(found);
        }
        let own_words = segment.fast_fields().u64("own_words")?;
        Ok(Some(Self { clauses: opened, own_words, spoken: Vec::new(), positions: Vec::new() }))
    }

    /// True if all clauses occur in a span, one of them in a new form, that may begin in the
    /// passage's own words. Documents are asked for in order, and have all clauses.
    pub fn is_near(&mut self, doc: DocId) -> bool {
        if let [forms] = self.clauses.as_mut_slice()
            && !forms.iter_mut().any(|form| !form.is_new && form.is_in(doc))
        {
            return true;
        }
        self.spoken.clear();
        for (clause, forms) in self.clauses.iter_mut().enumerate() {
            let before = self.spoken.len();
            for form in forms {
                form.read(doc, &mut self.positions);
                let is_new = form.is_new;
                let spoken = self.positions.iter().map(|&position| SpokenForm { position, clause, is_new });
                self.spoken.extend(spoken);
            }
            if self.spoken.len() == before {
                return false;
            }
        }
        self.spoken.sort_unstable();
        self.spoken.dedup_by_key(|spoken| (spoken.position, spoken.clause));
        let own_words = self.own_words.first(doc).unwrap_or(u64::MAX);
        has_span(&self.spoken, self.clauses.len(), own_words)
    }
}

impl FormPostings {
    fn open(segment: &SegmentReader, form: &Form) -> Result<Option<Self>, Error> {
        let mut terms = Vec::new();
        for term in &form.terms {
            let index = segment.inverted_index(term.field())?;
            match index.read_postings(term, IndexRecordOption::WithFreqsAndPositions)? {
                Some(postings) => terms.push(postings),
                None => return Ok(None),
            }
        }
        Ok(Some(Self { terms, is_new: form.is_new }))
    }

    /// True if a document has all its terms.
    fn is_in(&mut self, doc: DocId) -> bool {
        self.terms.iter_mut().all(|term| {
            if term.doc() < doc {
                term.seek(doc);
            }
            term.doc() == doc
        })
    }

    /// The positions where it begins in a document.
    fn read(&mut self, doc: DocId, positions: &mut Vec<u32>) {
        positions.clear();
        if !self.is_in(doc) {
            return;
        }
        let mut following = Vec::new();
        for (number, term) in self.terms.iter_mut().enumerate() {
            if number == 0 {
                term.positions(positions);
            } else {
                term.positions(&mut following);
                positions.retain(|first| following.binary_search(&(first + number as u32)).is_ok());
            }
        }
    }
}

fn has_span(spoken: &[SpokenForm], clauses: usize, own_words: u64) -> bool {
    let mut counts = vec![0_usize; clauses];
    let (mut first, mut missing, mut new) = (0, clauses, 0_usize);
    for last in spoken {
        missing -= usize::from(counts[last.clause] == 0);
        counts[last.clause] += 1;
        new += usize::from(last.is_new);
        while (last.position - spoken[first].position) as usize >= MAX_SPAN_WORDS {
            let gone = spoken[first];
            counts[gone.clause] -= 1;
            missing += usize::from(counts[gone.clause] == 0);
            new -= usize::from(gone.is_new);
            first += 1;
        }
        if u64::from(spoken[first].position) >= own_words {
            return false;
        }
        if missing == 0 && new > 0 {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(spoken: &[(usize, usize, bool)], own_words: u64) -> bool {
        let form = |&(position, clause, is_new): &(usize, usize, bool)| SpokenForm {
            position: position as u32,
            clause,
            is_new,
        };
        has_span(&spoken.iter().map(form).collect::<Vec<_>>(), 2, own_words)
    }

    #[test]
    fn a_span_has_all_clauses_one_of_them_new_and_begins_in_own_words() {
        let far = MAX_SPAN_WORDS;
        assert!(is_near(&[(0, 0, true), (far - 1, 1, false)], 99));
        assert!(!is_near(&[(0, 0, true), (far, 1, false)], 99), "too far apart");
        assert!(!is_near(&[(0, 0, false), (1, 1, false)], 99), "nothing new");
        assert!(!is_near(&[(0, 0, true), (far, 0, false), (far + 1, 1, false)], 99), "the new one is far");
        assert!(is_near(&[(0, 0, true), (far, 1, true), (far + 1, 0, false)], 99), "the second pair");
        assert!(is_near(&[(4, 0, true), (5, 1, true)], 5));
        assert!(!is_near(&[(5, 0, true), (6, 1, true)], 5), "the next passage has it");
    }
}
