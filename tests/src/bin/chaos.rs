//! `chaos [--faults N] [--seed S] [--lessons N] [--minutes M] [--keep]`: a fleet under fire.
//!
//! Prints the counts, and what is wrong with its history; exit code 1 where something is.
//!
//! It runs in process and mount namespaces of its own where the kernel allows that, so nothing can
//! outlive it: no process, and no disk that it made.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use chalkstream_tests::chaos::{Options, run};
use tokio::signal::unix::{SignalKind, signal};

/// Set for the process in namespaces of its own.
const INSIDE: &str = "CHALKSTREAM_CHAOS_INSIDE";

fn main() -> ExitCode {
    let Some(options) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: chaos [--faults N] [--seed S] [--lessons N] [--minutes M] [--keep]");
        return ExitCode::from(2);
    };
    if std::env::var_os(INSIDE).is_none() {
        enter();
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("seed {}: {} faults, {} lessons", options.seed, options.faults, options.lessons);
    let ended = runtime.block_on(async {
        tokio::select! {
            report = run(options) => Some(report),
            () = stopped() => None,
        }
    });
    let Some(report) = ended else {
        eprintln!("chaos: stopped");
        return ExitCode::from(130);
    };
    print!("{report}");
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Waits for SIGINT or SIGTERM. The first process of a namespace ignores both unless it asks.
async fn stopped() {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return std::future::pending().await };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        seed: fastrand::u64(0..1_000_000),
        faults: 200,
        lessons: 40,
        limit: Duration::from_secs(30 * 60),
        keep: false,
    };
    while let Some(name) = arguments.next() {
        if name == "--keep" {
            options.keep = true;
            continue;
        }
        let value: u64 = arguments.next()?.parse().ok()?;
        match name.as_str() {
            "--faults" => options.faults = usize::try_from(value).ok()?,
            "--seed" => options.seed = value,
            "--lessons" => options.lessons = usize::try_from(value).ok()?,
            "--minutes" => options.limit = Duration::from_secs(value * 60),
            _ => return None,
        }
    }
    Some(options)
}

/// Goes on in namespaces of its own; returns if there are none.
fn enter() {
    let namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    for as_user in [&[][..], &["--user", "--map-root-user"][..]] {
        let unshare = || {
            let mut command = Command::new("unshare");
            command.args(as_user).args(namespaces).arg("--");
            command
        };
        if unshare().arg("true").output().is_ok_and(|done| done.status.success())
            && let Ok(own) = std::env::current_exe()
        {
            let mut inside = unshare();
            inside.arg(own).args(std::env::args_os().skip(1)).env(INSIDE, "1");
            eprintln!("chaos: {}", inside.exec());
        }
    }
    eprintln!("chaos: no namespaces of its own, so scratch disks are not filled");
}
