//! Finding the moments that match a query.

use std::collections::HashMap;

use super::engine::{Area, EngineSearch, Error, IndexedLesson, SearchEngine};
use super::locate::Locator;
use super::moments::{LocatedMoment, MomentList};
use super::query::{Query, Rank};

/// Limit of moments in one response.
pub const MAX_LIMIT: usize = 100;
/// Limit of moments of a query, on all pages.
pub const MAX_MOMENTS: usize = 1_000;
/// Limit of lessons in one response.
const MAX_LESSONS: usize = 10;
/// With so many moments of a word, none are looked for that are misspelt or sound alike. Of more
/// words fewer are enough: they hardly occur together by chance.
const MIN_SURE: usize = 5;
/// Passages that one search reads at most. Not each that the engine finds has a moment: the words
/// may lie too far apart in it.
const MAX_PASSAGES: usize = 3_000;
/// Limit of searches at once; each takes a blocking thread.
const MAX_AT_ONCE: usize = 8;
/// Passages of which those with doubtful words come last. The engine's order has the doubt of whole
/// passages, so of larger groups it would make little difference.
const GROUP: usize = 32;

/// Searches that run at once. Each only computes, so that more would delay one another.
pub fn max_at_once() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_AT_ONCE)
}

/// A page of what was found.
#[derive(Clone, Debug, Default)]
pub struct SearchPage {
    /// The moments, best first.
    pub moments: Vec<Hit>,
    /// Lessons whose title or uploader has all words, best first. On the first page only.
    pub lessons: Vec<IndexedLesson>,
    /// Number of the first moment of the next page; `None` on the last.
    pub next: Option<usize>,
}

/// A moment that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The recording.
    pub recording: String,
    /// Its title.
    pub title: String,
    /// Start of the first matching word, in ms.
    pub start_ms: u64,
    /// Start of the first cue, in ms.
    pub cue_start_ms: u64,
    /// End of the last cue, in ms.
    pub end_ms: u64,
    /// The words that were said.
    pub text: String,
    /// The matches, as ranges of UTF-16 code units of `text`.
    pub highlights: Vec<[usize; 2]>,
    /// How it matches.
    pub rank: Rank,
    /// True if its words were recognised with doubt.
    pub is_doubtful: bool,
}

/// Finds the best moments for a query: at most `limit` (and `MAX_LIMIT`) after the first `skip`.
///
/// All words must occur close to each other. Moments with the words just as in the query come
/// first, then those with other forms and unfinished words. If these are few (`MIN_SURE`),
/// misspelt and misheard ones follow. Of moments that match as well, those with doubtful words come
/// later. If no moment has all words, those with some are returned.
///
/// # Errors
/// If the index cannot be read.
pub fn find(
    engine: &dyn SearchEngine,
    text: &str,
    area: &Area,
    skip: usize,
    limit: usize,
) -> Result<SearchPage, Error> {
    let limit = limit.clamp(1, MAX_LIMIT);
    let query = Query::parse(text, &engine.languages(&area.tenant)?);
    if query.is_empty() {
        return Ok(SearchPage::default());
    }
    let end = (skip + limit).min(MAX_MOMENTS);
    let found = moments(engine, &query, area, end + 1)?;
    let next = (found.len() > end && end < MAX_MOMENTS).then_some(end);
    let mut titles = HashMap::new();
    let mut hits = Vec::new();
    for moment in found.into_iter().take(end).skip(skip) {
        if !titles.contains_key(&moment.recording) {
            let lesson = engine.lesson(&area.tenant, &moment.recording)?;
            titles.insert(moment.recording.clone(), lesson.map(|lesson| lesson.title).unwrap_or_default());
        }
        let title = titles[&moment.recording].clone();
        hits.push(hit(moment, title));
    }
    let lessons = match skip {
        0 => engine.lessons(&EngineSearch { query: &query, rank: Rank::Prefix, area }, MAX_LESSONS)?,
        _ => Vec::new(),
    };
    Ok(SearchPage { moments: hits, lessons, next })
}

/// The first `wanted` moments, or some more.
fn moments(
    engine: &dyn SearchEngine,
    query: &Query,
    area: &Area,
    wanted: usize,
) -> Result<Vec<LocatedMoment>, Error> {
    let mut moments = MomentList::default();
    let mut locators = HashMap::new();
    for (rank, query) in query.searches() {
        let enough = match rank {
            Rank::Misspelt | Rank::Sound => (MIN_SURE / query.parts.len()).max(1),
            Rank::Partial => 1,
            _ => wanted,
        };
        if moments.count() >= enough {
            continue;
        }
        search(engine, &EngineSearch { query: &query, rank, area }, wanted, &mut locators, &mut moments)?;
        if moments.count() >= wanted {
            break;
        }
    }
    locators.into_values().for_each(Locator::finish);
    Ok(moments.into_found())
}

fn search(
    engine: &dyn SearchEngine,
    sought: &EngineSearch<'_>,
    wanted: usize,
    locators: &mut HashMap<String, Locator>,
    moments: &mut MomentList,
) -> Result<(), Error> {
    // Whole groups, so that the order is the same for every page.
    let (mut offset, mut batch) = (0, (wanted - moments.count()).next_multiple_of(GROUP));
    let mut visited = 0_usize;
    while offset < MAX_PASSAGES {
        let count = engine.passages(sought, offset, batch, &mut |entry| {
            let mut passage = entry.passage;
            passage.cut(sought.area.from_ms, sought.area.to_ms);
            let locator =
                locators.entry(entry.language).or_insert_with_key(|language| Locator::new(language));
            let spans = locator.locate(&passage, sought.query, sought.rank);
            moments.add(&entry.recording, sought.rank, passage.first, spans);
            visited += 1;
            if !visited.is_multiple_of(GROUP) {
                return true;
            }
            moments.end_group();
            moments.count() < wanted
        })?;
        if count < batch || moments.count() >= wanted {
            break;
        }
        offset += batch;
        batch *= 2;
    }
    moments.end_group();
    Ok(())
}

fn hit(moment: LocatedMoment, title: String) -> Hit {
    let pieces = &moment.span.pieces;
    let mut text = String::new();
    let mut length = 0;
    let mut highlights: Vec<[usize; 2]> = Vec::new();
    for piece in pieces {
        if !text.is_empty() {
            text.push(' ');
            length += 1;
        }
        let mut marks = piece.marks.iter().map(|[from, to]| [from + length, to + length]);
        // A match from the cue before is one with it.
        if let (true, Some(last)) = (piece.continues, highlights.last_mut())
            && let Some(mark) = marks.next()
        {
            last[1] = mark[1];
        }
        highlights.extend(marks);
        text.push_str(&piece.text);
        length += piece.text.encode_utf16().count();
    }
    Hit {
        is_doubtful: moment.is_doubtful(),
        recording: moment.recording,
        title,
        start_ms: pieces.iter().find_map(|piece| piece.match_ms).unwrap_or_default(),
        cue_start_ms: pieces.first().map_or(0, |piece| piece.start_ms),
        end_ms: pieces.last().map_or(0, |piece| piece.end_ms),
        text,
        highlights,
        rank: moment.rank,
    }
}
