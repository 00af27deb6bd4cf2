//! The URL of a server that is already running, taken apart.

use crate::exit::usage;
use crate::host::addresses;
use anyhow::Result;
use std::net::{SocketAddr, ToSocketAddrs as _};
use url::Url;

/// Splits the URL of a server that may be asked: one on this machine, or one on another machine of which
/// whoever gives the URL says that it is theirs.
///
/// # Errors
/// It is no http URL, its host has no address, or that is another machine's and nobody says whose.
pub fn askable(text: &str, is_mine: bool) -> Result<(String, SocketAddr, String)> {
    let (name, addr, target) = parse_url(text)?;
    if !is_mine && !addresses::is_own(addr.ip()) {
        return Err(usage!(
            "--url {text}: {} is another machine, and load can do harm: add --yes-it-is-mine if it is yours",
            addr.ip()
        ));
    }
    Ok((name, addr, target))
}

/// Splits a URL into its server and its target.
///
/// # Errors
/// It is no http URL, or its host has no address.
fn parse_url(text: &str) -> Result<(String, SocketAddr, String)> {
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
    fn another_machine_is_asked_only_if_it_is_one_s_own() {
        let elsewhere = "http://192.0.2.1:8000/wait";
        let refusal = askable(elsewhere, false).expect_err("another machine").to_string();
        assert!(refusal.contains("192.0.2.1 is another machine"), "{refusal}");
        assert!(refusal.contains("--yes-it-is-mine") && refusal.lines().count() == 1, "{refusal}");
        let mine = askable(elsewhere, true).expect("said to be mine");
        assert_eq!(mine, parse_url(elsewhere).expect("valid"));
        for here in ["http://127.0.0.1:8000/", "http://[::1]/", "http://0.0.0.0:8000/"] {
            assert!(askable(here, false).is_ok(), "{here}");
        }
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
