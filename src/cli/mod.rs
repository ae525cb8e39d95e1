//! The command line. Names and meanings are a contract and stay.

mod config;
mod doctor;
mod jobs;
mod key;
mod link;
#[cfg(feature = "worker")]
mod model;
mod names;
#[cfg(feature = "worker")]
mod process;
mod rebuild;
mod revocation;
mod search;
#[cfg(feature = "server")]
mod server;
mod server_args;
mod tenant;
#[cfg(all(feature = "server", feature = "worker"))]
mod up;
mod upload;
mod vocabulary;
#[cfg(feature = "worker")]
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::args::GlobalArgs;
use crate::exit::CommandResult;

/// Turn lesson recordings into adaptive streams and searchable transcripts.
#[derive(Parser)]
#[command(name = "chalkstream", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything: server, worker, storage in a folder and a private Redis.
    #[cfg(all(feature = "server", feature = "worker"))]
    Up(up::UpArgs),
    /// Run the HTTP server on the configured Redis and storage.
    #[cfg(feature = "server")]
    Server(server::ServeArgs),
    /// Run a worker on the configured Redis and storage.
    #[cfg(feature = "worker")]
    Worker,
    /// Process one file into a folder, without any services.
    #[cfg(feature = "worker")]
    Process(process::ProcessArgs),
    /// Upload a recording; a second run resumes an interrupted upload.
    Upload(upload::UploadArgs),
    /// Find moments by the words spoken.
    Search(search::SearchArgs),
    /// Create a signed link to a recording.
    Link(link::LinkArgs),
    /// Manage tenants.
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Manage API keys and signing keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Revoke links, sessions, viewers, recordings and keys, and lift revocations.
    #[command(subcommand)]
    Revocation(revocation::RevocationCommand),
    /// List jobs and the state of their steps.
    Jobs(jobs::JobsArgs),
    /// Retry the failed or cancelled steps of a recording, or of all that failed.
    Retry(jobs::RetryArgs),
    /// Stop the processing of a recording.
    Cancel(jobs::RecordingArgs),
    /// Delete a recording and everything made from it.
    Delete(jobs::RecordingArgs),
    /// Rebuild the queue from storage.
    Rebuild,
    /// Manage speech models.
    #[cfg(feature = "worker")]
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Check this machine for missing dependencies.
    Doctor(doctor::DoctorArgs),
    /// Check and print the settings.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Run one step of a job in a sandbox; the worker starts this.
    #[cfg(feature = "worker")]
    #[command(hide = true)]
    Step,
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // A child is started as /proc/self/exe, and would be listed as "exe". A system that forbids
    // this lists it so.
    drop(std::fs::write("/proc/self/comm", "chalkstream"));
    // A step starts without a runtime and without threads.
    #[cfg(feature = "worker")]
    if matches!(cli.command, Command::Step) {
        return chalkstream_workers::runner::child::main();
    }
    let as_json = cli.global.json;
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return crate::exit::CommandError::from(error).report(as_json),
    };
    let outcome = runtime.block_on(run(cli));
    // Background work must not keep a stopped command alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(as_json),
    }
}

async fn run(cli: Cli) -> CommandResult {
    let global = &cli.global;
    match cli.command {
        #[cfg(all(feature = "server", feature = "worker"))]
        Command::Up(command) => up::run(global, &command).await,
        #[cfg(feature = "server")]
        Command::Server(command) => server::run(global, &command).await,
        #[cfg(feature = "worker")]
        Command::Worker => worker::run(global).await,
        #[cfg(feature = "worker")]
        Command::Process(command) => process::run(global, &command).await,
        Command::Upload(command) => upload::run(global, command).await,
        Command::Search(command) => search::run(global, command).await,
        Command::Link(command) => link::run(global, command).await,
        Command::Tenant(command) => tenant::run(global, command).await,
        Command::Key(command) => key::run(global, command).await,
        Command::Revocation(command) => revocation::run(global, command).await,
        Command::Jobs(command) => jobs::list(global, command).await,
        Command::Retry(command) => jobs::retry(global, command).await,
        Command::Cancel(command) => jobs::cancel(global, command).await,
        Command::Delete(command) => jobs::delete(global, command).await,
        Command::Rebuild => rebuild::run(global).await,
        #[cfg(feature = "worker")]
        Command::Model(command) => model::run(global, command).await,
        Command::Doctor(command) => doctor::run(global, &command).await,
        Command::Config(command) => config::run(global, &command),
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

    #[test]
    fn every_command_is_in_the_reference() {
        let reference = include_str!("../../docs/ref/commands.md");
        for command in super::Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let entry = format!("| `{}", command.get_name());
            assert!(reference.contains(&entry), "docs/ref/commands.md lacks {}", command.get_name());
        }
    }
}
