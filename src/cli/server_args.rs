//! Flags of the commands that talk to a server.

use clap::Args;

use crate::args::GlobalArgs;
use crate::client::api::Api;
use crate::credentials;
use crate::exit::CommandResult;

/// The server to talk to, and the key to use.
#[derive(Args)]
pub struct ServerArgs {
    /// Base URL of the server [default: the one that `up` left in the data folder].
    #[arg(long, value_name = "URL", env = "CHALKSTREAM_SERVER")]
    server: Option<String>,
    /// API key; prefer the environment, other users can read a command line [default: the key of
    /// `up`].
    #[arg(long, value_name = "KEY", env = "CHALKSTREAM_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
}

impl ServerArgs {
    /// The server's API.
    pub fn api(self, global: &GlobalArgs) -> CommandResult<Api> {
        let (server, key) = credentials::find(global, self.server, self.api_key)?;
        Api::new(&server, &key)
    }
}
