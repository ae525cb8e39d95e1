//! The durable state of an upload. The server of the next request reads it from storage; nothing
//! about an upload is trusted from memory.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use chalkstream_store::objects::sha256_hex;
use chalkstream_store::vocabulary::Vocabulary;
use chalkstream_store::{Kind, Part, Store, layout};
use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest, Sha256};

use super::protocol::UploadMetadata;
use crate::problem::Problem;

/// Size of a part: S3 refuses smaller ones, and with larger ones an interrupted server loses more.
const PART_BYTES: u64 = 5 << 20;
/// Limit of parts, a little below S3's 10,000.
const MAX_PARTS: u64 = 9_000;

/// An upload as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Version of this format: 1.
    pub version: u32,
    /// Its tenant.
    pub tenant: String,
    /// Its id, which is the id of the recording it makes.
    pub id: String,
    /// The deduplication value of its `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<String>,
    /// The file's name.
    pub filename: String,
    /// The recording's title.
    pub title: String,
    /// The platform's id of the uploader.
    pub uploader: String,
    /// Time by which it is needed, in ms since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at_ms: Option<u64>,
    /// Words and names that may be said in it.
    #[serde(default, skip_serializing_if = "Vocabulary::is_empty")]
    pub vocabulary: Vocabulary,
    /// `Upload-Metadata` as the client sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// Its size; the largest size allowed while `length_deferred`.
    pub size_bytes: u64,
    /// The client has not yet stated the length (`Upload-Defer-Length`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub length_deferred: bool,
    /// Its role in a concatenation (`Upload-Concat`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concat: Option<Concat>,
    /// When it was created, in ms since 1970.
    pub created_at_ms: u64,
    /// When it expires, in ms since 1970.
    pub expires_at_ms: u64,
    /// Bytes of every part but the last.
    pub part_bytes: u64,
    /// The storage's id of the multipart upload; `None` before its first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multipart: Option<String>,
    /// The parts that are durable.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Bytes of the `.tail` object that follow the parts.
    #[serde(default)]
    pub tail_bytes: u64,
    /// SHA-256 of those bytes, to detect that the object was overwritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail_sha256: Option<String>,
    /// Running SHA-256 over the parts. Without it the finished object is hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Where the request that sent the last bytes began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<RequestStart>,
    /// Counts the requests that read the offset for a client. A writer with an older count writes
    /// no more, so that the offset stays as the client knows it.
    #[serde(default)]
    pub fence: u64,
    /// Set once every byte is durable: from then on any server can finish it.
    #[serde(default)]
    pub complete: bool,
    /// Set once it is acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<UploadOutcome>,
}

/// The start of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestStart {
    /// Its `Upload-Offset`.
    pub offset: u64,
    /// Running SHA-256 over all bytes before it.
    pub hash: String,
}

/// A role in tus concatenation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Concat {
    /// One part of a file. It never becomes a recording.
    Partial {
        /// Its bytes are one object, ready to read.
        #[serde(default)]
        stored: bool,
        /// The final upload that needs its bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        final_upload: Option<String>,
    },
    /// A file that is joined from partial uploads.
    Final {
        /// The partial uploads, in order.
        partials: Vec<PartialRef>,
        /// `Upload-Concat` as the client sent it.
        header: String,
    },
}

/// One partial upload in a final one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialRef {
    /// Id of the partial upload.
    pub id: String,
    /// Its bytes.
    pub size_bytes: u64,
}

/// The recording of an acknowledged upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadOutcome {
    /// The recording. It is not the upload's own if the same file was here already.
    pub recording: String,
    /// Whether the file was here already.
    pub existing: bool,
}

impl Upload {
    /// A new upload of `size_bytes` that expires `ttl_ms` after `now_ms`. `min_part_bytes` is the
    /// storage's limit.
    pub fn new(
        tenant: &str,
        size_bytes: u64,
        min_part_bytes: u64,
        metadata: UploadMetadata,
        now_ms: u64,
        ttl_ms: u64,
    ) -> Self {
        Self {
            version: 1,
            tenant: tenant.into(),
            id: layout::new_recording_id(),
            idempotency: None,
            filename: metadata.filename,
            title: metadata.title,
            uploader: metadata.uploader,
            due_at_ms: metadata.due_at_ms,
            vocabulary: metadata.vocabulary,
            metadata: metadata.raw,
            size_bytes,
            length_deferred: false,
            concat: None,
            created_at_ms: now_ms,
            expires_at_ms: now_ms + ttl_ms,
            part_bytes: part_bytes(size_bytes, min_part_bytes),
            multipart: None,
            parts: Vec::new(),
            tail_bytes: 0,
            tail_sha256: None,
            hash: None,
            began: None,
            fence: 0,
            complete: size_bytes == 0,
            finished: None,
        }
    }

    /// Bytes in durable parts.
    pub fn parts_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.size_bytes).sum()
    }

    /// Durable bytes, the value of `Upload-Offset`.
    pub fn offset(&self) -> u64 {
        if self.complete { self.size_bytes } else { self.parts_bytes() + self.tail_bytes }
    }

    /// True if every byte is durable. A server that died may not have marked it complete.
    pub fn is_complete(&self) -> bool {
        !self.length_deferred && self.offset() >= self.size_bytes
    }

    /// True if nothing is left to do: it is acknowledged, or a partial upload that can be read.
    pub fn is_settled(&self) -> bool {
        self.finished.is_some() || matches!(self.concat, Some(Concat::Partial { stored: true, .. }))
    }

    /// True for one part of a file.
    pub fn is_partial(&self) -> bool {
        matches!(self.concat, Some(Concat::Partial { .. }))
    }

    /// True for a file that is joined from partial uploads.
    pub fn is_final(&self) -> bool {
        matches!(self.concat, Some(Concat::Final { .. }))
    }

    /// Stores the facts of the `.tail` object.
    pub fn keep_tail(&mut self, bytes: &[u8]) {
        self.tail_bytes = bytes.len() as u64;
        self.tail_sha256 = (!bytes.is_empty()).then(|| sha256_hex(bytes));
    }

    /// Returns the bytes after the parts from the `.tail` object. `None` if they are not the
    /// acknowledged ones. The object may be longer if a server died before it wrote the state.
    pub fn tail_of<'a>(&self, object: &'a [u8]) -> Option<&'a [u8]> {
        let tail = object.get(..usize::try_from(self.tail_bytes).ok()?)?;
        let same = self.tail_sha256.as_ref().is_none_or(|sha256| *sha256 == sha256_hex(tail));
        same.then_some(tail)
    }

    /// The partial uploads that it is joined from; empty for most.
    pub fn pieces(&self) -> &[PartialRef] {
        match &self.concat {
            Some(Concat::Final { partials, .. }) => partials,
            _ => &[],
        }
    }

    /// The deduplication values by which a repeated request finds it.
    pub fn bound_values(&self) -> Vec<String> {
        let ids: Vec<String> = self.pieces().iter().map(|piece| piece.id.clone()).collect();
        let list = (!ids.is_empty()).then(|| concat_value(&ids));
        list.into_iter().chain(self.idempotency.clone()).collect()
    }

    /// Storage key of the object that it becomes.
    pub fn source_key(&self) -> String {
        if self.is_partial() {
            return layout::upload_partial_key(&self.tenant, &self.id);
        }
        layout::source_key(&self.tenant, &self.id, &self.filename)
    }

    /// Restores the hash over the parts. `None` if it cannot be resumed because another version
    /// wrote it.
    pub fn resume_hash(&self) -> Option<Sha256> {
        let Some(text) = &self.hash else {
            return self.parts.is_empty().then(Sha256::new);
        };
        load_hash(text)
    }

    /// Stores the hash over the parts.
    pub fn keep_hash(&mut self, hash: Option<&Sha256>) {
        self.hash = hash.map(save_hash);
    }

    /// True for a request that begins where the last one began, although bytes have arrived since.
    /// A browser repeats a request by itself when its connection breaks, and its page does not
    /// know.
    pub fn is_repeated(&self, offset: u64) -> bool {
        offset < self.offset() && self.began.as_ref().is_some_and(|began| began.offset == offset)
    }
}

/// The deduplication value of a list of parts, so that the same list twice makes one file.
pub fn concat_value(ids: &[String]) -> String {
    format!("concat:{}", sha256_hex(ids.join(" ").as_bytes()))
}

/// A running hash as text.
pub fn save_hash(hash: &Sha256) -> String {
    STANDARD_NO_PAD.encode(hash.serialize())
}

/// A running hash from its text; `None` if another version wrote it.
pub fn load_hash(text: &str) -> Option<Sha256> {
    let bytes = STANDARD_NO_PAD.decode(text).ok()?;
    let serialized = bytes.as_slice().try_into().ok()?;
    Sha256::deserialize(&serialized).ok()
}

/// The size of parts: as small as storage allows, and no more parts than it allows.
fn part_bytes(size_bytes: u64, min_part_bytes: u64) -> u64 {
    const MIB: u64 = 1 << 20;
    let by_count = size_bytes.div_ceil(MAX_PARTS).div_ceil(MIB) * MIB;
    PART_BYTES.max(min_part_bytes).max(by_count)
}

/// Reads an upload; `None` if there is none.
pub async fn read(store: &Store, tenant: &str, id: &str) -> Result<Option<Upload>, Problem> {
    if !layout::valid_recording(id) {
        return Ok(None);
    }
    // Acknowledged uploads have keys of their own, so that open ones can be counted without reading
    // them. An upload may be acknowledged between the first and the second read, and a late writer
    // must not undo that.
    let done = layout::upload_done_key(tenant, id);
    for key in [&done, &layout::upload_state_key(tenant, id), &done] {
        match store.get(key).await {
            Ok(body) => return serde_json::from_slice(&body).map(Some).map_err(Problem::internal),
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Writes an upload's state. Everything it describes must be durable already.
pub async fn write(store: &Store, upload: &Upload) -> Result<(), Problem> {
    let body = Bytes::from(serde_json::to_vec(upload).map_err(Problem::internal)?);
    let open = layout::upload_state_key(&upload.tenant, &upload.id);
    if upload.finished.is_none() {
        return Ok(store.put(&open, body).await?);
    }
    store.put(&layout::upload_done_key(&upload.tenant, &upload.id), body).await?;
    remove_open(store, &upload.tenant, &upload.id).await
}

/// Removes what only an open upload has. Housekeeping repeats it if it was cut off.
pub async fn remove_open(store: &Store, tenant: &str, id: &str) -> Result<(), Problem> {
    store.delete(&layout::upload_tail_key(tenant, id)).await?;
    Ok(store.delete(&layout::upload_state_key(tenant, id)).await?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_hash_goes_on_where_another_server_stopped() {
        let mut upload = Upload::new("t", 1 << 30, 1, UploadMetadata::default(), 0, 1);
        let mut hash = upload.resume_hash().unwrap();
        hash.update(b"the first part, ");
        upload.parts.push(Part { number: 1, etag: "e".into(), size_bytes: 16 });
        upload.keep_hash(Some(&hash));
        let text = serde_json::to_string(&upload).unwrap();
        let mut hash = serde_json::from_str::<Upload>(&text).unwrap().resume_hash().unwrap();
        hash.update(b"the second");
        assert_eq!(hash.finalize(), Sha256::digest(b"the first part, the second"));
        upload.hash = Some("AAAA".into());
        assert!(upload.resume_hash().is_none());
    }

    #[test]
    fn parts_suit_every_size() {
        assert_eq!(part_bytes(10, 1), 5 << 20);
        assert_eq!(part_bytes(10, 8 << 20), 8 << 20);
        let large = 200 << 30;
        assert!(large / part_bytes(large, 1) < 10_000);
    }
}
