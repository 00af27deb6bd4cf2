//! What is measured: a server of the catalogue, or one that is already running somewhere.

use crate::agent::handles::Agent;
use crate::agent::request_of;
use crate::experiment::server::{Role, ServerDef};
use crate::experiment::url::askable;
use crate::verify::Answer;
use anyhow::Result;
use contract::route::Route;
use load::protocol::{Expect, ExpectBody, Request};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Something to measure.
#[derive(Debug, Clone)]
pub enum Target {
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
    /// The right answers of declared routes that say nothing of them, as the server gave them when it was asked.
    pub probed: BTreeMap<String, Expect>,
}

/// A server of a run: something that has rows of its own.
#[derive(Debug, Clone)]
pub struct RunServer {
    /// Its name in the results.
    pub name: String,
    /// What it is in the run for.
    pub role: Role,
    /// What is measured.
    pub target: Target,
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

impl Target {
    /// Its name in the results.
    pub fn name(&self) -> &str {
        match self {
            Target::Managed(managed) => &managed.def.name,
            Target::Running(running) => &running.name,
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

/// What a client asks `target` for on `route`, and what a right answer is.
///
/// # Errors
/// In words, for the row: the server has no such route.
pub fn answer_of(target: &Target, route: &str) -> Result<(Request, Expect), String> {
    let managed = match target {
        Target::Running(running) if running.target == route => {
            return Ok((Request::get(route), running.expect.clone()));
        }
        Target::Running(_) => return Ok((Request::get(route), expected(route))),
        Target::Managed(managed) => managed,
    };
    let Some(declared) = managed.def.declared(route) else {
        return Ok((Request::get(route), expected(route)));
    };
    let body = match &declared.answer {
        Answer::Exact(text) => ExpectBody::Exact(text.clone()),
        Answer::Length(bytes) => ExpectBody::Length(*bytes),
        Answer::Probe => {
            let probed = managed.probed.get(route);
            let expect = probed.ok_or_else(|| format!("the route {route} was not asked before"))?;
            return Ok((request_of(declared), expect.clone()));
        }
    };
    Ok((request_of(declared), Expect { status: declared.status, body }))
}

/// Asks a running server twice, and takes what stays the same for what is right.
///
/// # Errors
/// It does not answer, or with an error; or it is another machine's, and not said to be one's own.
pub fn probe_running(agent: &Agent, text: &str, is_mine: bool, timeout: Duration) -> Result<Running> {
    let (name, addr, target) = askable(text, is_mine)?;
    let expect = agent
        .probe(addr, &name, &Request::get(&target), timeout)
        .map_err(|error| anyhow::anyhow!("{text} cannot be measured: {error}"))?;
    Ok(Running { name, addr, target, expect })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_of_ours_is_expected_to_the_byte() {
        assert_eq!(expected("/wait").body, ExpectBody::Exact(r#"{"duration":0.05}"#.into()));
        assert_eq!(expected("/other").body, ExpectBody::Any);
    }
}
