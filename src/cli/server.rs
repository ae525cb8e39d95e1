//! `chalkstream server`

use clap::Args;

use super::Common;
use crate::exit::{Failure, Outcome};
use crate::{logs, place, signals};

/// The HTTP server.
#[derive(Args)]
pub struct Server {
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDR")]
    listen: Option<std::net::SocketAddr>,
}

/// Runs the command.
pub async fn run(common: &Common, command: &Server) -> Outcome {
    let mut settings = place::given(common)?;
    if let Some(listen) = command.listen {
        settings.server.listen = listen;
    }
    logs::begin(&settings.log);
    let stop = signals::stop()?;
    chalkstream_media_server::serve(settings, stop)
        .await
        .map_err(|error| Failure::failed("server", error.to_string()))
}
