//! `conformance [--hostile] [--fresh] DIR|FILE…`: every recording through `chalkstream process`,
//! checked by outside tools; a table, a line a file, and an exit code of 1 where something is
//! wrong.
//!
//! Finished files are kept in a log next to this binary and not judged again until `chalkstream` is
//! another one.
//!
//! `conformance --variants [KIND…] [--count N] [--seed S] [--keep DIR]`: the same with recordings
//! made for it, `N` of each kind. A variant depends on its kind, its number and the seed alone.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chalkstream_tests::checker::check_file;
use chalkstream_tests::process::chalkstream;
use chalkstream_tests::report::Row;
use chalkstream_tests::source_delivery::SourceDelivery;
use chalkstream_tests::variants::{self, KINDS};
use chalkstream_tests::{hostile, stream};
use serde_json::{Value, json};

/// Next to the recordings lie texts and truths, which are not for us.
const NOT_MEDIA: [&str; 6] = ["json", "txt", "md", "vtt", "srt", "tsv"];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == "--variants").is_some() {
        return Variants::parse(arguments).map_or_else(usage, |variants| variants.run());
    }
    let (options, paths): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let has = |name: &str| options.iter().any(|option| option == name);
    if paths.is_empty() || options.iter().any(|o| o != "--hostile" && o != "--fresh") {
        return usage();
    }
    let scratch = tempfile::TempDir::new().unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    for path in paths.iter().map(PathBuf::from) {
        if path.is_dir() { files.extend(below(&path)) } else { files.push(path) }
    }
    files.sort();
    let ears = if has("--hostile") { hostile::listeners().into() } else { Vec::new() };
    if let Some(ear) = ears.first() {
        files.extend(hostile::scripts(scratch.path(), ear.local_addr().unwrap().port()));
        files.extend(hostile::large(scratch.path()));
    }
    let mut log = Log::open(has("--fresh"));
    println!(
        "{}",
        if has("--hostile") { "file                             time   memory  end" } else { HEAD }
    );
    let mut served = None;
    let (mut right, mut refused, mut wrong) = (0, 0, 0);
    for file in &files {
        let (line, problems, was_refused) = log.of(file, has("--hostile"), || {
            let folder = tempfile::TempDir::new_in(scratch.path()).unwrap();
            let served = served.get_or_insert_with(SourceDelivery::start);
            if has("--hostile") {
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                let (line, problems) = hostile::check(file, folder.path(), &ears, served);
                (format!("{} {line}", fitted(&name, 32)), problems, false)
            } else {
                let row = check_file(file, folder.path(), Some(served));
                (line(&row), row.wrong.clone(), row.refused.is_some())
            }
        });
        println!("{line}");
        for problem in &problems {
            println!("      {problem}");
        }
        let _ = std::io::stdout().flush();
        match (problems.is_empty(), was_refused) {
            (false, _) => wrong += 1,
            (true, true) => refused += 1,
            (true, false) => right += 1,
        }
    }
    println!("{} files: {right} right, {refused} refused as they should be, {wrong} wrong", files.len());
    if wrong == 0 && right + refused > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    println!("usage: conformance [--hostile] [--fresh] DIR|FILE…");
    println!("       conformance --variants [KIND…] [--count N] [--seed S] [--keep DIR]");
    println!("kinds: {}", KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(" "));
    ExitCode::from(2)
}

/// A run over recordings that are made for it.
struct Variants {
    kinds: Vec<String>,
    count: usize,
    seed: u64,
    keep: Option<PathBuf>,
}

impl Variants {
    fn parse(arguments: impl Iterator<Item = String>) -> Option<Self> {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let mut parsed = Self { kinds: Vec::new(), count: 10, seed: since, keep: None };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--count" => parsed.count = arguments.next()?.parse().ok()?,
                "--seed" => parsed.seed = arguments.next()?.parse().ok()?,
                "--keep" => parsed.keep = Some(arguments.next()?.into()),
                // `slow-3` is the third variant of `slow` alone.
                name => {
                    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
                    KINDS.iter().find(|known| known.name == kind)?;
                    parsed.kinds.push(name.to_owned());
                }
            }
        }
        if parsed.kinds.is_empty() {
            parsed.kinds.extend(KINDS.iter().map(|kind| kind.name.to_owned()));
        }
        Some(parsed)
    }

    fn run(&self) -> ExitCode {
        println!("seed {}", self.seed);
        println!("{HEAD}");
        let scratch = tempfile::TempDir::new().unwrap();
        let (mut right, mut wrong) = (0, 0);
        for name in &self.kinds {
            let (kind, only) = name
                .rsplit_once('-')
                .map_or((name.as_str(), None), |(kind, index)| (kind, index.parse::<usize>().ok()));
            let kind = KINDS.iter().find(|known| known.name == kind).expect("a kind that was parsed");
            for index in only.map_or(0..self.count, |only| only..only + 1) {
                let kept = self.keep.as_ref().map(|keep| keep.join(format!("{}-{index:02}", kind.name)));
                let folder = tempfile::TempDir::new_in(scratch.path()).unwrap();
                let folder = kept.as_deref().unwrap_or(folder.path());
                std::fs::create_dir_all(folder).unwrap();
                let (row, steps) = variants::check(kind, index, self.seed, folder);
                println!("{}", line(&row));
                if row.wrong.is_empty() {
                    right += 1;
                    continue;
                }
                wrong += 1;
                for problem in &row.wrong {
                    println!("      {problem}");
                }
                for step in &steps {
                    println!("      made by: {step}");
                }
                let _ = std::io::stdout().flush();
            }
        }
        println!("{} variants: {right} right, {wrong} wrong; seed {}", right + wrong, self.seed);
        if wrong == 0 && right > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Every recording below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = stream::all_files(folder);
    found.retain(|path| !NOT_MEDIA.iter().any(|e| path.extension().is_some_and(|x| x == *e)));
    found
}

const HEAD: &str = "file                             size            PSNR  SSIM   length/said s      A/V ms     colour Y U V    verdict";

fn fitted(text: &str, width: usize) -> String {
    let mut text: String = text.chars().take(width).collect();
    while text.chars().count() < width {
        text.push(' ');
    }
    text
}

/// One line of the table.
fn line(row: &Row) -> String {
    let or = |value: Option<String>| value.unwrap_or_else(|| "—".into());
    let hdr = if row.hdr == "pq" || row.hdr == "hlg" { format!(" {}", row.hdr) } else { String::new() };
    let apart = |place: usize| or(row.av_offset_ms[place].map(|ms| format!("{ms:.0}")));
    let verdict = match (&row.refused, row.wrong.is_empty()) {
        (Some(code), _) => format!("refused: {code}"),
        (None, true) => {
            let source = row.source.as_ref().map_or(String::new(), |how| format!("; source: {how}"));
            let warned = if row.warnings.is_empty() { "" } else { ", warned: " };
            format!("ok{warned}{}{source}", row.warnings.join(" "))
        }
        (None, false) => "WRONG".into(),
    };
    format!(
        "{} {} {} {} {}  {} {}",
        fitted(&row.name, 32),
        fitted(&format!("{}{hdr}", row.size), 15),
        fitted(&or(row.similarity.map(|(psnr, ssim)| format!("{psnr:4.1}  {ssim:.3}"))), 12),
        fitted(&or(row.lengths_s.map(|(made, said)| format!("{made:.3}/{said:.3}"))), 17),
        fitted(&format!("{}..{}", apart(0), apart(1)), 10),
        fitted(&or(row.colour.map(|[y, u, v]| format!("{y:+.1} {u:+.1} {v:+.1}"))), 16),
        verdict
    )
}

/// Results of earlier runs with the same binary: each file once.
struct Log {
    path: PathBuf,
    done: BTreeMap<String, Value>,
    binary: String,
}

impl Log {
    fn open(fresh: bool) -> Self {
        let path = std::env::current_exe().unwrap().with_file_name("conformance.log");
        let text = if fresh { String::new() } else { std::fs::read_to_string(&path).unwrap_or_default() };
        let done = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|entry| Some((entry["key"].as_str()?.to_owned(), entry)))
            .collect();
        if fresh {
            let _ = std::fs::remove_file(&path);
        }
        let changed = |path: &Path| format!("{:?}", std::fs::metadata(path).unwrap().modified().unwrap());
        let own = std::env::current_exe().unwrap();
        Self { path, done, binary: format!("{} {}", changed(&chalkstream()), changed(&own)) }
    }

    /// The line, the problems and whether it was refused: from the log, or judged now. Only what is
    /// right is kept.
    fn of(
        &mut self,
        file: &Path,
        hostile: bool,
        check: impl FnOnce() -> (String, Vec<String>, bool),
    ) -> (String, Vec<String>, bool) {
        let facts = std::fs::metadata(file).unwrap();
        let (size, changed) = (facts.len(), facts.modified().unwrap());
        let key = format!("{hostile} {} {size} {changed:?} {}", file.display(), self.binary);
        if let Some(entry) = self.done.get(&key) {
            let line = entry["line"].as_str().unwrap_or_default().to_owned();
            return (line, Vec::new(), entry["refused"] == true);
        }
        let (line, problems, refused) = check();
        if problems.is_empty() {
            let entry = json!({ "key": key, "line": line, "refused": refused });
            let mut log = std::fs::File::options().create(true).append(true).open(&self.path).unwrap();
            writeln!(log, "{entry}").unwrap();
        }
        (line, problems, refused)
    }
}
