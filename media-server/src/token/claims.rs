//! The claims of links and sessions, in the order in which they are written.

use super::wire::{Reader, TokenKind, Version, Writer};

/// Size limit of a viewer's name.
pub const MAX_VIEWER_BYTES: usize = 128;
/// Size limit of a token's id.
pub const MAX_ID_BYTES: usize = 64;

/// The right to correct the transcript.
const CORRECT: &str = "correct";

/// A part of a lesson, in ms from its start. `None` leaves that side open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Window {
    /// First ms that may be seen.
    pub start_ms: Option<u64>,
    /// First ms that may no longer be seen.
    pub end_ms: Option<u64>,
}

impl Window {
    /// True if the entire lesson may be seen.
    pub fn is_open(&self) -> bool {
        self.start_ms.is_none() && self.end_ms.is_none()
    }

    /// True if some of `start_ms..end_ms` lies inside.
    pub fn overlaps(&self, start_ms: u64, end_ms: u64) -> bool {
        self.start_ms.is_none_or(|from| end_ms > from) && self.end_ms.is_none_or(|to| start_ms < to)
    }

    /// True if all of `start_ms..end_ms` lies inside.
    pub fn holds(&self, start_ms: u64, end_ms: u64) -> bool {
        self.start_ms.is_none_or(|from| start_ms >= from) && self.end_ms.is_none_or(|to| end_ms <= to)
    }
}

/// A link: the right to open one recording within the next minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Id by which it can be revoked; letters, digits, `-` and `_`.
    pub id: String,
    /// The recording.
    pub recording: String,
    /// The viewer that it was made for; an opaque name, at most 128 bytes.
    pub viewer: String,
    /// Time of issue, in seconds since 1970. `None` in version 1: then it counts as issued before
    /// every revocation.
    pub issued_at_s: Option<u64>,
    /// Time of expiry, in seconds since 1970.
    pub expires_at_s: u64,
    /// The part of the lesson that may be seen.
    pub window: Window,
    /// Limit on a variant's bits per second.
    pub max_bps: Option<u64>,
    /// Whether the viewer may correct the transcript.
    pub may_correct: bool,
}

impl Link {
    pub(super) const KIND: TokenKind =
        TokenKind { letter: b'L', domain_v1: "chalkstream.link.v1", domain_v2: "chalkstream.link.v2" };

    /// The token's text.
    pub fn seal(&self, kid: &str, secret: &[u8]) -> String {
        let version = version(self.issued_at_s);
        let mut writer = Writer::new(version, &Self::KIND, kid);
        writer.bytes(self.id.as_bytes()).bytes(self.recording.as_bytes()).bytes(self.viewer.as_bytes());
        write_times(&mut writer, self.issued_at_s, self.expires_at_s);
        writer.optional(self.window.start_ms).optional(self.window.end_ms).optional(self.max_bps);
        write_rights(&mut writer, version, self.may_correct);
        writer.seal(version, &Self::KIND, secret)
    }

    pub(super) fn read(version: Version, reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            id: id(reader)?,
            recording: recording(reader)?,
            viewer: viewer(reader)?,
            issued_at_s: issued_at(version, reader)?,
            expires_at_s: reader.number()?,
            window: window(reader)?,
            max_bps: reader.optional()?,
            may_correct: may_correct(version, reader)?,
        })
    }
}

/// A session: the right to play one revision of one recording for the length of the lesson and some
/// hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Id by which it can be revoked.
    pub id: String,
    /// The link that it was made of; revoking the link ends the session too.
    pub link: String,
    /// The recording.
    pub recording: String,
    /// The viewer that the link was made for.
    pub viewer: String,
    /// Time of issue, as for a link.
    pub issued_at_s: Option<u64>,
    /// Seconds since 1970 from which on it is refused.
    pub expires_at_s: u64,
    /// The part of the lesson that may be seen.
    pub window: Window,
    /// Most bits per second a variant may have.
    pub max_bps: Option<u64>,
    /// The revision it plays.
    pub revision: u32,
    /// The issue time of its link. `None` in version 1, and in sessions of earlier builds.
    pub link_issued_at_s: Option<u64>,
    /// Whether the viewer may correct the transcript. Only with `link_issued_at_s`.
    pub may_correct: bool,
}

impl Session {
    pub(super) const KIND: TokenKind =
        TokenKind { letter: b'S', domain_v1: "chalkstream.session.v1", domain_v2: "chalkstream.session.v2" };
    /// A session that may load images and nothing else.
    pub(super) const IMAGES: TokenKind =
        TokenKind { letter: b'I', domain_v1: "chalkstream.images.v1", domain_v2: "chalkstream.images.v2" };

    /// The token's text.
    pub fn seal(&self, kid: &str, secret: &[u8]) -> String {
        self.seal_as(&Self::KIND, kid, secret)
    }

    /// The text of a token that is good for the lesson's images alone.
    pub fn seal_for_images(&self, kid: &str, secret: &[u8]) -> String {
        self.seal_as(&Self::IMAGES, kid, secret)
    }

    fn seal_as(&self, kind: &TokenKind, kid: &str, secret: &[u8]) -> String {
        let version = version(self.issued_at_s);
        let mut writer = Writer::new(version, kind, kid);
        writer.bytes(self.id.as_bytes()).bytes(self.link.as_bytes());
        writer.bytes(self.recording.as_bytes()).bytes(self.viewer.as_bytes());
        write_times(&mut writer, self.issued_at_s, self.expires_at_s);
        writer.optional(self.window.start_ms).optional(self.window.end_ms).optional(self.max_bps);
        writer.number(self.revision.into());
        if let (Version::V2, Some(link_issued_at_s)) = (version, self.link_issued_at_s) {
            writer.number(link_issued_at_s);
            write_rights(&mut writer, version, self.may_correct);
        }
        writer.seal(version, kind, secret)
    }

    /// The time that revocations are compared with: the earlier issue time, of the link or of the
    /// session. A server may make the session before it knows that the link is revoked.
    pub fn first_issued_at_s(&self) -> Option<u64> {
        self.issued_at_s.map(|own| own.min(self.link_issued_at_s.unwrap_or(own)))
    }

    pub(super) fn read(version: Version, reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            id: id(reader)?,
            link: id(reader)?,
            recording: recording(reader)?,
            viewer: viewer(reader)?,
            issued_at_s: issued_at(version, reader)?,
            expires_at_s: reader.number()?,
            window: window(reader)?,
            max_bps: reader.optional()?,
            revision: u32::try_from(reader.number()?).ok()?,
            link_issued_at_s: link_issued_at(version, reader)?,
            may_correct: may_correct(version, reader)?,
        })
    }
}

/// True for a valid token id.
pub fn is_id(text: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// True for a valid viewer's name.
pub fn is_viewer(text: &str) -> bool {
    (1..=MAX_VIEWER_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn version(issued_at_s: Option<u64>) -> Version {
    if issued_at_s.is_some() { Version::V2 } else { Version::V1 }
}

fn write_times(writer: &mut Writer, issued_at_s: Option<u64>, expires_at_s: u64) {
    if let Some(issued_at_s) = issued_at_s {
        writer.number(issued_at_s);
    }
    writer.number(expires_at_s);
}

fn issued_at(version: Version, reader: &mut Reader<'_>) -> Option<Option<u64>> {
    match version {
        Version::V1 => Some(None),
        Version::V2 => reader.number().map(Some),
    }
}

/// The last field of a link and of a session, which is absent without rights.
fn write_rights(writer: &mut Writer, version: Version, may_correct: bool) {
    if version == Version::V2 && may_correct {
        writer.bytes(CORRECT.as_bytes());
    }
}

fn may_correct(version: Version, reader: &mut Reader<'_>) -> Option<bool> {
    if version == Version::V1 || reader.is_at_end() {
        return Some(false);
    }
    // Any other right is one that this server does not know.
    (reader.text()? == CORRECT).then_some(true)
}

/// The field before a session's rights. Earlier builds did not write it.
fn link_issued_at(version: Version, reader: &mut Reader<'_>) -> Option<Option<u64>> {
    match version {
        Version::V2 if !reader.is_at_end() => reader.number().map(Some),
        Version::V1 | Version::V2 => Some(None),
    }
}

fn id(reader: &mut Reader<'_>) -> Option<String> {
    reader.text().filter(|text| is_id(text)).map(Into::into)
}

fn viewer(reader: &mut Reader<'_>) -> Option<String> {
    reader.text().filter(|text| is_viewer(text)).map(Into::into)
}

/// A recording's id in its one spelling: hyphenated, lower case.
fn recording(reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.text()?;
    let id = uuid::Uuid::try_parse(text).ok()?;
    (id.hyphenated().to_string() == text).then(|| text.to_owned())
}

fn window(reader: &mut Reader<'_>) -> Option<Window> {
    let window = Window { start_ms: reader.optional()?, end_ms: reader.optional()? };
    match (window.start_ms, window.end_ms) {
        (Some(start), Some(end)) if start >= end => None,
        _ => Some(window),
    }
}
