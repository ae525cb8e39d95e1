//! The `chalkstream` command: reads the command line and calls the crates. No logic of its own.

mod args;
mod cli;
mod client;
mod credentials;
mod exit;
mod logs;
mod settings_source;
mod signals;
mod ui;
#[cfg(all(feature = "server", feature = "worker"))]
mod up;

fn main() -> std::process::ExitCode {
    cli::main()
}
