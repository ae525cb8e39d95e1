//! What can be revoked, and the name under which that is stored: no person in clear.

use std::fmt;
use std::hash::{Hash, Hasher};

use chalkstream_formats::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Target of a revocation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Target {
    /// One link, by its id, and the sessions made of it.
    Link(String),
    /// One session, by its id.
    Session(String),
    /// Everything of a viewer that was issued before.
    Viewer(String),
    /// Everything of a recording that was issued before.
    Recording(String),
    /// Everything signed by a signing key (its `kid`), or asked with an API key (its id).
    Key(String),
}

impl Target {
    /// Its kind; `None` for a key, which is no part of a token's claims.
    pub fn kind(&self) -> Option<TargetKind> {
        match self {
            Target::Link(_) => Some(TargetKind::Link),
            Target::Session(_) => Some(TargetKind::Session),
            Target::Viewer(_) => Some(TargetKind::Viewer),
            Target::Recording(_) => Some(TargetKind::Recording),
            Target::Key(_) => None,
        }
    }

    /// The id within its kind.
    pub fn id(&self) -> &str {
        match self {
            Target::Link(id)
            | Target::Session(id)
            | Target::Viewer(id)
            | Target::Recording(id)
            | Target::Key(id) => id,
        }
    }
}

/// Kind of a target that tokens name. In the order of its words, by which lists are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TargetKind {
    /// A link.
    Link,
    /// A recording.
    Recording,
    /// A session.
    Session,
    /// A viewer.
    Viewer,
}

impl TargetKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Link, Self::Recording, Self::Session, Self::Viewer];

    /// Its word in the API, and in stored objects.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetKind::Link => "link",
            TargetKind::Recording => "recording",
            TargetKind::Session => "session",
            TargetKind::Viewer => "viewer",
        }
    }

    /// The kind of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Name of a target within its tenant: the id where that is a UUID, else a hash of it, because an
/// id that a platform chose may name a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetName {
    kind: TargetKind,
    id: [u8; 16],
}

impl TargetName {
    /// `None` for a key, whose revocation is an object of its own.
    pub fn new(tenant: &str, target: &Target) -> Option<Self> {
        let kind = target.kind()?;
        let id = match kind {
            TargetKind::Link | TargetKind::Session => unhyphenated(target.id()),
            TargetKind::Viewer => None,
            TargetKind::Recording => recording_id(target.id()),
        };
        Some(Self { kind, id: id.unwrap_or_else(|| hash(tenant, kind, target.id())) })
    }

    /// Reads the text that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once('-')?;
        Self::from_parts(kind, id)
    }

    pub(super) fn from_parts(kind: &str, id: &str) -> Option<Self> {
        Some(Self { kind: TargetKind::parse(kind)?, id: unhyphenated(id)? })
    }

    /// Its kind.
    pub fn kind(&self) -> TargetKind {
        self.kind
    }

    /// 32 hexadecimal digits.
    pub(super) fn hex(&self) -> String {
        hex::encode(&self.id)
    }

    /// A byte that differs from one to the next: the last, because a UUID begins with the time.
    pub(super) fn last_byte(&self) -> u8 {
        self.id[15]
    }

    /// The id of a recording, which is no person.
    pub(super) fn recording(&self) -> Option<String> {
        let id = Uuid::from_bytes(self.id).hyphenated();
        (self.kind == TargetKind::Recording).then(|| id.to_string())
    }
}

/// At once: this is done for each request.
impl Hash for TargetName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_le_bytes(self.id) ^ self.kind as u128);
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.kind.as_str(), self.hex())
    }
}

/// Each part goes in with its length, so that no two targets run into one.
fn hash(tenant: &str, kind: TargetKind, id: &str) -> [u8; 16] {
    let mut text = Vec::with_capacity(256);
    for part in [tenant, kind.as_str(), id] {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::digest(&text)[..16]);
    short
}

/// The bytes of 32 lower-case hexadecimal digits: ids of links and sessions that we made.
fn unhyphenated(text: &str) -> Option<[u8; 16]> {
    let id = Uuid::try_parse(text).ok()?;
    (id.simple().encode_lower(&mut Uuid::encode_buffer()) == text).then(|| id.into_bytes())
}

/// The bytes of a UUID in its one spelling: hyphenated, lower case.
fn recording_id(text: &str) -> Option<[u8; 16]> {
    let id = Uuid::try_parse(text).ok()?;
    (id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then(|| id.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout;

    #[test]
    fn targets_do_not_run_into_each_other() {
        let all = [
            ("a", Target::Link("x".into())),
            ("a", Target::Session("x".into())),
            ("a", Target::Viewer("x".into())),
            ("b", Target::Link("x".into())),
            ("a4:link", Target::Link("x".into())),
            ("a", Target::Link("x1:".into())),
        ];
        let names: std::collections::BTreeSet<_> =
            all.iter().map(|(tenant, target)| TargetName::new(tenant, target).unwrap()).collect();
        assert_eq!(names.len(), all.len());
        assert!(TargetName::new("a", &Target::Key("k".into())).is_none());
    }

    #[test]
    fn a_name_is_read_back_and_says_nothing_about_a_person() {
        let viewer = TargetName::new("t", &Target::Viewer("jane@school.org".into())).unwrap();
        assert!(!viewer.to_string().contains("jane"));
        let recording = layout::new_recording_id();
        let lesson = TargetName::new("t", &Target::Recording(recording.clone())).unwrap();
        assert_eq!((viewer.recording(), lesson.recording()), (None, Some(recording.clone())));
        for name in [viewer, lesson] {
            assert_eq!(TargetName::parse(&name.to_string()), Some(name));
        }
        // A viewer's name that looks like an id of ours is hashed all the same.
        let digits = "0123456789abcdef0123456789abcdef";
        assert_ne!(TargetName::new("t", &Target::Viewer(digits.into())).unwrap().hex(), digits);
        // Only the one spelling of an id is taken for one.
        let upper = Target::Recording(recording.to_uppercase());
        assert_ne!(TargetName::new("t", &upper).unwrap(), lesson);
        let moved = Target::Recording(recording.replace('-', "0"));
        assert_ne!(TargetName::new("t", &moved).unwrap(), lesson);
        for bad in ["", "viewer", "viewer-", "key-0123456789abcdef", &format!("link-{digits}0")] {
            assert!(TargetName::parse(bad).is_none(), "{bad}");
        }
    }
}
