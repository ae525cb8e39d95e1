//! Changes that wait for a commit.

use std::collections::{BTreeMap, HashMap};

use super::documents::LessonDocuments;

/// Bytes of one bulk request, but for its last document.
const MAX_BODY_BYTES: usize = 4 << 20;

/// The changes of all tenants.
#[derive(Default)]
pub struct Pending {
    tenants: BTreeMap<String, Changes>,
    /// True if changes were dropped, because they could not be sent.
    pub is_lost: bool,
}

/// The changes of one tenant.
#[derive(Default)]
pub struct Changes {
    /// Bodies of bulk requests with passages, which are found once their lesson is there.
    pub bodies: Vec<Vec<u8>>,
    /// What becomes of each recording.
    pub recordings: HashMap<String, Change>,
}

impl Changes {
    /// True if they have a lesson, be it one without words.
    pub fn has_lessons(&self) -> bool {
        self.recordings.values().any(|change| matches!(change, Change::Replaced { .. }))
    }
}

/// A change of a recording.
pub enum Change {
    /// Its passages are those of this tag, and this is its own document.
    Replaced {
        tag: String,
        lesson: String,
    },
    Removed,
}

impl Pending {
    /// Adds a lesson. Returns bodies that are large enough to be sent already.
    pub fn replace(&mut self, tenant: &str, recording: &str, documents: LessonDocuments) -> Vec<Vec<u8>> {
        let changes = self.tenants.entry(tenant.to_owned()).or_default();
        fill(&mut changes.bodies, documents.passages);
        let change = Change::Replaced { tag: documents.tag, lesson: documents.lesson };
        changes.recordings.insert(recording.to_owned(), change);
        match changes.bodies.pop() {
            Some(last) => std::mem::replace(&mut changes.bodies, vec![last]),
            None => Vec::new(),
        }
    }

    /// Adds a removal.
    pub fn remove(&mut self, tenant: &str, recording: &str) {
        let changes = self.tenants.entry(tenant.to_owned()).or_default();
        changes.recordings.insert(recording.to_owned(), Change::Removed);
    }

    /// Takes all changes.
    pub fn take(&mut self) -> BTreeMap<String, Changes> {
        std::mem::take(&mut self.tenants)
    }

    /// Drops all changes.
    pub fn lose(&mut self) {
        self.is_lost = true;
        self.tenants.clear();
    }
}

/// Distributes documents over bodies of bulk requests.
pub fn fill(bodies: &mut Vec<Vec<u8>>, documents: impl IntoIterator<Item = String>) {
    for document in documents {
        match bodies.last_mut().filter(|body| body.len() < MAX_BODY_BYTES) {
            Some(body) => body.extend_from_slice(document.as_bytes()),
            None => bodies.push(document.into_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_bounded_and_full_ones_are_handed_out() {
        let mut pending = Pending::default();
        let mut sent = Vec::new();
        for n in 0..7 {
            let documents = LessonDocuments {
                tag: n.to_string(),
                passages: vec!["x".repeat(1 << 20); 3],
                lesson: String::new(),
            };
            sent.extend(pending.replace("acme", &format!("r{n}"), documents));
        }
        let left = pending.take().remove("acme").map(|changes| changes.bodies).unwrap_or_default();
        let sizes: Vec<usize> = sent.iter().chain(&left).map(|body| body.len() >> 20).collect();
        assert_eq!(sizes, [4, 4, 4, 4, 4, 1]);
        assert_eq!(left.len(), 1);
        assert!(pending.take().is_empty());
    }
}
