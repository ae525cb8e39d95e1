//! What commands that talk to a server take.

use clap::Args;

use super::Common;
use crate::api::Api;
use crate::credentials;
use crate::exit::Outcome;

/// Which server, and as whom.
#[derive(Args)]
pub struct Client {
    /// Base URL of the server; `up` leaves its own in the data folder.
    #[arg(long, value_name = "URL", env = "CHALKSTREAM_SERVER")]
    server: Option<String>,
    /// API key; better in the environment than on a command line.
    #[arg(long, value_name = "KEY", env = "CHALKSTREAM_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
}

impl Client {
    /// The server's API.
    pub fn api(self, common: &Common) -> Outcome<Api> {
        let (server, key) = credentials::find(common, self.server, self.api_key)?;
        Api::new(&server, &key)
    }
}
