//! Flags of the commands that talk to a server.

use clap::Args;

use crate::args::GlobalArgs;
use crate::client::api::Api;
use crate::credentials;
use crate::exit::CommandResult;

/// The server to talk to, and the key to use.
#[derive(Args)]
pub struct ServerArgs {
    /// Base URL of the server; `up` leaves its own in the data folder.
    #[arg(long, value_name = "URL", env = "CHALKSTREAM_SERVER")]
    server: Option<String>,
    /// API key; better in the environment than on a command line.
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
