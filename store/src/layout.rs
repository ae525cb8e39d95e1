//! Keys of all objects. Pure functions from ids to keys; nothing else in the program spells a
//! key.

use crate::{Error, Result};

/// Folder of what belongs to no tenant.
pub const SYSTEM: &str = "_system";

/// True for 1 to 40 characters of `a-z`, `0-9` and `-`.
pub fn valid_tenant(tenant: &str) -> bool {
    (1..=40).contains(&tenant.len())
        && tenant.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// True for a UUID in lower-case hyphenated text.
pub fn valid_recording(recording: &str) -> bool {
    recording.len() == 36
        && recording.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// A new recording's id (UUID v7: sorted by time of creation).
pub fn new_recording_id() -> String {
    uuid::Uuid::now_v7().hyphenated().to_string()
}

/// Refuses ids that are not ones.
pub fn check_ids(tenant: &str, recording: &str) -> Result<()> {
    if !valid_tenant(tenant) {
        return Err(Error::invalid("not a tenant id"));
    }
    if !valid_recording(recording) {
        return Err(Error::invalid("not a recording id"));
    }
    Ok(())
}

/// Everything of a tenant.
pub fn tenant_prefix(tenant: &str) -> String {
    format!("{tenant}/")
}

/// Everything of a recording.
pub fn recording_prefix(tenant: &str, recording: &str) -> String {
    format!("{tenant}/{recording}/")
}

/// Full key of an object named relative to its recording, as manifests do.
pub fn object_key(tenant: &str, recording: &str, relative: &str) -> String {
    format!("{tenant}/{recording}/{relative}")
}

/// The uploaded file, relative to its recording. The extension is cut to what a key may hold.
pub fn source_relative(filename: &str) -> String {
    let extension: String = match filename.rsplit_once('.') {
        Some((_, e)) if !e.is_empty() && e.len() <= 8 && e.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            e.to_ascii_lowercase()
        }
        _ => "bin".into(),
    };
    format!("source/original.{extension}")
}

/// The uploaded file.
pub fn source_key(tenant: &str, recording: &str, filename: &str) -> String {
    object_key(tenant, recording, &source_relative(filename))
}

/// All manifests of a recording.
pub fn manifest_prefix(tenant: &str, recording: &str) -> String {
    object_key(tenant, recording, "manifest/")
}

/// The manifest written under a fence. Padded, so that the order of keys is the order of fences.
pub fn manifest_key(tenant: &str, recording: &str, fence: u64) -> String {
    object_key(tenant, recording, &format!("manifest/{fence:020}.json"))
}

/// The multivariant playlist of a revision, relative to its recording.
pub fn master_relative(revision: u32) -> String {
    format!("hls/{revision}/master.m3u8")
}

/// The multivariant playlist of a revision's H.265 source, where it has one, relative to its
/// recording.
pub fn hevc_relative(revision: u32) -> String {
    format!("hls/{revision}/hevc.m3u8")
}

/// The revision whose multivariant playlist has this key, relative to its recording.
pub fn revision_of(relative: &str) -> Option<u32> {
    let id = relative.strip_prefix("hls/")?.split_once('/')?.0.parse().ok()?;
    (relative == master_relative(id) || relative == hevc_relative(id)).then_some(id)
}

/// Name of the media playlist of a rendition that is still being made. It lies next to the
/// rendition's own and is the one object that is overwritten.
pub const LIVE_PLAYLIST: &str = "growing.m3u8";

/// Groups of a recording's outputs that are streamed.
const STREAMED: &[&str] = &["video", "audio", "iframes", "subtitles", "source"];

/// Whether the outputs of a group (`video`, `stills`, …) are streamed. They lie below `hls/`.
pub fn is_streamed(group: &str) -> bool {
    STREAMED.contains(&group)
}

/// The fence in the key of an attempt's object, which is relative to the recording
/// (`hls/video/17/…`, `stills/17/…`); `None` if it has none.
pub fn fence_of(relative: &str) -> Option<u64> {
    let mut parts = relative.split('/');
    let first = parts.next()?;
    let second = parts.next()?;
    let number = match first {
        "hls" if is_streamed(second) => parts.next()?,
        "stills" | "transcript" | "work" | "index" | "inventory" => second,
        _ => return None,
    };
    // The rest names a file below the attempt's folder.
    parts.next().or((first != "hls").then_some(""))?;
    number.parse().ok()
}

/// The inventory of an attempt at a step, relative to its recording.
pub fn inventory_relative(fence: u64, step: &str) -> String {
    format!("inventory/{fence}/{step}.json")
}

/// What the names of objects with corrections begin with. They lie among the manifests, so that one
/// listing shows whether either has changed.
const CORRECTIONS: &str = "manifest/corrections-";

/// The corrections of a recording after so many changes. `writer` keeps two writers of one number
/// from writing to the same key. Padded, as the keys of manifests are.
pub fn corrections_key(tenant: &str, recording: &str, number: u64, writer: &str) -> String {
    object_key(tenant, recording, &format!("{CORRECTIONS}{number:020}-{writer}.json"))
}

/// Number and writer of such an object; `None` if the key is another one's.
pub fn parse_corrections_key(key: &str) -> Option<(u64, &str)> {
    let name = key.rsplit_once(CORRECTIONS)?.1.strip_suffix(".json")?;
    let (number, writer) = name.split_once('-')?;
    Some((number.parse().ok()?, writer))
}

/// What an object belongs to, by its key relative to the recording: `source`, `hls`, `corrections`,
/// …
pub fn part_of(relative: &str) -> &str {
    if relative.starts_with(CORRECTIONS) {
        return "corrections";
    }
    relative.split('/').next().unwrap_or_default()
}

/// All moments of a recording.
pub fn moments_prefix(tenant: &str, recording: &str) -> String {
    object_key(tenant, recording, "moments/")
}

/// A moment of a recording.
pub fn moment_key(tenant: &str, recording: &str, moment: &str) -> String {
    object_key(tenant, recording, &format!("moments/{moment}.json"))
}

/// The recordings of a tenant that are in one state, newest first.
pub fn list_prefix(tenant: &str, state: &str) -> String {
    format!("{tenant}/_list/{state}/")
}

/// The entry of a recording in the list of a state. Its name is the id with every digit inverted,
/// so that newer ones come first. About three days share a folder, as no folder may grow for ever.
pub fn list_key(tenant: &str, state: &str, recording: &str) -> String {
    let name = inverted(recording);
    let folder = name.get(..LIST_FOLDER_DIGITS).unwrap_or_default();
    format!("{}{folder}/{name}", list_prefix(tenant, state))
}

/// The recording of such an entry; `None` if the key is another one's.
pub fn listed_recording(key: &str) -> Option<String> {
    let recording = inverted(key.rsplit('/').next()?);
    valid_recording(&recording).then_some(recording)
}

/// The folder of a recording's entry, under the list of any state.
pub fn list_folder(recording: &str) -> String {
    let name = inverted(recording);
    format!("{}/", name.get(..LIST_FOLDER_DIGITS).unwrap_or_default())
}

/// The record that the lists of a tenant have all its recordings.
pub fn lists_built_key(tenant: &str) -> String {
    format!("{tenant}/_lists/built.json")
}

/// Copies of the newest entries in the list of a state, in one object.
pub fn list_copies_key(tenant: &str, state: &str) -> String {
    format!("{tenant}/_lists/{state}.json")
}

/// Leading digits of an id that make a folder: its time of creation in units of 2^28 ms.
const LIST_FOLDER_DIGITS: usize = 5;

/// Every hexadecimal digit becomes 15 minus itself. Twice is the same text again.
fn inverted(text: &str) -> String {
    let invert = |c: char| c.to_digit(16).and_then(|digit| char::from_digit(15 - digit, 16)).unwrap_or(c);
    text.chars().map(invert).collect()
}

/// All pending markers of a tenant.
pub fn pending_prefix(tenant: &str) -> String {
    format!("{tenant}/_pending/")
}

/// The marker of a recording whose job has not reached a terminal state.
pub fn pending_key(tenant: &str, recording: &str) -> String {
    format!("{tenant}/_pending/{recording}")
}

/// All markers of refused recordings of a tenant.
pub fn refused_prefix(tenant: &str) -> String {
    format!("{tenant}/_refused/")
}

/// The marker of a recording that was refused at a time, in ms since the epoch, by the manifest of
/// a fence. Markers are listed by time.
pub fn refused_key(tenant: &str, at_ms: u64, fence: u64, recording: &str) -> String {
    format!("{}{at_ms:013}-{fence}-{recording}", refused_prefix(tenant))
}

/// Time, fence and recording of such a marker; `None` if the key is another one's.
pub fn parse_refused<'a>(key: &'a str, prefix: &str) -> Option<(u64, u64, &'a str)> {
    let mut parts = key.strip_prefix(prefix)?.splitn(3, '-');
    let (at_ms, fence, recording) = (parts.next()?, parts.next()?, parts.next()?);
    Some((at_ms.parse().ok()?, fence.parse().ok()?, recording)).filter(|_| valid_recording(recording))
}

/// All upload states of a tenant.
pub fn uploads_prefix(tenant: &str) -> String {
    format!("{tenant}/_uploads/")
}

/// The durable state of an upload.
pub fn upload_state_key(tenant: &str, upload: &str) -> String {
    format!("{tenant}/_uploads/{upload}.json")
}

/// The bytes of an upload that do not fill a part yet.
pub fn upload_tail_key(tenant: &str, upload: &str) -> String {
    format!("{tenant}/_uploads/{upload}.tail")
}

/// The bytes of a complete partial upload (tus concatenation), until they are part of a recording's
/// source.
pub fn upload_partial_key(tenant: &str, upload: &str) -> String {
    format!("{tenant}/_uploads/{upload}.upload")
}

/// The state of an upload that was acknowledged.
pub fn upload_done_key(tenant: &str, upload: &str) -> String {
    format!("{tenant}/_uploads/{upload}.done")
}

/// All deletions of a tenant that are under way.
pub fn deleted_prefix(tenant: &str) -> String {
    format!("{tenant}/_deleted/")
}

/// The marker of a deletion that is under way.
pub fn deleted_key(tenant: &str, recording: &str) -> String {
    format!("{tenant}/_deleted/{recording}")
}

/// The receipt of a deletion that is finished. Not below [`deleted_prefix`], which is listed often.
pub fn receipt_key(tenant: &str, recording: &str) -> String {
    format!("{tenant}/_receipts/{recording}.json")
}

/// The list of pupils' names of a tenant.
pub fn names_key(tenant: &str) -> String {
    format!("{tenant}/_names/list.json")
}

/// The vocabulary of a tenant.
pub fn vocabulary_key(tenant: &str) -> String {
    format!("{tenant}/_vocabulary/list.json")
}

/// Which recording a deduplication value belongs to; the value is hashed, since it may name a
/// person.
pub fn dedupe_key(tenant: &str, value: &str) -> String {
    format!("{tenant}/_dedupe/{}", crate::objects::sha256_hex(value.as_bytes()))
}

/// All tenants.
pub fn tenants_prefix() -> String {
    format!("{SYSTEM}/tenants/")
}

/// A tenant's own record.
pub fn tenant_key(tenant: &str) -> String {
    format!("{SYSTEM}/tenants/{tenant}.json")
}

/// All API keys and signing keys.
pub fn keys_prefix() -> String {
    format!("{SYSTEM}/keys/")
}

/// An API key's record.
pub fn api_key_key(id: &str) -> String {
    format!("{SYSTEM}/keys/api/{id}.json")
}

/// A signing key.
pub fn signing_key_key(kid: &str) -> String {
    format!("{SYSTEM}/keys/signing/{kid}.json")
}

/// All records that a key is revoked.
pub fn revoked_keys_prefix() -> String {
    format!("{SYSTEM}/keys/revoked/")
}

/// The record that a key is revoked.
pub fn revoked_key_key(id: &str) -> String {
    format!("{SYSTEM}/keys/revoked/{id}.json")
}

/// Since when tokens of version 2 are made.
pub fn token_version_key() -> String {
    format!("{SYSTEM}/tokens/version-2.json")
}

/// All revocations. Those of earlier builds lie right under it and begin with a hexadecimal digit,
/// so they come first.
pub fn revocations_prefix() -> String {
    format!("{SYSTEM}/revocations/")
}

/// An object of the revocation log, which can be removed after `until_s` (seconds since 1970).
pub fn revocation_log_key(level: u8, id: &str, until_s: u64) -> String {
    format!("{SYSTEM}/revocations/log-{level}/{id}.{until_s}")
}

/// Level and `until_s` of an object of the revocation log.
pub(crate) fn revocation_log_level(key: &str) -> Option<(u8, u64)> {
    let (level, name) = key.strip_prefix(&format!("{SYSTEM}/revocations/log-"))?.split_once('/')?;
    Some((level.parse().ok()?, name.rsplit_once('.')?.1.parse().ok()?))
}

#[cfg(test)]
mod tests;
