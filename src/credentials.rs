//! The first keys, in the data folder of an `up`, readable by its owner only; and where other commands find them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cli::Common;
use crate::exit::{Failure, Outcome};
use crate::place::{CREDENTIALS, data_folder};

/// What `up` leaves for the other commands.
#[derive(Clone, Deserialize, Serialize)]
pub struct Credentials {
    /// Base URL of the server.
    pub server: String,
    /// The first tenant.
    pub tenant: String,
    /// Its API key.
    pub api_key: String,
    /// Its signing key.
    pub signing_key: Signing,
}

/// A signing key.
#[derive(Clone, Deserialize, Serialize)]
pub struct Signing {
    /// Its name inside tokens.
    pub kid: String,
    /// Its secret, unpadded base64url.
    pub secret: String,
}

impl Credentials {
    /// Reads them from a data folder; nothing where there are none yet.
    pub fn read(data: &Path) -> Outcome<Option<Self>> {
        let path = data.join(CREDENTIALS);
        match std::fs::read_to_string(&path) {
            // What cannot be read is never shown: it holds secrets.
            Ok(text) => toml::from_str(&text)
                .map(Some)
                .map_err(|_| Failure::failed("credentials", format!("{} cannot be read", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::failed("credentials", format!("{}: {error}", path.display()))),
        }
    }

    /// Writes them, whole or not at all.
    #[cfg(all(feature = "server", feature = "worker"))]
    pub fn write(&self, data: &Path) -> Outcome {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;

        let text =
            toml::to_string(self).map_err(|error| Failure::failed("credentials", error.to_string()))?;
        let partial = data.join(".credentials.partial");
        // A file left by a start that was cut off keeps its own mode.
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

/// The server and key a client command uses: what is given, else what `up` left.
pub fn find(common: &Common, server: Option<String>, api_key: Option<String>) -> Outcome<(String, String)> {
    if let (Some(server), Some(key)) = (&server, &api_key) {
        return Ok((server.clone(), key.clone()));
    }
    let data = data_folder(common);
    let left = Credentials::read(&data)?.ok_or_else(|| {
        Failure::usage(format!(
            "no server is known: start `chalkstream up`, or give --server and CHALKSTREAM_API_KEY \
             (no {CREDENTIALS} in {})",
            data.display()
        ))
    })?;
    // A key goes to the server it was made for, and to no other.
    let same = |given: &String| given.trim_end_matches('/') == left.server.trim_end_matches('/');
    match (server, api_key) {
        (Some(server), None) if !same(&server) => {
            Err(Failure::usage(format!("no API key is known for {server}: give CHALKSTREAM_API_KEY")))
        }
        (server, api_key) => Ok((server.unwrap_or(left.server), api_key.unwrap_or(left.api_key))),
    }
}
