//! Phrases against a scan of all words.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use chalkstream_media_server::search::{Area, Embedded, Hit, MAX_LIMIT, find};

use super::{Failure, WORD_MS, recording};

/// Starts in ms of a phrase's occurrences, by recording.
type Occurrences = HashMap<String, Vec<u64>>;

/// The phrases whose moments are not just the occurrences that a scan of the cues finds. Those that
/// occur oftener than a search has moments must only have right ones.
pub fn unequal(engine: &Embedded, cues: &Path, queries: &[&Vec<String>]) -> Result<Vec<String>, Failure> {
    let scanned = scan(cues, queries)?;
    let mut unequal = Vec::new();
    for (query, expected) in queries.iter().zip(scanned) {
        let (hits, is_all) = every_moment(engine, &query[0], &query[3])?;
        let is_right = |hit: &Hit| {
            let starts = expected.get(&hit.recording);
            starts.is_some_and(|starts| starts.contains(&hit.start_ms))
        };
        let mut found: HashMap<&str, Vec<&Hit>> = HashMap::new();
        for hit in &hits {
            found.entry(&hit.recording).or_default().push(hit);
        }
        let is_found = |recording: &str, start_ms: u64| {
            let hits = found.get(recording).map(Vec::as_slice).unwrap_or_default();
            hits.iter().any(|hit| (hit.start_ms..hit.end_ms).contains(&start_ms))
        };
        let missed = expected
            .iter()
            .any(|(recording, starts)| starts.iter().any(|start_ms| !is_found(recording, *start_ms)));
        if !hits.iter().all(is_right) || (is_all && missed) {
            unequal.push(query[3].clone());
        }
    }
    Ok(unequal)
}

fn every_moment(engine: &Embedded, tenant: &str, query: &str) -> Result<(Vec<Hit>, bool), Failure> {
    let (mut hits, mut skip) = (Vec::new(), Some(0));
    while let Some(at) = skip {
        let page = find(engine, query, &Area::for_tenant(tenant), at, MAX_LIMIT)?;
        hits.extend(page.moments);
        skip = page.next;
    }
    let is_all = hits.len() < chalkstream_media_server::search::MAX_MOMENTS;
    Ok((hits, is_all))
}

/// The occurrences of each phrase in the lessons of its tenant.
fn scan(cues: &Path, queries: &[&Vec<String>]) -> Result<Vec<Occurrences>, Failure> {
    let phrases: Vec<Vec<String>> = queries.iter().map(|query| words(&query[3])).collect();
    let mut by_first: HashMap<&str, Vec<usize>> = HashMap::new();
    for (number, phrase) in phrases.iter().enumerate() {
        by_first.entry(&phrase[0]).or_default().push(number);
    }
    let known: HashSet<&str> = phrases.iter().flatten().map(String::as_str).collect();
    let mut found = vec![Occurrences::new(); phrases.len()];
    let mut lesson: (String, String) = Default::default();
    // A word that no phrase has is left empty.
    let mut spoken: Vec<(String, u64)> = Vec::new();
    let mut look = |lesson: &(String, String), spoken: &mut Vec<(String, u64)>| -> Result<(), Failure> {
        for at in 0..spoken.len() {
            for &number in by_first.get(spoken[at].0.as_str()).into_iter().flatten() {
                let phrase = &phrases[number];
                let is_here = spoken.len() - at >= phrase.len()
                    && phrase.iter().zip(&spoken[at..]).all(|(word, (said, _))| word == said);
                if is_here && queries[number][0] == lesson.0 {
                    found[number].entry(recording(lesson.1.parse()?)).or_default().push(spoken[at].1);
                }
            }
        }
        spoken.clear();
        Ok(())
    };
    for line in BufReader::new(File::open(cues)?).lines() {
        let line = line?;
        let cue: Vec<&str> = line.split('\t').collect();
        if lesson.0 != cue[0] || lesson.1 != cue[1] {
            look(&lesson, &mut spoken)?;
            lesson = (cue[0].into(), cue[1].into());
        }
        let start_ms: u64 = cue[3].parse()?;
        for (number, written) in cue[5].split_whitespace().enumerate() {
            for word in words(written) {
                let word = if known.contains(word.as_str()) { word } else { String::new() };
                spoken.push((word, start_ms + number as u64 * WORD_MS));
            }
        }
    }
    look(&lesson, &mut spoken)?;
    Ok(found)
}

/// Words as runs of letters, in lower case. An apostrophe between two letters belongs to neither.
fn words(text: &str) -> Vec<String> {
    let text: String = text.chars().filter(|c| *c != '\'' && *c != '\u{2019}').collect();
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}
