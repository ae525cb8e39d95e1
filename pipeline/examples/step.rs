//! Runs inspect and transcode on a file by hand: `cargo run --example step -- FILE OUT_DIR [inspect]`.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::sync::Arc;

use chalkstream_pipeline::ladder::{LadderSettings, plan};
use chalkstream_pipeline::source::FileSource;
use chalkstream_pipeline::step::{StepContext, StepEvent};
use chalkstream_pipeline::{inspect, media::Limits, transcode};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, file, out, rest @ ..] = args.as_slice() else {
        eprintln!("usage: step FILE OUT_DIR [inspect]");
        std::process::exit(2);
    };
    match run(file, out, rest.is_empty()) {
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

fn run(file: &str, out: &str, transcodes: bool) -> chalkstream_pipeline::Result<()> {
    let source = Arc::new(FileSource::open(&PathBuf::from(file))?);
    std::fs::create_dir_all(out)?;
    let ctx = StepContext {
        out_dir: out.into(),
        emit: Arc::new(|event| {
            if let StepEvent::Error { message, .. } = event {
                eprintln!("{message}");
            }
        }),
        cancel: Arc::default(),
    };
    let limits = Limits::default();
    let media = inspect::run(&inspect::InspectRequest { limits: limits.clone() }, source.clone(), &ctx)?;
    let json = |value| serde_json::to_string(&value).unwrap_or_default();
    println!("{}", json(serde_json::to_value(&media).unwrap_or_default()));
    if let (Some(video), true) = (&media.video, transcodes) {
        let ladder = plan(video, &LadderSettings::default());
        let request = transcode::TranscodeRequest {
            media: media.clone(),
            ladder,
            iframes: true,
            trickplay: true,
            limits,
        };
        let report = transcode::run(&request, source, &ctx)?;
        println!("{}", json(serde_json::to_value(&report).unwrap_or_default()));
    }
    Ok(())
}
