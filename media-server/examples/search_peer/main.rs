//! Our side of `scripts/bench search`: makes lessons and queries, indexes the lessons, and answers
//! the queries.
//!
//! `search_peer make FOLDER LESSONS < SENTENCES` writes `cues.tsv` (tenant, lesson, number, start
//! and end in ms, text) and `queries.tsv` (tenant, kind, uploader or nothing, text).
//! `search_peer run FOLDER AT_ONCE` indexes them below the folder, and prints one JSON document.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

mod make;
mod scan;

use chalkstream_media_server::search::{
    Area, Embedded, IndexedLesson, SearchEngine, SpokenCue, SpokenLesson, SpokenWord, find, max_at_once,
};
use tokio::sync::Semaphore;

type Queries = Arc<Vec<Vec<String>>>;
/// Number of the query, time in ms, moments, time on a core in ms.
type Answer = (usize, f64, usize, f64);
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Lessons between two commits, as in a scan of storage.
const BATCH: usize = 200;
/// Time between the starts of two words of a cue.
const WORD_MS: u64 = 180;
/// Moments of a page.
const LIMIT: usize = 20;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["make", folder, lessons] => make::make(Path::new(folder), lessons.parse()?),
        ["run", folder, at_once] => run(Path::new(folder), at_once.parse()?),
        _ => Err("search_peer make FOLDER LESSONS, or search_peer run FOLDER AT_ONCE".into()),
    }
}

fn recording(lesson: usize) -> String {
    format!("00000000-0000-7000-8000-{lesson:012}")
}

fn uploader(lesson: usize) -> String {
    format!("teacher-{}", lesson % 97)
}

fn run(folder: &Path, at_once: usize) -> Result<(), Failure> {
    let index = folder.join("index");
    let started = Instant::now();
    let (lessons, cues) = build(&folder.join("cues.tsv"), &index)?;
    let build_s = started.elapsed().as_secs_f64();
    let engine = Arc::new(Embedded::open(&index)?);
    let queries: Vec<Vec<String>> = BufReader::new(File::open(folder.join("queries.tsv"))?)
        .lines()
        .map(|line| line.map(|line| line.split('\t').map(str::to_owned).collect()))
        .collect::<Result<_, _>>()?;
    let queries = Arc::new(queries);
    answer(&engine, &queries, at_once)?;
    let answers = answer(&engine, &queries, at_once)?;
    let answers: Vec<_> = answers
        .iter()
        .map(|(number, ms, moments, cpu_ms)| {
            serde_json::json!([queries[*number][1], ms, moments, queries[*number][3], cpu_ms])
        })
        .collect();
    let phrases: Vec<&Vec<String>> = queries.iter().filter(|query| query[1] == "phrase").collect();
    let unequal = scan::unequal(&engine, &folder.join("cues.tsv"), &phrases)?;
    let report = serde_json::json!({
        "phrases": phrases.len(),
        "phrases_unequal": unequal,
        "lessons": lessons,
        "cues": cues,
        "build_s": build_s,
        "size_bytes": size_bytes(&index)?,
        "answers": answers,
    });
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

fn build(cues: &Path, index: &Path) -> Result<(usize, usize), Failure> {
    let engine = Embedded::open(index)?;
    let lines = Mutex::new(Lessons { lines: BufReader::new(File::open(cues)?).lines(), ahead: None });
    let (done, count) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || -> Result<(), Failure> {
        loop {
            let next = lines.lock().map_err(|_| "a thread failed")?.next()?;
            let Some((lesson, transcript)) = next else { return Ok(()) };
            engine.replace(&lesson, &transcript)?;
            count.fetch_add(transcript.cues.len(), Ordering::Relaxed);
            if (done.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(BATCH) {
                engine.commit()?;
            }
        }
    };
    std::thread::scope(|scope| -> Result<(), Failure> {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread failed")?)
    })?;
    engine.commit()?;
    Ok((done.into_inner(), count.into_inner()))
}

/// Reads lessons from the lines of their cues.
struct Lessons<L> {
    lines: L,
    ahead: Option<Vec<String>>,
}

impl<L: Iterator<Item = std::io::Result<String>>> Lessons<L> {
    fn next(&mut self) -> Result<Option<(IndexedLesson, SpokenLesson)>, Failure> {
        let Some(first) = self.ahead.take().map_or_else(|| self.line(), |line| Ok(Some(line)))? else {
            return Ok(None);
        };
        let number: usize = first[1].parse()?;
        let lesson = IndexedLesson {
            tenant: first[0].clone(),
            recording: recording(number),
            title: format!("Lesson {number}"),
            uploader: uploader(number),
            created_at_ms: number as u64 * 3_600_000,
            version: "1".into(),
        };
        let cues = vec![cue(&first)?];
        let mut transcript = SpokenLesson { language: "en".into(), cues, embedded: Vec::new() };
        while let Some(line) = self.line()? {
            if line[1] != first[1] {
                self.ahead = Some(line);
                break;
            }
            transcript.cues.push(cue(&line)?);
        }
        Ok(Some((lesson, transcript)))
    }

    fn line(&mut self) -> Result<Option<Vec<String>>, Failure> {
        let line = self.lines.next().transpose()?;
        Ok(line.map(|line| line.split('\t').map(str::to_owned).collect()))
    }
}

fn cue(line: &[String]) -> Result<SpokenCue, Failure> {
    let (start_ms, end_ms, text) = (line[3].parse()?, line[4].parse()?, line[5].clone());
    let words = text.split_whitespace().enumerate().map(|(n, word)| {
        let start_ms = start_ms + n as u64 * WORD_MS;
        SpokenWord { start_ms, end_ms: start_ms + 150, text: word.into() }
    });
    Ok(SpokenCue { start_ms, end_ms, words: words.collect(), text, doubt_percent: 0 })
}

/// Answers all queries, so many at once, of which as many run as in the server. Returns number,
/// time in ms, moments, and time on a core in ms of each.
fn answer(engine: &Arc<Embedded>, queries: &Queries, at_once: usize) -> Result<Vec<Answer>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let permits = Arc::new(Semaphore::new(max_at_once()));
    let next = Arc::new(AtomicUsize::new(0));
    let clients = (0..at_once).map(|_| {
        let (engine, queries, permits, next) =
            (engine.clone(), queries.clone(), permits.clone(), next.clone());
        runtime.spawn(async move {
            let mut answers = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= queries.len() {
                    return Ok::<_, Failure>(answers);
                }
                let started = Instant::now();
                let _permit = permits.acquire().await?;
                let (engine, queries) = (engine.clone(), queries.clone());
                let search = tokio::task::spawn_blocking(move || ask(&engine, &queries[number]));
                let (moments, cpu_ms) = search.await??;
                let ms = started.elapsed().as_secs_f64() * 1_000.0;
                answers.push((number, ms, moments, cpu_ms));
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut answers = Vec::new();
    for client in clients {
        answers.extend(runtime.block_on(client)??);
    }
    Ok(answers)
}

/// Returns the number of moments, and the time on a core in ms.
fn ask(engine: &Embedded, query: &[String]) -> Result<(usize, f64), Failure> {
    let uploader = Some(query[2].clone()).filter(|uploader| !uploader.is_empty());
    let area = Area { uploader, ..Area::for_tenant(&query[0]) };
    let before_ms = cpu_ms();
    let found = find(engine, &query[3], &area, 0, LIMIT)?;
    Ok((found.moments.len(), cpu_ms() - before_ms))
}

/// Time that this thread has had on a core, in ms; 0 where the system does not say.
fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns: u64 = text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default();
    ns as f64 / 1e6
}

fn size_bytes(folder: &Path) -> Result<u64, Failure> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        total += match entry.file_type()?.is_dir() {
            true => size_bytes(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(total)
}
