//! The address of metrics and health checks.

use std::net::{AddrParseError, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Address of a process's metrics and health checks; written as an empty text if there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct AdminListen(pub Option<SocketAddr>);

impl TryFrom<String> for AdminListen {
    type Error = AddrParseError;

    fn try_from(text: String) -> Result<Self, AddrParseError> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|address| Self(Some(address))) }
    }
}

impl From<AdminListen> for String {
    fn from(listen: AdminListen) -> Self {
        listen.0.map(|address| address.to_string()).unwrap_or_default()
    }
}
