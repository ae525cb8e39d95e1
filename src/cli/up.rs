//! `chalkstream up`

use clap::Args;

use crate::args::GlobalArgs;
use crate::exit::CommandResult;

/// All in one.
#[derive(Args)]
pub struct UpArgs {
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDR")]
    listen: Option<std::net::SocketAddr>,
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: &UpArgs) -> CommandResult {
    crate::up::run(global, command.listen).await
}
