//! Runs inspect and transcode on a file by hand, and prints both reports:
//! `cargo run --example step -- FILE OUT_DIR`. `scripts/bench` measures steps with it, each in a
//! process of its own.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chalkstream_pipeline::context::{StepContext, StepEvent};
use chalkstream_pipeline::ladder::{LadderSettings, Rung, plan};
use chalkstream_pipeline::limits::Limits;
use chalkstream_pipeline::source::FileSource;
use chalkstream_pipeline::steps::{inspect, transcode};

#[path = "../src/ladder/defaults.rs"]
mod defaults;

const USAGE: &str = "\
usage: step FILE OUT_DIR [inspect] [vad=MODEL] [preset=P] [quality=N] [rates=FACTOR] [only=NAME,…] [scrub] [all]

  inspect  stops after inspect
  vad      finds speech with this model
  quality  sets x264's rate factor; 0 makes bitrates constant
  rates    multiplies the bitrates of all renditions
  only     makes these renditions alone
  scrub    adds what scrubbing needs
  all      keeps redundant renditions";

/// The arguments after file and folder.
struct Options {
    inspect_only: bool,
    vad_model: Option<PathBuf>,
    scrub: bool,
    rates: f64,
    only: Option<Vec<String>>,
    settings: LadderSettings,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let parsed = match args.as_slice() {
        [_, file, out, rest @ ..] => parse(rest).map(|options| (Path::new(file), Path::new(out), options)),
        _ => None,
    };
    let Some((file, out, options)) = parsed else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    if let Err(error) = run(file, out, &options) {
        println!("{}", serde_json::json!({ "code": error.code, "message": error.message }));
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            eprintln!("  because: {error}");
            cause = error.source();
        }
        std::process::exit(3);
    }
}

fn parse(words: &[String]) -> Option<Options> {
    let (inspect_only, vad_model, scrub, rates, only) = (false, None, false, 1.0, None);
    let settings = defaults::default_settings().ok()?;
    let mut options = Options { inspect_only, vad_model, scrub, rates, only, settings };
    for word in words {
        match word.split_once('=') {
            None if word == "inspect" => options.inspect_only = true,
            None if word == "scrub" => options.scrub = true,
            None if word == "all" => options.settings.drop_redundant = false,
            Some(("vad", model)) => options.vad_model = Some(model.into()),
            Some(("preset", preset)) => preset.clone_into(&mut options.settings.preset),
            Some(("quality", quality)) => {
                options.settings.quality = Some(quality.parse().ok()?).filter(|&q| q > 0);
            }
            Some(("rates", factor)) => options.rates = factor.parse().ok()?,
            Some(("only", names)) => options.only = Some(names.split(',').map(str::to_owned).collect()),
            _ => return None,
        }
    }
    Some(options)
}

fn run(file: &Path, out: &Path, options: &Options) -> chalkstream_pipeline::Result<()> {
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
    let vad_model_path = options.vad_model.clone();
    let request = inspect::InspectRequest { limits: limits.clone(), vad_model_path };
    let media = inspect::run(&request, source.clone(), &ctx)?;
    let json = |value| serde_json::to_string(&value).unwrap_or_default();
    println!("{}", json(serde_json::to_value(&media).unwrap_or_default()));
    if let (Some(video), false) = (&media.video, options.inspect_only) {
        let mut ladder = plan(video, &options.settings);
        if let Some(names) = &options.only {
            ladder = ladder.part(|rendition| names.contains(&rendition.name));
        }
        for rendition in &mut ladder.renditions {
            rendition.bitrate_bps = (rendition.bitrate_bps as f64 * options.rates) as u64;
        }
        let request = transcode::TranscodeRequest {
            media: media.clone(),
            ladder: ladder.clone(),
            iframes: options.scrub,
            trickplay: options.scrub,
            limits,
        };
        let report = transcode::run(&request, media.source(source), &ctx)?;
        println!("{}", json(serde_json::to_value(&report).unwrap_or_default()));
        println!("{}", json(serde_json::to_value(&ladder).unwrap_or_default()));
    }
    Ok(())
}
