//! `chalkstream up`

use clap::Args;

use super::Common;
use crate::exit::Outcome;

/// All in one.
#[derive(Args)]
pub struct Up {
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDR")]
    listen: Option<std::net::SocketAddr>,
}

/// Runs the command.
pub async fn run(common: &Common, command: &Up) -> Outcome {
    crate::up::run(common, command.listen).await
}
