//! What is measured: a server of the catalogue, or one that is already running somewhere.

use crate::exit::usage;
use crate::experiment::catalog::ServerDef;
use anyhow::Result;
use contract::route::Route;
use load::probe;
use load::protocol::{Expect, ExpectBody};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Something to measure.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A server that is started and ended for each replicate.
    Managed(Box<Managed>),
    /// A server that is already running, at one URL.
    Running(Running),
}

/// A server of the catalogue, ready to be started.
#[derive(Debug, Clone)]
pub struct Managed {
    /// The server.
    pub def: ServerDef,
    /// Its program, for a package that was built.
    pub program: Option<PathBuf>,
    /// Why it cannot be measured: it does not build, does not start, or breaks the contract.
    pub refused: Option<String>,
}

/// A URL whose server was there when it was asked.
#[derive(Debug, Clone)]
pub struct Running {
    /// Host and port as given: the server's name in the results.
    pub name: String,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Path and query.
    pub target: String,
    /// What it answered when it was first asked.
    pub expect: Expect,
}

impl Subject {
    /// Its name in the results.
    pub fn name(&self) -> &str {
        match self {
            Subject::Managed(managed) => &managed.def.name,
            Subject::Running(running) => &running.name,
        }
    }
}

/// What a right answer of a server of the catalogue is.
pub fn expected(target: &str) -> Expect {
    match Route::parse_target(target) {
        Ok(route) => {
            let reply = route.expected();
            Expect { status: reply.status, body: ExpectBody::Exact(reply.body.into_owned()) }
        }
        // Some other server's path: any 200 is right.
        Err(_) => Expect { status: 200, body: ExpectBody::Any },
    }
}

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

/// Asks a running server twice, and takes what stays the same for what is right.
///
/// # Errors
/// It does not answer, or with an error.
pub fn probe_running(text: &str, timeout: Duration) -> Result<Running> {
    let (name, addr, target) = parse_url(text)?;
    let ask = || {
        probe(addr, &name, &target, timeout)
            .map_err(|error| anyhow::anyhow!("{text} cannot be measured: {error}"))
    };
    let ((status, first), (_, second)) = (ask()?, ask()?);
    if !(200..300).contains(&status) {
        return Err(anyhow::anyhow!("{text} cannot be measured: it answers with status {status}"));
    }
    let body = match String::from_utf8(first.clone()) {
        Ok(text) if first == second => ExpectBody::Exact(text),
        _ if first.len() == second.len() => ExpectBody::Length(first.len()),
        _ => ExpectBody::Any,
    };
    Ok(Running { name, addr, target, expect: Expect { status, body } })
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

    #[test]
    fn a_route_of_ours_is_expected_to_the_byte() {
        assert_eq!(expected("/wait").body, ExpectBody::Exact(r#"{"duration":0.05}"#.into()));
        assert_eq!(expected("/other").body, ExpectBody::Any);
    }
}
