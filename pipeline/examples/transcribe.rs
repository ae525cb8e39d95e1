//! Transcribes WAV files (16 kHz, mono, 16 bits) by hand, one after another:
//! `cargo run --example transcribe -- MODELS NAME EFFORT LANGUAGE OUT_DIR FILE…`. The transcript
//! of the first file is below `OUT_DIR/0`, and so on. `CHALKSTREAM_VOCABULARY` has terms with
//! commas between them. `scripts/bench speech` measures the step with it.
#![allow(clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chalkstream_formats::vocabulary::Vocabulary;
use chalkstream_pipeline::context::StepContext;
use chalkstream_pipeline::source::FileSource;
use chalkstream_pipeline::steps::speech::{self, Effort, TranscribeRequest};
use chalkstream_pipeline::{Error, Result, model};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [models, name, effort, language, out, files @ ..] = args.as_slice() else {
        eprintln!("usage: transcribe MODELS NAME fast|careful LANGUAGE|auto OUT_DIR FILE…");
        std::process::exit(2);
    };
    let effort = if effort == "fast" { Effort::Fast } else { Effort::Careful };
    for (index, file) in files.iter().enumerate() {
        let out = Path::new(out).join(index.to_string());
        if let Err(error) = transcribe(Path::new(models), name, effort, language, &out, file) {
            eprintln!("{file}: {error}");
            std::process::exit(3);
        }
    }
}

fn transcribe(
    models: &Path,
    name: &str,
    effort: Effort,
    language: &str,
    out: &Path,
    file: &str,
) -> Result<()> {
    let terms = std::env::var("CHALKSTREAM_VOCABULARY").unwrap_or_default();
    let vocabulary = Vocabulary::parse(&terms).map_err(|error| Error::internal(error.to_string()))?;
    let found = model::locate(name, models)?;
    std::fs::create_dir_all(out)?;
    let request = TranscribeRequest {
        model_path: found.model,
        vad_model_path: Some(found.vad),
        voices_path: Some(found.voices),
        meaning_path: Some(found.meaning),
        model_name: found.name,
        language: (language != "auto").then(|| language.to_owned()),
        threads: 1,
        duration_ms: 0,
        effort,
        names: None,
        silence: false,
        vocabulary: vec![vocabulary],
    };
    let ctx = StepContext { out_dir: PathBuf::from(out), emit: Arc::new(|_| {}), cancel: Arc::default() };
    speech::run(&request, Arc::new(FileSource::open(Path::new(file))?), &ctx)?;
    Ok(())
}
