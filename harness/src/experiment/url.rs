//! The URL of a server that is already running, taken apart.

use crate::exit::usage;
use anyhow::Result;
use std::net::{SocketAddr, ToSocketAddrs as _};
use url::Url;

/// Splits a URL into its server and its target.
///
/// # Errors
/// It is no http URL, or its host has no address.
pub fn parse_url(text: &str) -> Result<(String, SocketAddr, String)> {
    let url =
        Url::parse(text).map_err(|error| usage!("--url {text}: {error}: give http://host:port/path"))?;
    if url.scheme() != "http" {
        return Err(usage!("--url {text}: only http is measured, not {}", url.scheme()));
    }
    let host = url.host_str().ok_or_else(|| usage!("--url {text}: there is no host"))?;
    let port = url.port_or_known_default().unwrap_or(80);
    let name = format!("{host}:{port}");
    let addr = name
        .to_socket_addrs()
        .map_err(|error| usage!("--url {text}: {host}: {error}"))?
        .next()
        .ok_or_else(|| usage!("--url {text}: {host} has no address"))?;
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    Ok((name, addr, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let (name, addr, target) = parse_url("http://127.0.0.1:8000/wait?ms=5").expect("valid");
        assert_eq!((name.as_str(), target.as_str()), ("127.0.0.1:8000", "/wait?ms=5"));
        assert_eq!(addr, "127.0.0.1:8000".parse().expect("an address"));
        assert_eq!(parse_url("http://127.0.0.1").expect("valid").2, "/");
        assert_eq!(parse_url("http://[::1]:80/").expect("valid").0, "[::1]:80");
    }

    #[test]
    fn what_is_no_http_url_is_refused() {
        for (text, said) in [
            ("https://127.0.0.1/", "only http"),
            ("127.0.0.1:8000/", "http://host:port/path"),
            ("ftp://x/", "only http"),
            ("", "http://host:port/path"),
            ("http://", "http://host:port/path"),
        ] {
            let error = parse_url(text).expect_err(text);
            assert!(error.to_string().contains(said), "{text}: {error}");
        }
    }
}
