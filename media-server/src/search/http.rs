//! The routes: search over all lessons of a tenant, and over the one lesson of a session.

use axum::Json;
use axum::extract::{FromRef, Query, State};
use http::header;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::addresses::Addresses;
use super::engine::Area;
use super::find::{Hit, MAX_LIMIT, MAX_MOMENTS};
use super::meaning::SimilarHit;
use super::query::Rank;
use super::service::Search;
use super::transcript::SimilarPassage;
use super::words;
use crate::access::{Access, ApiCaller, Viewing};
use crate::manifests::Manifests;
use crate::playback::Links;
use crate::problem::{Problem, ProblemBody};

/// Moments in a response if no limit is given.
const DEFAULT_LIMIT: usize = 20;

/// `/v1/search`.
pub fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Access: FromRef<S>,
    Search: FromRef<S>,
    Links: FromRef<S>,
    Manifests: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(search))
}

/// A search.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchRequest {
    /// Words, all of which a moment must contain in some form; "words in quotes" exactly and in
    /// sequence. The last word may be unfinished, unless a space follows it.
    #[serde(default)]
    q: String,
    /// The viewer of the links: an opaque name of at most 128 bytes.
    viewer: Option<String>,
    /// Maximum number of moments, 1 to 100 (default 20).
    limit: Option<usize>,
    /// `next` of the previous page.
    after: Option<String>,
    /// Only this recording.
    recording: Option<String>,
    /// Only recordings of this uploader.
    uploader: Option<String>,
    /// Only recordings in this language: `en`, `es`, …
    language: Option<String>,
    /// Only recordings whose upload was created at this time or later (RFC 3339).
    created_from: Option<String>,
    /// Only recordings whose upload was created before this time (RFC 3339).
    created_before: Option<String>,
}

impl SearchRequest {
    /// The area that the filters leave of a tenant's lessons.
    fn area(&self, tenant: &str) -> Result<Area, Problem> {
        Ok(Area {
            recording: self.recording.clone(),
            uploader: self.uploader.clone(),
            language: self.language.as_deref().map(words::primary),
            created_from_ms: self.created_from.as_deref().map(time_ms).transpose()?,
            created_before_ms: self.created_before.as_deref().map(time_ms).transpose()?,
            ..Area::for_tenant(tenant)
        })
    }

    /// The moments before the page, and its length.
    fn page(&self) -> Result<(usize, usize), Problem> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
        let Some(after) = &self.after else { return Ok((0, limit)) };
        let skip = after.parse().ok().filter(|skip| *skip < MAX_MOMENTS);
        let skip = skip.ok_or_else(|| Problem::invalid("after", "`after` is not the `next` of a page."))?;
        Ok((skip, limit))
    }
}

/// Moments that match.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SearchAnswer)]
pub struct SearchResults {
    /// Best first: exact matches come before other forms of the words.
    moments: Vec<MomentView>,
    /// Recordings whose title or uploader has all the words, best first; on the first page only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recordings: Vec<NamedRecording>,
    /// Passages of about half a minute that mean what the query says, in whatever words and
    /// language: the nearest first, at most 10, on the first page only. Those with a moment that
    /// has all the words are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    meaning: Vec<SimilarView>,
    /// True if the server has no model to search by meaning, or its search cluster no vectors.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    meaning_unavailable: bool,
    /// `after` of the next page; absent on the last. A query has at most 1000 moments.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A recording found by its name.
#[derive(Debug, Serialize, ToSchema)]
pub struct NamedRecording {
    /// The recording.
    recording: String,
    /// Its title.
    title: String,
    /// Its uploader.
    uploader: String,
    /// Link to the page.
    link: String,
}

/// How a moment's words match those of the query, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// All words just as in the query.
    Exact,
    /// Another form of a word.
    Form,
    /// A word that begins as the last one of the query.
    Prefix,
    /// A word with a letter or two different.
    Misspelt,
    /// One or two words that sound like one of the query.
    Sound,
    /// Only some of the words. Such moments are returned if there are no others.
    Partial,
}

/// One moment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Moment)]
pub struct MomentView {
    /// The recording.
    recording: String,
    /// Its title.
    title: String,
    /// Start of the first matching word, in ms.
    start_ms: u64,
    /// Start of the cue it is in, in ms. Matches in neighbouring cues are one moment.
    cue_start_ms: u64,
    /// End of the moment's last cue, in ms.
    end_ms: u64,
    /// The words that were said: plain text, never markup.
    text: String,
    /// The matches: pairs of start and end, in UTF-16 code units of `text` (as JavaScript's
    /// `slice`).
    #[schema(value_type = Vec<Vec<usize>>)]
    highlights: Vec<[usize; 2]>,
    /// How the words match.
    #[serde(rename = "match")]
    kind: MatchKind,
    /// True if its words were recognised with doubt. Such moments follow others that match as well.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    doubtful: bool,
    /// A still of the moment: one tile of a sheet (`#xywh=x,y,width,height` in pixels), or the
    /// poster. Its address is valid as long as the link.
    #[serde(skip_serializing_if = "Option::is_none")]
    still: Option<String>,
    /// Link to the page, at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

impl MomentView {
    fn new(hit: Hit) -> Self {
        Self {
            recording: hit.recording,
            title: hit.title,
            start_ms: hit.start_ms,
            cue_start_ms: hit.cue_start_ms,
            end_ms: hit.end_ms,
            text: hit.text,
            highlights: hit.highlights,
            doubtful: hit.is_doubtful,
            kind: match hit.rank {
                Rank::Phrase | Rank::Exact => MatchKind::Exact,
                Rank::Stem => MatchKind::Form,
                Rank::Prefix => MatchKind::Prefix,
                Rank::Misspelt => MatchKind::Misspelt,
                Rank::Sound => MatchKind::Sound,
                Rank::Partial => MatchKind::Partial,
            },
            still: None,
            link: None,
        }
    }
}

/// A passage that means what the query says.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SimilarPassage)]
pub struct SimilarView {
    /// The recording.
    recording: String,
    /// Its title.
    title: String,
    /// Start of the passage, in ms.
    start_ms: u64,
    /// Its end, in ms.
    end_ms: u64,
    /// The words that were said, with corrections: plain text, never markup.
    text: String,
    /// How near it is to the query: 1 for the same meaning, about 0 for none in common. Only
    /// figures of one query can be compared.
    score: f32,
    /// A still of the passage, as of a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    still: Option<String>,
    /// Link to the page, at this passage.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

impl SimilarView {
    fn new(hit: SimilarHit) -> Self {
        let SimilarPassage { recording, start_ms, end_ms, text } = hit.passage;
        let score = (hit.cosine * 1000.0).round() / 1000.0;
        Self { recording, title: hit.title, start_ms, end_ms, text, score, still: None, link: None }
    }
}

/// Find moments by what was said.
///
/// `q` is the query and `viewer` the person for whom links are made. Each moment has a link that
/// opens the page there, and a still if there is one. All words must be said within 24 words. Words
/// just as in the query come first, then other forms of them, unfinished, misspelt and misheard
/// ones; `match` says which. Recordings are also found by title and uploader. A query of two words
/// or more, without quotes, also finds passages by their meaning, in a list of their own. 503 while
/// the server builds its index, 429 if too many of the tenant's queries wait; try again shortly.
#[utoipa::path(
    get, path = "/v1/search", tag = "search", params(SearchRequest),
    responses(
        (status = 200, body = SearchResults),
        (status = 400, body = ProblemBody),
        (status = 401, body = ProblemBody),
        (status = 429, body = ProblemBody),
        (status = 503, body = ProblemBody),
    ),
)]
pub async fn search(
    State(index): State<Search>,
    State(links): State<Links>,
    State(manifests): State<Manifests>,
    caller: ApiCaller,
    request: Result<Query<SearchRequest>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<SearchResults>, Problem> {
    let Query(request) = request.map_err(|_| bad_query())?;
    let (query, area, page) = (request.q.clone(), request.area(&caller.tenant)?, request.page()?);
    let viewer = request
        .viewer
        .ok_or_else(|| Problem::invalid("viewer", "Name the viewer for whom the links are made: viewer=…"))?;
    let (found, similarity) = index.find(&query, area, None, page).await?;
    let mut addresses = Addresses::new(&links, &manifests, &caller.tenant, &viewer);
    // Refuses an invalid viewer even if nothing was found.
    addresses.check()?;
    let moments = found.moments.iter().map(|hit| &hit.recording);
    let lessons = found.lessons.iter().map(|lesson| &lesson.recording);
    let passages = similarity.hits.iter().map(|hit| &hit.passage.recording);
    addresses.prefetch(moments.chain(lessons).chain(passages).cloned().collect()).await;
    let mut moments = Vec::with_capacity(found.moments.len());
    for hit in found.moments {
        // Deleted since it was indexed: it must not be found.
        let Some(address) = addresses.of_recording(&hit.recording).await? else { continue };
        let mut moment = MomentView::new(hit);
        moment.link = Some(format!("{}#t={}", address.link.url, seconds(begin_ms(&moment))));
        moment.still =
            index.still(&address.manifest, moment.start_ms).await.map(|image| address.base.clone() + &image);
        moments.push(moment);
    }
    let mut recordings = Vec::with_capacity(found.lessons.len());
    for lesson in found.lessons {
        let Some(address) = addresses.of_recording(&lesson.recording).await? else { continue };
        recordings.push(NamedRecording {
            recording: lesson.recording,
            title: lesson.title,
            uploader: lesson.uploader,
            link: address.link.url.clone(),
        });
    }
    let mut meaning = Vec::with_capacity(similarity.hits.len());
    for hit in similarity.hits {
        let Some(address) = addresses.of_recording(&hit.passage.recording).await? else { continue };
        let mut passage = SimilarView::new(hit);
        passage.link = Some(format!("{}#t={}", address.link.url, seconds(passage.start_ms)));
        passage.still =
            index.still(&address.manifest, passage.start_ms).await.map(|image| address.base.clone() + &image);
        meaning.push(passage);
    }
    Ok(Json(SearchResults {
        moments,
        recordings,
        meaning,
        meaning_unavailable: similarity.is_unavailable,
        next: found.next.map(|next| next.to_string()),
    }))
}

/// `/s/{session}/{recording}/search?q=`: the same in the session's lesson, inside its window,
/// without links.
pub async fn search_session(
    State(index): State<Search>,
    viewing: Viewing,
    request: Result<Query<SearchRequest>, axum::extract::rejection::QueryRejection>,
) -> Result<([(header::HeaderName, &'static str); 1], Json<SearchResults>), Problem> {
    let Query(request) = request.map_err(|_| bad_query())?;
    let window = viewing.window();
    let area = Area {
        recording: Some(viewing.recording().to_owned()),
        from_ms: window.start_ms,
        to_ms: window.end_ms,
        ..Area::for_tenant(&viewing.tenant)
    };
    let page = request.page()?;
    let (found, similarity) = index.find(&request.q, area, Some(&viewing.session.id), page).await?;
    let results = SearchResults {
        moments: found.moments.into_iter().map(MomentView::new).collect(),
        // Its title stands on the page already.
        recordings: Vec::new(),
        meaning: similarity.hits.into_iter().map(SimilarView::new).collect(),
        meaning_unavailable: similarity.is_unavailable,
        next: found.next.map(|next| next.to_string()),
    };
    Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(results)))
}

fn bad_query() -> Problem {
    Problem::invalid(
        "query",
        "The query string is not valid: it takes q, viewer, limit (a number), after, recording, uploader, \
         language, created_from and created_before.",
    )
}

fn time_ms(text: &str) -> Result<u64, Problem> {
    let time: Option<jiff::Timestamp> = text.parse().ok();
    time.and_then(|time| u64::try_from(time.as_millisecond()).ok())
        .ok_or_else(|| Problem::invalid("query", "A time is like 2026-03-01T00:00:00Z."))
}

/// Where the page starts: a little before the word, but not before its cue, as on the page itself.
fn begin_ms(moment: &MomentView) -> u64 {
    moment.start_ms.saturating_sub(500).max(moment.cue_start_ms + 10)
}

/// Milliseconds as seconds, for `#t=`.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
