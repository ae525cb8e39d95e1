//! `chaos [--faults N] [--seed S] [--lessons N] [--minutes M] [--keep]`: a fleet under fire.
//!
//! Prints how far it is, then the counts, and what is wrong with its history; exit code 1 where
//! something is.
//!
//! It runs in process and mount namespaces of its own where the kernel allows that, so nothing can
//! outlive it: no process, and no disk that it made. SIGINT and SIGTERM are passed on into them.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::time::Duration;

use chalkstream_tests::chaos::{Options, run};
use chalkstream_tests::process::{descendants, send};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// Set for the process in namespaces of its own.
const INSIDE: &str = "CHALKSTREAM_CHAOS_INSIDE";
/// Exit code of a run that was stopped by a signal.
const STOPPED: u8 = 130;
/// How long the program inside may take to end after a signal.
const MAX_STOP: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let Some(options) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: chaos [--faults N] [--seed S] [--lessons N] [--minutes M] [--keep]");
        return ExitCode::from(2);
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    if std::env::var_os(INSIDE).is_none()
        && let Some(code) = runtime.block_on(run_inside())
    {
        return code;
    }
    println!("seed {}: {} faults, {} lessons", options.seed, options.faults, options.lessons);
    // What is dropped here ends all processes, and says how far it was.
    let ended = runtime.block_on(async {
        tokio::select! {
            report = timeout(options.limit, run(options)) => Some(report),
            () = stopped() => None,
        }
    });
    let report = match ended {
        Some(Ok(report)) => report,
        Some(Err(_)) => {
            eprintln!("chaos: not done within {:?}", options.limit);
            return ExitCode::FAILURE;
        }
        None => {
            eprintln!("chaos: stopped");
            return ExitCode::from(STOPPED);
        }
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

/// Runs this program in namespaces of its own; `None` if there are none.
async fn run_inside() -> Option<ExitCode> {
    // The kernel ends this `unshare` with this process, and that ends what it started.
    let unshare = "setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc --";
    for as_user in ["", "unshare --user --map-root-user "] {
        let words = format!("{as_user}{unshare}");
        let unshare = || {
            let mut words = words.split(' ');
            let mut command = Command::new(words.next().unwrap_or_default());
            command.args(words);
            command
        };
        if unshare().arg("true").output().await.is_ok_and(|done| done.status.success())
            && let Ok(own) = std::env::current_exe()
        {
            let mut inside = unshare();
            inside.arg(own).args(std::env::args_os().skip(1)).env(INSIDE, "1");
            match inside.spawn() {
                Ok(child) => return Some(wait_or_stop(child).await),
                Err(error) => eprintln!("chaos: {error}"),
            }
        }
    }
    eprintln!("chaos: no namespaces of its own, so scratch disks are not filled");
    None
}

/// Waits for the program inside, and stops it when this one is stopped.
async fn wait_or_stop(mut unshare: Child) -> ExitCode {
    let id = unshare.id().and_then(|id| i32::try_from(id).ok());
    let ended = tokio::select! {
        ended = unshare.wait() => ended,
        () = stopped() => {
            // `unshare` itself ignores these signals while it waits.
            if let Some((inside, _)) = id.map(descendants).unwrap_or_default().first() {
                send(*inside, libc::SIGTERM);
            }
            if timeout(MAX_STOP, unshare.wait()).await.is_err() {
                let _ = unshare.kill().await;
            }
            return ExitCode::from(STOPPED);
        }
    };
    let code = ended.ok().and_then(|status| u8::try_from(status.code()?).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
