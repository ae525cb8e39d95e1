//! `chalkstream up`

use clap::Args;

use crate::args::GlobalArgs;
use crate::exit::CommandResult;

/// Arguments of `up`.
#[derive(Args)]
pub struct UpArgs {
    /// Address and port to listen on [default: server.listen, 127.0.0.1:8480].
    #[arg(long, value_name = "ADDR")]
    listen: Option<std::net::SocketAddr>,
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: &UpArgs) -> CommandResult {
    crate::up::run(global, command.listen).await
}
