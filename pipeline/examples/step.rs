//! Runs inspect and transcode on a file by hand, and prints both reports: `cargo run --example step -- FILE OUT_DIR`.
//! `scripts/bench` runs it too: one process that does one step.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chalkstream_pipeline::context::{StepContext, StepEvent};
use chalkstream_pipeline::ladder::{LadderSettings, plan};
use chalkstream_pipeline::limits::Limits;
use chalkstream_pipeline::source::FileSource;
use chalkstream_pipeline::steps::{inspect, transcode};

const USAGE: &str = "usage: step FILE OUT_DIR [inspect] [vad=MODEL] [preset=P] [quality=N] [rates=FACTOR] [only=NAME,…] [scrub] [all]
  quality=0 makes bitrates constant; rates multiplies those of all renditions; scrub adds what scrubbing needs; all keeps redundant renditions";

/// What is asked on the command line.
#[derive(Default)]
struct Asked {
    inspect_only: bool,
    vad_model: Option<PathBuf>,
    scrub: bool,
    rates: Option<f64>,
    only: Option<Vec<String>>,
    settings: LadderSettings,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, file, out, rest @ ..] = args.as_slice() else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    let Some(asked) = asked(rest) else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    match run(Path::new(file), Path::new(out), &asked) {
        Ok(()) => {}
        Err(error) => {
            println!("{}", serde_json::json!({ "code": error.code, "message": error.message }));
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            std::process::exit(3);
        }
    }
}

fn asked(words: &[String]) -> Option<Asked> {
    let mut asked = Asked::default();
    for word in words {
        match word.split_once('=') {
            None if word == "inspect" => asked.inspect_only = true,
            None if word == "scrub" => asked.scrub = true,
            None if word == "all" => asked.settings.drop_redundant = false,
            Some(("vad", model)) => asked.vad_model = Some(model.into()),
            Some(("preset", preset)) => preset.clone_into(&mut asked.settings.preset),
            Some(("quality", quality)) => {
                asked.settings.quality = Some(quality.parse().ok()?).filter(|&q| q > 0);
            }
            Some(("rates", factor)) => asked.rates = Some(factor.parse().ok()?),
            Some(("only", names)) => asked.only = Some(names.split(',').map(str::to_owned).collect()),
            _ => return None,
        }
    }
    Some(asked)
}

fn run(file: &Path, out: &Path, asked: &Asked) -> chalkstream_pipeline::Result<()> {
    let source = Arc::new(FileSource::open(file)?);
    std::fs::create_dir_all(out)?;
    let ctx = StepContext {
        out_dir: PathBuf::from(out),
        emit: Arc::new(|event| {
            if let StepEvent::Error { message, .. } = event {
                eprintln!("{message}");
            }
        }),
        cancel: Arc::default(),
    };
    let limits = Limits::default();
    let request = inspect::InspectRequest { limits: limits.clone(), vad_model_path: asked.vad_model.clone() };
    let media = inspect::run(&request, source.clone(), &ctx)?;
    let json = |value| serde_json::to_string(&value).unwrap_or_default();
    println!("{}", json(serde_json::to_value(&media).unwrap_or_default()));
    if let (Some(video), false) = (&media.video, asked.inspect_only) {
        let mut ladder = plan(video, &asked.settings);
        if let Some(names) = &asked.only {
            ladder = ladder.part(|rendition| names.contains(&rendition.name));
        }
        for rendition in &mut ladder.renditions {
            let factor = asked.rates.unwrap_or(1.0);
            rendition.bitrate_bps = (rendition.bitrate_bps as f64 * factor) as u64;
        }
        let request = transcode::TranscodeRequest {
            media: media.clone(),
            ladder: ladder.clone(),
            iframes: asked.scrub,
            trickplay: asked.scrub,
            limits,
        };
        let report = transcode::run(&request, media.source(source), &ctx)?;
        println!("{}", json(serde_json::to_value(&report).unwrap_or_default()));
        println!("{}", json(serde_json::to_value(&ladder).unwrap_or_default()));
    }
    Ok(())
}
