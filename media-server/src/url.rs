//! Addresses as viewers see them.

use std::net::SocketAddr;

use chalkstream_config::Server;

/// The configured public URL without a slash at its end, or `http://` and the bound address.
pub fn base(server: &Server, bound: SocketAddr) -> String {
    if server.public_url.is_empty() {
        // A wildcard address is nobody's: say the one this machine surely has.
        let mut shown = bound;
        if bound.ip().is_unspecified() {
            shown.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        return format!("http://{shown}");
    }
    server.public_url.trim_end_matches('/').to_owned()
}

/// The path of a base URL: empty, or `/folder` where a proxy serves us below one.
pub fn path_of(base: &str) -> &str {
    base.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_url_wins_and_a_wildcard_is_never_shown() {
        let mut server = Server::default();
        assert_eq!(base(&server, "0.0.0.0:81".parse().expect("an address")), "http://127.0.0.1:81");
        server.public_url = "https://video.example/lessons/".into();
        let base = base(&server, "0.0.0.0:81".parse().expect("an address"));
        assert_eq!((base.as_str(), path_of(&base)), ("https://video.example/lessons", "/lessons"));
        assert_eq!(path_of("http://127.0.0.1:81"), "");
    }
}
