//! The `chalkstream` command: reads the command line and hands over. No logic of its own.

mod api;
mod cli;
mod credentials;
mod exit;
mod logs;
mod output;
mod place;
mod progress;
mod signals;
mod tus;
#[cfg(all(feature = "server", feature = "worker"))]
mod up;

fn main() -> std::process::ExitCode {
    cli::main()
}
