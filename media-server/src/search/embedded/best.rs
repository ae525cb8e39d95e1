//! The best documents of a search.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tantivy::{DocAddress, Score};

/// So many documents at most, those with the highest score.
pub struct Best {
    limit: usize,
    /// The worst of them on top.
    found: BinaryHeap<Reverse<Scored>>,
}

/// A document with its score. Of those with the same, the first one found counts more.
#[derive(PartialEq)]
struct Scored(Score, Reverse<DocAddress>);

impl Eq for Scored {}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then_with(|| self.1.cmp(&other.1))
    }
}

impl Best {
    /// At most `limit` documents.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), found: BinaryHeap::new() }
    }

    /// The score that a document has to exceed.
    pub fn threshold(&self) -> Score {
        match self.found.peek() {
            Some(Reverse(worst)) if self.found.len() >= self.limit => worst.0,
            _ => Score::MIN,
        }
    }

    /// Adds a document.
    pub fn add(&mut self, score: Score, address: DocAddress) {
        self.found.push(Reverse(Scored(score, Reverse(address))));
        if self.found.len() > self.limit {
            self.found.pop();
        }
    }

    /// The documents, best first.
    pub fn into_sorted(self) -> Vec<DocAddress> {
        self.found.into_sorted_vec().into_iter().map(|Reverse(Scored(_, Reverse(address)))| address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_stay_and_of_equal_ones_the_first() {
        let mut best = Best::new(3);
        let scores = [1.0, 3.0, 2.0, 2.0, 2.0, 0.5, 3.0];
        for (doc, score) in (0..).zip(scores) {
            if score > best.threshold() {
                best.add(score, DocAddress::new(0, doc));
            }
        }
        assert_eq!(best.threshold(), 2.0);
        let docs: Vec<u32> = best.into_sorted().into_iter().map(|address| address.doc_id).collect();
        assert_eq!(docs, [1, 6, 2]);
    }
}
