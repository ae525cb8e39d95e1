//! A segment of the source as a rendition: its header out of an index object, joined with one read of the source. Other
//! tracks' bytes are dropped as they pass, and what lies between pictures is written over.

use std::ops::Range;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use chalkstream_store::{Result as Stored, Store, layout};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::{HeaderMap, Method};

use super::hot::Place;
use super::index::{Run, Segment};
use super::object::{Answered, Keep, content_type, respond};
use super::units::{Cleaning, Framing, sample_sizes};
use crate::app::AppState;
use crate::auth::Viewing;
use crate::problem::Problem;

/// What a segment's key names: `hls/source/{fence}/{track}/{file}`.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    /// Key of the index, relative to the recording.
    index: String,
    /// Its number from 1; none for the init segment.
    number: Option<usize>,
}

impl Named {
    fn of(key: &str) -> Option<Self> {
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

/// Answers a segment that a playlist of the session names and that is no object.
pub async fn joined_response(
    app: &AppState,
    viewing: &Viewing,
    key: &str,
    method: &Method,
    request: &HeaderMap,
) -> Result<Response, Problem> {
    let named = Named::of(key).ok_or_else(Problem::forbidden)?;
    let facts = viewing.manifest.objects.get(&named.index).ok_or_else(Problem::forbidden)?;
    let source = viewing.manifest.source.as_ref().ok_or_else(Problem::forbidden)?;
    let (tenant, recording) = (viewing.tenant.as_str(), viewing.recording());
    let index = app.hot.index(&Place { tenant, recording, key: &named.index, facts }).await?;
    if index.source_bytes != source.size_bytes {
        return Err(Problem::internal("an index is not of its recording's source"));
    }
    let hash = facts.sha256.get(..32).unwrap_or(&facts.sha256);
    let answered = |name: &str, size_bytes| Answered {
        etag: format!("\"{hash}-{name}\""),
        size_bytes,
        content_type: content_type(key),
        keep: Keep::Immutable,
    };
    let Some(number) = named.number else {
        let init = index.init.clone();
        let answered = answered("init", init.len() as u64);
        return respond(app, answered, method, request, |range| async move {
            let range = range.unwrap_or(0..init.len() as u64);
            Ok(Body::from(init.slice(range.start as usize..range.end as usize)))
        })
        .await;
    };
    let segment = index.segment(number).ok_or_else(Problem::forbidden)?;
    let places = (
        layout::object_key(tenant, recording, &named.index),
        layout::object_key(tenant, recording, &source.key),
    );
    let answered = answered(&number.to_string(), segment.size_bytes());
    respond(app, answered, method, request, |range| async move {
        let range = range.unwrap_or(0..segment.size_bytes());
        let bytes = joined(&app.store, &segment, index.framing, (&places.0, &places.1), range).await?;
        Ok(Body::from_stream(
            bytes.map(|chunk| {
                chunk.inspect_err(|error| tracing::warn!(%error, "an answer broke off: {error}"))
            }),
        ))
    })
    .await
}

/// The bytes `wanted` of a segment, from the objects of its index and its source.
async fn joined(
    store: &Store,
    segment: &Segment,
    framing: Option<Framing>,
    (index, source): (&str, &str),
    wanted: Range<u64>,
) -> Result<BoxStream<'static, Stored<Bytes>>, Problem> {
    let record = read_whole(store, index, segment.record_range()).await?;
    let wrong = || Problem::internal("an index's record is not right");
    let mut parts = segment.parts(&record, wanted.clone()).ok_or_else(wrong)?;
    let moof = stream::iter((!parts.moof.is_empty()).then_some(Ok(parts.moof)));
    if parts.source.is_empty() {
        return Ok(moof.boxed());
    }
    // What a byte of a picture's sample is, is known from the first one on.
    let mut unwanted = 0;
    let mut cleaning = None;
    if let Some(framing) = framing {
        let whole = segment.parts(&record, 0..wanted.end).ok_or_else(wrong)?;
        let sizes = sample_sizes(&whole.moof).ok_or_else(wrong)?;
        unwanted = wanted.start.saturating_sub(whole.moof.len() as u64) as usize;
        (parts.source, parts.runs) = (whole.source, whole.runs);
        cleaning = Some(Cleaning::new(framing, sizes));
    }
    let length = parts.source.end - parts.source.start;
    let body = store.read(source, Some(parts.source)).await.map_err(gone)?;
    if body.size_bytes != length {
        return Err(Problem::internal("the source is shorter than its manifest says"));
    }
    let mut taking = Taking::new(parts.runs);
    let taken = body.stream.map(move |chunk| {
        let mut taken = taking.take(chunk?);
        if let Some(cleaning) = &mut cleaning {
            taken = cleaning.clean(taken);
        }
        let passed = taken.split_to(unwanted.min(taken.len()));
        unwanted -= passed.len();
        Ok(taken)
    });
    // A chunk of other tracks' bytes leaves nothing: an empty one is not sent.
    let taken = taken.filter(|chunk| std::future::ready(!matches!(chunk, Ok(chunk) if chunk.is_empty())));
    Ok(moof.chain(taken).boxed())
}

/// A small part of an object, whole.
pub async fn read_whole(store: &Store, key: &str, range: Range<u64>) -> Result<Bytes, Problem> {
    let length = range.end - range.start;
    let mut body = store.read(key, Some(range)).await.map_err(gone)?;
    if body.size_bytes != length {
        return Err(Problem::internal("an object is not as long as its manifest says"));
    }
    let mut made = BytesMut::with_capacity(length as usize);
    while let Some(chunk) = body.stream.next().await {
        made.extend_from_slice(&chunk?);
    }
    Ok(made.freeze())
}

/// In the manifest and not in the storage is our fault, not the viewer's.
pub fn gone(error: chalkstream_store::Error) -> Problem {
    match error.kind {
        chalkstream_store::Kind::NotFound => Problem::internal("an object of a manifest is gone"),
        _ => error.into(),
    }
}

/// Takes runs out of bytes that come in chunks of any size.
struct Taking {
    runs: std::vec::IntoIter<Run>,
    skip: usize,
    take: usize,
}

impl Taking {
    fn new(runs: Vec<Run>) -> Self {
        Self { runs: runs.into_iter(), skip: 0, take: 0 }
    }

    /// What is taken of a chunk: a part of itself where that is one piece, a copy where it is several.
    fn take(&mut self, mut chunk: Bytes) -> Bytes {
        let mut first = Bytes::new();
        let mut several = BytesMut::new();
        while !chunk.is_empty() {
            if self.skip == 0 && self.take == 0 {
                let Some((skip, take)) = self.runs.next() else { break };
                (self.skip, self.take) = (skip as usize, take as usize);
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
        let video = |number| Some(Named { index: "index/17/video".into(), number });
        assert_eq!(Named::of("hls/source/17/video/init.mp4"), video(None));
        assert_eq!(Named::of("hls/source/17/video/00012.m4s"), video(Some(12)));
        assert_eq!(Named::of("hls/source/17/video/123456.m4s"), video(Some(123_456)));
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
            assert_eq!(Named::of(key), None, "{key}");
        }
    }

    #[test]
    fn runs_are_taken_however_the_bytes_come() {
        let all: Vec<u8> = (0..200).collect();
        let runs = vec![(0, 10), (5, 1), (0, 4), (100, 30), (20, 1)];
        let wanted: Vec<u8> = [&all[..10], &all[15..20], &all[120..150], &all[170..171]].concat();
        for size in [1, 2, 7, 64, 171, 200] {
            let mut taking = Taking::new(runs.clone());
            let made: Vec<u8> =
                all.chunks(size).flat_map(|chunk| taking.take(Bytes::copy_from_slice(chunk))).collect();
            assert_eq!(made, wanted, "chunks of {size}");
        }
    }
}
