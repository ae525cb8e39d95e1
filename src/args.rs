//! Flags that every command takes.

use std::path::PathBuf;

use clap::Args;

/// Flags of every command.
#[derive(Args, Clone)]
pub struct GlobalArgs {
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
