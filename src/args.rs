//! Flags that every command takes.

use std::path::PathBuf;

use clap::Args;

/// Flags of every command.
#[derive(Args, Clone)]
pub struct GlobalArgs {
    /// Read settings from this file [default: none].
    #[arg(long, global = true, value_name = "FILE", env = "CHALKSTREAM_CONFIG")]
    pub config: Option<PathBuf>,
    /// Set one setting, as in --set worker.slots=2; can be repeated.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Data folder of `up`, where other commands find its server and keys [default:
    /// ~/.local/share/chalkstream].
    #[arg(long, global = true, value_name = "DIR", env = "CHALKSTREAM_DATA")]
    pub data: Option<PathBuf>,
    /// Print one JSON document to standard output.
    #[arg(long, global = true)]
    pub json: bool,
}
