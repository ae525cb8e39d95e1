//! `chalkstream server`

use clap::Args;

use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::{logs, settings_source, signals};

/// Arguments of `server`.
#[derive(Args)]
pub struct ServeArgs {
    /// Address and port to listen on [default: server.listen, 127.0.0.1:8480].
    #[arg(long, value_name = "ADDR")]
    listen: Option<std::net::SocketAddr>,
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: &ServeArgs) -> CommandResult {
    let mut settings = settings_source::load_given(global)?;
    if let Some(listen) = command.listen {
        settings.server.listen = listen;
    }
    logs::init(&settings.log);
    let stop = signals::stop()?;
    chalkstream_media_server::serve(settings, stop)
        .await
        .map_err(|error| CommandError::failed("server", error.to_string()))
}
