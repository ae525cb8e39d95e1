//! Addresses as viewers see them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use chalkstream_config::Server;

/// The base URL under which viewers reach this server, without a slash at its end.
#[derive(Clone, Debug)]
pub struct PublicUrl(Arc<str>);

impl PublicUrl {
    /// The configured public URL, or `http://` and the bound address.
    pub fn new(server: &Server, bound: SocketAddr) -> Self {
        if !server.public_url.is_empty() {
            return Self(server.public_url.trim_end_matches('/').into());
        }
        let mut address = bound;
        // No client can open a wildcard address; this machine always has the loopback one.
        if bound.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        Self(format!("http://{address}").into())
    }

    /// The URL's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL's path: empty, or `/folder` if a proxy serves this server below one.
    pub fn path(&self) -> &str {
        self.0.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_url_wins_and_a_wildcard_is_never_shown() {
        let mut server = Server::default();
        let bound: SocketAddr = "0.0.0.0:81".parse().expect("an address");
        let url = PublicUrl::new(&server, bound);
        assert_eq!((url.as_str(), url.path()), ("http://127.0.0.1:81", ""));
        server.public_url = "https://video.example/lessons/".into();
        let url = PublicUrl::new(&server, bound);
        assert_eq!((url.as_str(), url.path()), ("https://video.example/lessons", "/lessons"));
    }
}
