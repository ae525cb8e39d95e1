//! The command line: names and meanings stay.

mod client;
mod config;
mod doctor;
mod jobs;
mod key;
mod link;
#[cfg(feature = "worker")]
mod model;
#[cfg(feature = "worker")]
mod process;
mod rebuild;
mod search;
#[cfg(feature = "server")]
mod server;
mod tenant;
#[cfg(all(feature = "server", feature = "worker"))]
mod up;
mod upload;
#[cfg(feature = "worker")]
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::exit::Outcome;

pub use client::Client;

/// Lesson recordings in, adaptive streams and searchable transcripts out.
#[derive(Parser)]
#[command(name = "chalkstream", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Clone)]
pub struct Common {
    /// Settings file.
    #[arg(long, global = true, value_name = "FILE", env = "CHALKSTREAM_CONFIG")]
    pub config: Option<PathBuf>,
    /// One setting, as in --set worker.slots=2; may be given several times.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Data folder of `up`, where the other commands find its server and keys.
    #[arg(long, global = true, value_name = "DIR", env = "CHALKSTREAM_DATA")]
    pub data: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// All in one: server, worker, storage in a folder and a private Redis.
    #[cfg(all(feature = "server", feature = "worker"))]
    Up(up::Up),
    /// The HTTP server, on the configured Redis and storage.
    #[cfg(feature = "server")]
    Server(server::Server),
    /// A worker, on the configured Redis and storage.
    #[cfg(feature = "worker")]
    Worker,
    /// Process one file into a folder, without any service.
    #[cfg(feature = "worker")]
    Process(process::Process),
    /// Upload a recording to a server; goes on where it was cut off.
    Upload(upload::Upload),
    /// Find moments by what was said.
    Search(search::Search),
    /// Make a signed link to a recording.
    Link(link::Link),
    /// Tenants.
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// API keys and signing keys.
    #[command(subcommand)]
    Key(key::Key),
    /// List jobs.
    Jobs(jobs::Jobs),
    /// Try again what failed or was cancelled.
    Retry(jobs::One),
    /// Stop the work on a recording.
    Cancel(jobs::One),
    /// Remove a recording and everything made of it.
    Delete(jobs::One),
    /// Put back into Redis what storage says is not done.
    Rebuild,
    /// Speech models.
    #[cfg(feature = "worker")]
    #[command(subcommand)]
    Model(model::Model),
    /// What is missing, and how to get it.
    Doctor(doctor::Doctor),
    /// Settings.
    #[command(subcommand)]
    Config(config::Config),
    /// One step of a job, in a sandbox. Started by the worker.
    #[cfg(feature = "worker")]
    #[command(hide = true)]
    Step,
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // A child is started as /proc/self/exe, and would be shown as «exe». A system that minds shows that.
    drop(std::fs::write("/proc/self/comm", "chalkstream"));
    // Alone in its process: no runtime, no threads.
    #[cfg(feature = "worker")]
    if matches!(cli.command, Command::Step) {
        return chalkstream_workers::runner::child::main();
    }
    let as_json = cli.common.json;
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return crate::exit::Failure::from(error).tell(as_json),
    };
    let outcome = runtime.block_on(run(cli));
    // Work that does not end by itself must not keep a stopped command alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(as_json),
    }
}

async fn run(cli: Cli) -> Outcome {
    let common = &cli.common;
    match cli.command {
        #[cfg(all(feature = "server", feature = "worker"))]
        Command::Up(command) => up::run(common, &command).await,
        #[cfg(feature = "server")]
        Command::Server(command) => server::run(common, &command).await,
        #[cfg(feature = "worker")]
        Command::Worker => worker::run(common).await,
        #[cfg(feature = "worker")]
        Command::Process(command) => process::run(common, &command).await,
        Command::Upload(command) => upload::run(common, command).await,
        Command::Search(command) => search::run(common, command).await,
        Command::Link(command) => link::run(common, command).await,
        Command::Tenant(command) => tenant::run(common, command).await,
        Command::Key(command) => key::run(common, command).await,
        Command::Jobs(command) => jobs::list(common, command).await,
        Command::Retry(command) => jobs::retry(common, command).await,
        Command::Cancel(command) => jobs::cancel(common, command).await,
        Command::Delete(command) => jobs::delete(common, command).await,
        Command::Rebuild => rebuild::run(common).await,
        #[cfg(feature = "worker")]
        Command::Model(command) => model::run(common, command).await,
        Command::Doctor(command) => doctor::run(common, &command).await,
        Command::Config(command) => config::run(common, &command),
        #[cfg(feature = "worker")]
        Command::Step => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
