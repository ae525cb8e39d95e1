//! A segment of the source rendition: its header from an index object, followed by one read of the
//! source. Bytes of other tracks are dropped on the way, and metadata between frames is
//! overwritten.

use std::ops::Range;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use chalkstream_formats::NalFraming;
use chalkstream_formats::source_index::{IndexEntry, Run};
use chalkstream_store::{Result as Stored, Store, layout};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::{HeaderMap, Method};

use super::nal_scrubber::{NalScrubber, sample_sizes};
use super::object::{CachePolicy, Representation, content_type, log_error, respond};
use super::object_ref::{missing_object, read_exact};
use super::service::Delivery;
use super::session_playlists::object_ref;
use crate::access::Viewing;
use crate::problem::Problem;
use crate::reason::Reason;

/// The parts of a segment's key: `hls/source/{fence}/{track}/{file}`.
#[derive(Debug, PartialEq, Eq)]
struct SegmentKey {
    /// Key of the index, relative to the recording.
    index: String,
    /// Its number from 1; `None` for the init segment.
    number: Option<usize>,
}

impl SegmentKey {
    fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix("hls/source/")?.split('/');
        let (fence, track, file) = (parts.next()?, parts.next()?, parts.next()?);
        let fence: u64 = fence.parse().ok()?;
        if parts.next().is_some() || !matches!(track, "video" | "audio") {
            return None;
        }
        let number = match file {
            "init.mp4" => None,
            _ => Some(file.strip_suffix(".m4s")?.parse().ok().filter(|n| format!("{n:05}.m4s") == file)?),
        };
        Some(Self { index: format!("index/{fence}/{track}"), number })
    }
}

/// Responds with a segment that a playlist of the session names and that is no object.
///
/// # Errors
/// 403 if the recording has no such segment.
pub async fn segment_response(
    delivery: &Delivery,
    viewing: &Viewing,
    key: &str,
    method: &Method,
    request: &HeaderMap,
) -> Result<Response, Problem> {
    let segment_key = SegmentKey::parse(key).ok_or_else(|| Problem::forbidden(Reason::NotInManifest))?;
    let index_object = object_ref(delivery, viewing, &segment_key.index).await?;
    let source = viewing.manifest.source.as_ref();
    let source = source.ok_or_else(|| Problem::forbidden(Reason::NotInManifest))?;
    let index = delivery.playlists.index(&index_object).await?;
    if index.source_bytes != source.size_bytes {
        return Err(Problem::internal("index belongs to another source"));
    }
    let hash = &index_object.hash;
    let representation = |name: &str, size_bytes| Representation {
        etag: format!("\"{hash}-{name}\""),
        size_bytes,
        content_type: content_type(key),
        cache: CachePolicy::Immutable,
    };
    let Some(number) = segment_key.number else {
        let init = index.init.clone();
        let representation = representation("init", init.len() as u64);
        return respond(delivery, representation, method, request, |range| async move {
            let range = range.unwrap_or(0..init.len() as u64);
            Ok(Body::from(init.slice(range.start as usize..range.end as usize)))
        })
        .await;
    };
    let segment = index.segment(number).ok_or_else(|| Problem::forbidden(Reason::NotInIndex))?;
    let source_key = layout::object_key(&viewing.tenant, viewing.recording(), &source.key);
    let keys = (index_object.storage_key.clone(), source_key);
    let representation = representation(&number.to_string(), segment.size_bytes());
    respond(delivery, representation, method, request, |range| async move {
        let range = range.unwrap_or(0..segment.size_bytes());
        let bytes = assemble(&delivery.store, &segment, index.framing, (&keys.0, &keys.1), range).await?;
        Ok(Body::from_stream(bytes.map(log_error)))
    })
    .await
}

/// Returns the bytes `wanted` of a segment, from the objects of its index and its source.
async fn assemble(
    store: &Store,
    segment: &IndexEntry,
    framing: Option<NalFraming>,
    (index, source): (&str, &str),
    wanted: Range<u64>,
) -> Result<BoxStream<'static, Stored<Bytes>>, Problem> {
    let record = read_exact(store, index, segment.record_range()).await?;
    let malformed = || Problem::internal("index record malformed");
    let mut parts = segment.parts(&record, wanted.clone()).ok_or_else(malformed)?;
    let moof = record.slice(parts.moof);
    let moof = stream::iter((!moof.is_empty()).then_some(Ok(moof)));
    if parts.source.is_empty() {
        return Ok(moof.boxed());
    }
    // The meaning of a byte in a sample is known only when read from the first byte on.
    let mut unwanted = 0;
    let mut scrubber = None;
    if let Some(framing) = framing {
        let complete = segment.parts(&record, 0..wanted.end).ok_or_else(malformed)?;
        let sizes = sample_sizes(&record[complete.moof.clone()]).ok_or_else(malformed)?;
        unwanted = wanted.start.saturating_sub(complete.moof.len() as u64) as usize;
        (parts.source, parts.runs) = (complete.source, complete.runs);
        scrubber = Some(NalScrubber::new(framing, sizes));
    }
    let length = parts.source.end - parts.source.start;
    let body = store.read(source, Some(parts.source)).await.map_err(missing_object)?;
    if body.size_bytes != length {
        return Err(Problem::internal("source size differs from its manifest"));
    }
    let mut extractor = RunExtractor::new(parts.runs);
    let taken = body.stream.map(move |chunk| {
        let mut taken = extractor.take(chunk?);
        if let Some(scrubber) = &mut scrubber {
            taken = scrubber.scrub(taken);
        }
        let passed = taken.split_to(unwanted.min(taken.len()));
        unwanted -= passed.len();
        Ok(taken)
    });
    // A chunk of other tracks' bytes leaves nothing, and an empty chunk is not sent.
    let taken = taken.filter(|chunk| std::future::ready(!matches!(chunk, Ok(chunk) if chunk.is_empty())));
    Ok(moof.chain(taken).boxed())
}

/// Extracts runs from bytes that arrive in chunks of any size.
struct RunExtractor {
    runs: std::vec::IntoIter<Run>,
    skip: usize,
    take: usize,
}

impl RunExtractor {
    fn new(runs: Vec<Run>) -> Self {
        Self { runs: runs.into_iter(), skip: 0, take: 0 }
    }

    /// Extracts from one chunk: a slice of it if that is one piece, a copy if it is several.
    fn take(&mut self, mut chunk: Bytes) -> Bytes {
        let mut first = Bytes::new();
        let mut several = BytesMut::new();
        while !chunk.is_empty() {
            if self.skip == 0 && self.take == 0 {
                let Some(run) = self.runs.next() else { break };
                (self.skip, self.take) = (run.skip as usize, run.take as usize);
                continue;
            }
            if self.skip > 0 {
                let passed = chunk.split_to(self.skip.min(chunk.len()));
                self.skip -= passed.len();
                continue;
            }
            let taken = chunk.split_to(self.take.min(chunk.len()));
            self.take -= taken.len();
            if first.is_empty() && several.is_empty() {
                first = taken;
            } else {
                if several.is_empty() {
                    several.reserve(first.len() + taken.len() + chunk.len());
                    several.extend_from_slice(&std::mem::take(&mut first));
                }
                several.extend_from_slice(&taken);
            }
        }
        if several.is_empty() { first } else { several.freeze() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_names_a_segment_of_an_index_or_nothing() {
        let video = |number| Some(SegmentKey { index: "index/17/video".into(), number });
        assert_eq!(SegmentKey::parse("hls/source/17/video/init.mp4"), video(None));
        assert_eq!(SegmentKey::parse("hls/source/17/video/00012.m4s"), video(Some(12)));
        assert_eq!(SegmentKey::parse("hls/source/17/video/123456.m4s"), video(Some(123_456)));
        for key in [
            "hls/source/17/video/12.m4s",
            "hls/source/17/video/+0012.m4s",
            "hls/source/17/video/00001.mp4",
            "hls/source/17/text/00001.m4s",
            "hls/source/17/video/00001.m4s/x",
            "hls/source/x/video/00001.m4s",
            "hls/video/17/video/00001.m4s",
            "source/original.mp4",
        ] {
            assert_eq!(SegmentKey::parse(key), None, "{key}");
        }
    }

    #[test]
    fn runs_are_taken_however_the_bytes_come() {
        let all: Vec<u8> = (0..200).collect();
        let runs = [(0, 10), (5, 1), (0, 4), (100, 30), (20, 1)].map(|(skip, take)| Run::new(skip, take));
        let wanted: Vec<u8> = [&all[..10], &all[15..20], &all[120..150], &all[170..171]].concat();
        for size in [1, 2, 7, 64, 171, 200] {
            let mut extractor = RunExtractor::new(runs.to_vec());
            let made: Vec<u8> =
                all.chunks(size).flat_map(|chunk| extractor.take(Bytes::copy_from_slice(chunk))).collect();
            assert_eq!(made, wanted, "chunks of {size}");
        }
    }
}
