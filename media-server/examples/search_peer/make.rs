//! Makes lessons and queries.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::{Failure, uploader};

const TENANTS: usize = 20;
const CUES: usize = 500;
const QUERIES: usize = 1_000;
const VOCABULARY: usize = 40_000;
/// Exponent and offset of Zipf's law, as Mandelbrot fits it to English.
const ZIPF: (f64, f64) = (1.05, 2.7);
/// Of a hundred cues, those that are real sentences.
const REAL_PERCENT: usize = 4;
const CUE_MS: u64 = 3_000;

/// Sebastiano Vigna's splitmix64: the same lessons every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Words by frequency: first those of the real sentences, then made ones.
struct Language {
    sentences: Vec<String>,
    words: Vec<String>,
    cumulated: Vec<f64>,
}

impl Language {
    fn read(random: &mut Random) -> Result<Self, Failure> {
        let sentences: Vec<String> = std::io::stdin().lines().collect::<Result<_, _>>()?;
        let mut counts: HashMap<String, usize> = HashMap::new();
        for word in sentences.iter().flat_map(|sentence| sentence.split_whitespace()) {
            let word: String = word.chars().filter(|c| c.is_alphanumeric() || *c == '\'').collect();
            *counts.entry(word.to_lowercase()).or_default() += 1;
        }
        let mut known: Vec<(String, usize)> = counts.into_iter().collect();
        known.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        let mut words: Vec<String> = known.into_iter().map(|(word, _)| word).collect();
        while words.len() < VOCABULARY {
            let syllables = 2 + random.below(3);
            words.push((0..syllables).map(|_| syllable(random)).collect());
        }
        let mut sum = 0.0;
        let weight = |rank: usize| 1.0 / (rank as f64 + 1.0 + ZIPF.1).powf(ZIPF.0);
        let cumulated = (0..words.len())
            .map(|rank| {
                sum += weight(rank);
                sum
            })
            .collect();
        Ok(Self { sentences, words, cumulated })
    }

    fn cue(&self, random: &mut Random) -> String {
        if random.below(100) < REAL_PERCENT {
            return self.sentences[random.below(self.sentences.len())].clone();
        }
        let count = 6 + random.below(9);
        let words: Vec<&str> = (0..count).map(|_| self.word(random)).collect();
        words.join(" ")
    }

    fn word(&self, random: &mut Random) -> &str {
        let total = self.cumulated.last().copied().unwrap_or_default();
        let at = random.next() as f64 / u64::MAX as f64 * total;
        let rank = self.cumulated.partition_point(|sum| *sum < at);
        &self.words[rank.min(self.words.len() - 1)]
    }
}

fn syllable(random: &mut Random) -> String {
    const STARTS: [&str; 16] =
        ["b", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "v", "st", "tr", "pl", "ch"];
    const VOWELS: [&str; 6] = ["a", "e", "i", "o", "u", "ea"];
    const ENDS: [&str; 6] = ["", "", "n", "r", "s", "t"];
    [STARTS[random.below(16)], VOWELS[random.below(6)], ENDS[random.below(6)]].concat()
}

/// The tenant of a lesson: the first has half of them.
fn tenant(lesson: usize, lessons: usize) -> String {
    let number = match lesson < lessons / 2 {
        true => 0,
        false => 1 + (lesson - lessons / 2) * (TENANTS - 1) / (lessons - lessons / 2),
    };
    format!("tenant-{number:02}")
}

/// Writes the cues and the queries.
pub fn make(folder: &Path, lessons: usize) -> Result<(), Failure> {
    let mut random = Random(7);
    let language = Language::read(&mut random)?;
    let mut cues = BufWriter::new(File::create(folder.join("cues.tsv"))?);
    let mut samples: Vec<(String, usize, String)> = Vec::new();
    for lesson in 0..lessons {
        let tenant = tenant(lesson, lessons);
        for number in 0..CUES {
            let text = language.cue(&mut random);
            let start_ms = number as u64 * CUE_MS;
            let end_ms = start_ms + CUE_MS - 200;
            writeln!(cues, "{tenant}\t{lesson}\t{number}\t{start_ms}\t{end_ms}\t{text}")?;
            let sample = (tenant.clone(), lesson, text);
            if samples.len() < QUERIES {
                samples.push(sample);
                continue;
            }
            // Each cue is as likely a sample as any other.
            let at = random.below(lesson * CUES + number + 1);
            if at < QUERIES {
                samples[at] = sample;
            }
        }
    }
    cues.flush()?;
    let mut queries = BufWriter::new(File::create(folder.join("queries.tsv"))?);
    for (tenant, lesson, text) in &samples {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (kind, uploader, query) = ask(&words, *lesson, &mut random);
        writeln!(queries, "{tenant}\t{kind}\t{uploader}\t{query}")?;
    }
    Ok(queries.flush()?)
}

/// A query for words of a cue: its kind, uploader and text.
fn ask(words: &[&str], lesson: usize, random: &mut Random) -> (&'static str, String, String) {
    let word = words[random.below(words.len())];
    let count = (2 + random.below(4)).min(words.len());
    let at = random.below(words.len() + 1 - count);
    let phrase = words[at..at + count].join(" ");
    let (kind, text) = match random.below(100) {
        0..25 => ("word", format!("{word} ")),
        25..45 => ("two words", format!("{word} {} ", words[random.below(words.len())])),
        45..65 => ("phrase", format!("\"{phrase}\"")),
        65..80 => ("some words", format!("{phrase} ")),
        80..90 => ("prefix", word.chars().take(2 + random.below(4)).collect()),
        90..95 => ("misspelt", misspelt(word, random)),
        _ => return ("uploader", uploader(lesson), format!("{word} ")),
    };
    (kind, String::new(), text)
}

fn misspelt(word: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = random.below(letters.len());
    letters[at] = 'e';
    letters.push(' ');
    letters.into_iter().collect()
}
