//! The first keys, which `up` leaves in its data folder for other commands. Only their owner can
//! read them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::args::GlobalArgs;
use crate::exit::{CommandError, CommandResult};
use crate::settings_source::{CREDENTIALS, data_folder};

/// The contents of the credentials file.
#[derive(Clone, Deserialize, Serialize)]
pub struct Credentials {
    /// Base URL of the server.
    pub server: String,
    /// The first tenant.
    pub tenant: String,
    /// Its API key.
    pub api_key: String,
    /// Its signing key.
    pub signing_key: SavedSigningKey,
}

/// A signing key as the credentials file holds it.
#[derive(Clone, Deserialize, Serialize)]
pub struct SavedSigningKey {
    /// Its name inside tokens.
    pub kid: String,
    /// Its secret, unpadded base64url.
    pub secret: String,
}

impl Credentials {
    /// Reads them from a data folder. `None` if there are none yet.
    pub fn read(data: &Path) -> CommandResult<Option<Self>> {
        let path = data.join(CREDENTIALS);
        match std::fs::read_to_string(&path) {
            // The parser's message may quote the file, which holds secrets.
            Ok(text) => toml::from_str(&text).map(Some).map_err(|_| {
                CommandError::failed("credentials", format!("{} cannot be read", path.display()))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CommandError::failed("credentials", format!("{}: {error}", path.display()))),
        }
    }

    /// Writes them atomically.
    #[cfg(all(feature = "server", feature = "worker"))]
    pub fn write(&self, data: &Path) -> CommandResult {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;

        let text =
            toml::to_string(self).map_err(|error| CommandError::failed("credentials", error.to_string()))?;
        let partial = data.join(".credentials.partial");
        // A file left by an interrupted start would keep its mode.
        match std::fs::remove_file(&partial) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(std::fs::rename(&partial, data.join(CREDENTIALS))?)
    }
}

/// Returns the server and key for a client command: those given, else those that `up` left.
pub fn find(
    global: &GlobalArgs,
    server: Option<String>,
    api_key: Option<String>,
) -> CommandResult<(String, String)> {
    if let (Some(server), Some(key)) = (&server, &api_key) {
        return Ok((server.clone(), key.clone()));
    }
    let data = data_folder(global);
    let saved = Credentials::read(&data)?.ok_or_else(|| {
        CommandError::usage(format!(
            "no server is known: start `chalkstream up`, or give --server and CHALKSTREAM_API_KEY \
             (no {CREDENTIALS} in {})",
            data.display()
        ))
    })?;
    // A key is only sent to the server it was made for.
    let is_same_server = |given: &String| given.trim_end_matches('/') == saved.server.trim_end_matches('/');
    match (server, api_key) {
        (Some(server), None) if !is_same_server(&server) => {
            Err(CommandError::usage(format!("no API key is known for {server}: give CHALKSTREAM_API_KEY")))
        }
        (server, api_key) => Ok((server.unwrap_or(saved.server), api_key.unwrap_or(saved.api_key))),
    }
}
