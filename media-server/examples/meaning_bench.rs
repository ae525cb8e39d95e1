//! Our side of `scripts/bench meaning`: what a search by words finds, what one by meaning adds, and
//! how long both take.
//!
//! `meaning_bench MODEL TRANSCRIPTS QUERIES PASSAGES` prints one JSON document. TRANSCRIPTS is a
//! folder of lessons as TalkMoves has them: tables with a sentence in the fourth column. QUERIES is
//! `scripts/bench.d/meaning.tsv`: a file of that folder, the first and last line of the part that a
//! query means, and the query in English and Spanish. The scan is measured in so many PASSAGES,
//! made by noise around the real ones.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use chalkstream_meaning::{EmbeddedPassage, Embedding, Model, Vector, split_cues};
use chalkstream_media_server::search::{
    Area, Embedded, Hit, IndexedLesson, QueryEncoder, Rank, SearchEngine, SpokenCue, SpokenLesson,
    SpokenWord, find, find_similar,
};
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

/// Time from word to word: 150 words a minute.
const WORD_MS: u64 = 400;
/// Results that are counted.
const LIMIT: usize = 10;
/// Passages of a made lesson, and lessons between two commits.
const PASSAGES_A_LESSON: usize = 120;
const BATCH: usize = 200;
/// Length of the noise, where that of a vector is 1.
const NOISE: f32 = 0.7;

/// A query with the part of a lesson that it means.
struct Query {
    recording: String,
    from_ms: u64,
    to_ms: u64,
    texts: [String; 2],
}

/// Start and end of a result, and its recording.
type Found = (String, u64, u64);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, transcripts, queries, passages] = arguments.as_slice() else {
        return Err("meaning_bench MODEL TRANSCRIPTS QUERIES PASSAGES".into());
    };
    let folder = tempfile::tempdir()?;
    let model_path = Path::new(model);
    let model = Model::open(model_path)?;
    let lessons = read_lessons(Path::new(transcripts))?;
    let engine = Embedded::open(&folder.path().join("lessons"))?;
    let (mut real, mut embed_s, mut length_ms) = (Vec::new(), 0.0, 0);
    for (name, cues) in &lessons {
        let mut embedded = Vec::new();
        for range in split_cues(cues, |cue| (cue.start_ms, cue.end_ms)) {
            let cues = &cues[range];
            let text = cues.iter().map(|cue| cue.text.as_str()).collect::<Vec<_>>().join(" ");
            let started = Instant::now();
            let embedding = model.embed(&text)?;
            embed_s += started.elapsed().as_secs_f64();
            let (start_ms, end_ms) = (cues[0].start_ms as u32, cues[cues.len() - 1].end_ms as u32);
            embedded.push(EmbeddedPassage { start_ms, end_ms, vector: Vector::new(&embedding) });
            real.push(embedding);
        }
        length_ms += cues.last().map_or(0, |cue| cue.end_ms);
        let said = SpokenLesson { language: "en".into(), cues: cues.clone(), embedded };
        engine.replace(
            &IndexedLesson { tenant: "bench".into(), recording: name.clone(), ..IndexedLesson::default() },
            &said,
        )?;
    }
    engine.commit()?;
    let queries = read_queries(Path::new(queries), &lessons)?;
    let encoder = QueryEncoder::new(model_path.into());
    let languages = ["en", "es"].into_iter().enumerate();
    let recall =
        languages.map(|(n, language)| Ok((language.to_owned(), measure(&engine, &encoder, &queries, n)?)));
    let recall: BTreeMap<String, serde_json::Value> = recall.collect::<Result<_, Failure>>()?;
    let report = json!({
        "lessons": lessons.len(),
        "passages": real.len(),
        "queries": queries.len(),
        "embed_s_per_hour": embed_s / (length_ms as f64 / 3_600_000.0),
        "recall": recall,
        "scan": scan(&folder.path().join("many"), passages.parse()?, &real, &model, &queries)?,
    });
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

/// The cues of each lesson, one for each sentence.
fn read_lessons(folder: &Path) -> Result<BTreeMap<String, Vec<SpokenCue>>, Failure> {
    let mut lessons = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) =
            path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".tsv"))
        else {
            continue;
        };
        let mut at_ms = 0;
        let cue = |line: &str| {
            let text = line.split('\t').nth(3).unwrap_or_default().trim().to_owned();
            let words = text.split_whitespace().enumerate().map(|(n, word)| {
                let start_ms = at_ms + n as u64 * WORD_MS;
                SpokenWord { start_ms, end_ms: start_ms + WORD_MS - 50, text: word.into() }
            });
            let words: Vec<_> = words.collect();
            let start_ms = at_ms;
            at_ms += words.len().max(1) as u64 * WORD_MS;
            SpokenCue { start_ms, end_ms: at_ms, text, words, doubt_percent: 0 }
        };
        let text = std::fs::read_to_string(&path)?;
        lessons.insert(name.to_owned(), text.lines().skip(1).map(cue).collect());
    }
    Ok(lessons)
}

fn read_queries(path: &Path, lessons: &BTreeMap<String, Vec<SpokenCue>>) -> Result<Vec<Query>, Failure> {
    let text = std::fs::read_to_string(path)?;
    let query = |line: &str| {
        let [recording, first, last, english, spanish] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("not a query: {line}").into());
        };
        let cues = lessons.get(recording).ok_or_else(|| format!("{recording} is not in the folder"))?;
        // Line 1 is the table's head.
        let cue = |line: &str| Ok::<_, Failure>(cues.get(line.parse::<usize>()? - 2).ok_or("no such line")?);
        Ok(Query {
            recording: recording.into(),
            from_ms: cue(first)?.start_ms,
            to_ms: cue(last)?.end_ms,
            texts: [english.into(), spanish.into()],
        })
    };
    text.lines().skip(1).map(query).collect()
}

/// Recall and times of the queries in one language.
fn measure(
    engine: &Embedded,
    encoder: &QueryEncoder,
    queries: &[Query],
    language: usize,
) -> Result<serde_json::Value, Failure> {
    let area = Area::for_tenant("bench");
    let mut recalled: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let mut times_ms = Vec::new();
    for query in queries {
        let text = &query.texts[language];
        let started = Instant::now();
        let page = find(engine, text, &area, 0, LIMIT)?;
        let similar = find_similar(engine, encoder, text, &area, &page.moments)?;
        times_ms.push(started.elapsed().as_secs_f64() * 1_000.0);
        let found = |hit: &Hit| (hit.recording.clone(), hit.cue_start_ms, hit.end_ms);
        let words: Vec<Found> = page.moments.iter().map(found).collect();
        let hits = similar.hits.into_iter().map(|hit| hit.passage);
        let meaning: Vec<Found> = hits.map(|hit| (hit.recording, hit.start_ms, hit.end_ms)).collect();
        // As many results as of words alone. Moments with only some of the words come last.
        let all_words = page.moments.iter().filter(|hit| hit.rank != Rank::Partial).count();
        let (sure, partial) = words.split_at(all_words);
        let sure = &sure[..sure.len().min(LIMIT - meaning.len().min(LIMIT / 2))];
        let both: Vec<Found> = [sure, &meaning, partial].concat().into_iter().take(LIMIT).collect();
        let is_it =
            |found: &Found| found.0 == query.recording && found.1 < query.to_ms && found.2 > query.from_ms;
        for (name, found) in [("words", &words), ("meaning", &meaning), ("both", &both)] {
            let at = found.iter().position(is_it);
            let counts = recalled.entry(name).or_default();
            counts[0] += usize::from(at == Some(0));
            counts[1] += usize::from(at.is_some());
        }
        let counts = recalled.entry("answer").or_default();
        counts[1] += usize::from(words.iter().chain(&meaning).any(is_it));
    }
    let share = |count: usize| count as f64 / queries.len() as f64;
    let recall: BTreeMap<_, _> =
        recalled.into_iter().map(|(name, counts)| (name, counts.map(share))).collect();
    Ok(json!({ "recall_at_1_and_10": recall, "times_ms": times_ms }))
}

/// Times of queries among many passages: of the model, and of the scan.
fn scan(
    folder: &Path,
    passages: usize,
    real: &[Embedding],
    model: &Model,
    queries: &[Query],
) -> Result<serde_json::Value, Failure> {
    let engine = Embedded::open(folder)?;
    let mut random = Random(1);
    let started = Instant::now();
    for lesson in 0..passages.div_ceil(PASSAGES_A_LESSON) {
        let mut said = SpokenLesson { language: "en".into(), ..SpokenLesson::default() };
        for n in 0..PASSAGES_A_LESSON.min(passages - lesson * PASSAGES_A_LESSON) {
            let from = &real[(random.next() * real.len() as f32) as usize % real.len()];
            let noise = NOISE * (3.0_f32 / from.len() as f32).sqrt();
            let made = from.map(|number| number + noise * (2.0 * random.next() - 1.0));
            let length = made.iter().map(|number| number * number).sum::<f32>().sqrt();
            let (start_ms, end_ms) = (n as u64 * 30_000, n as u64 * 30_000 + 29_000);
            said.cues.push(SpokenCue {
                start_ms,
                end_ms,
                text: format!("passage {n}"),
                ..SpokenCue::default()
            });
            let vector = Vector::new(&made.map(|number| number / length));
            said.embedded.push(EmbeddedPassage { start_ms: start_ms as u32, end_ms: end_ms as u32, vector });
        }
        let recording = format!("00000000-0000-7000-8000-{lesson:012}");
        let uploader = format!("teacher-{}", lesson % 97);
        engine.replace(
            &IndexedLesson { tenant: "many".into(), recording, uploader, ..IndexedLesson::default() },
            &said,
        )?;
        if (lesson + 1).is_multiple_of(BATCH) {
            engine.commit()?;
        }
    }
    engine.commit()?;
    let build_s = started.elapsed().as_secs_f64();
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let one = Area { uploader: Some("teacher-7".into()), ..Area::for_tenant("many") };
    for (name, area) in
        [("warm", Area::for_tenant("many")), ("all", Area::for_tenant("many")), ("uploader", one)]
    {
        for text in queries.iter().flat_map(|query| &query.texts) {
            let started = Instant::now();
            let vector = Vector::new(&model.embed(text)?);
            let embedded_ms = started.elapsed().as_secs_f64() * 1_000.0;
            engine.similar(&vector, &area, LIMIT)?;
            let all_ms = started.elapsed().as_secs_f64() * 1_000.0;
            times.entry("embed").or_default().push(embedded_ms);
            times.entry(name).or_default().push(all_ms - embedded_ms);
        }
    }
    times.remove("warm");
    Ok(json!({ "passages": passages, "build_s": build_s, "times_ms": times }))
}

/// Numbers from 0 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }
}
