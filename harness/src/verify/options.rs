//! What is replayed, and what any case of a replay has to know.

use super::declared::DeclaredRoute;
use super::deviation::Deviation;
use super::wire::Reply;
use anyhow::{Context as _, Result};
use contract::transcript::Probe;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// How much is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// Every case, whole, cut in two, and byte by byte.
    Full,
    /// A few cases, whole: well under a second, before every measuring run.
    Short,
    /// The plain requests, whole, and of their replies only the status, the media type, the body and
    /// the delay: for servers that are not built on the contract.
    Replies,
}

/// What to replay, and what to put up with.
#[derive(Debug, Clone)]
pub struct Options {
    /// How much.
    pub level: Level,
    /// The contract's routes that the server has; the cases that use another are skipped, and without any
    /// no case is replayed.
    pub has: Vec<String>,
    /// Routes of its own that the server has.
    pub routes: Vec<DeclaredRoute>,
    /// Declared deviations.
    pub deviations: Vec<Deviation>,
    /// How long a reply may take, beyond the time it is asked to wait, before it counts as missing.
    pub patience: Duration,
    /// How long a connection that should be closed may take before it is asked whether it is open.
    pub grace: Duration,
    /// How many cases are replayed at a time.
    pub threads: usize,
}

impl Options {
    /// The usual ones, for a server that has all of the contract's routes and declares nothing.
    pub fn new(level: Level) -> Options {
        Options {
            level,
            has: contract::route::ROUTES.iter().map(|route| route.name.to_owned()).collect(),
            routes: Vec::new(),
            deviations: Vec::new(),
            patience: Duration::from_secs(10),
            grace: Duration::from_secs(1),
            threads: 8,
        }
    }
}

/// What a replay of any case has to know.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    pub(super) addr: SocketAddr,
    pub(super) probe: &'a Probe,
    pub(super) level: Level,
    pub(super) patience: Duration,
    pub(super) grace: Duration,
}

impl<'a> Replay<'a> {
    /// What the cases of a replay to the server at `addr` have to know.
    ///
    /// # Errors
    /// The server lacks the routes of every probe.
    pub(super) fn new(addr: SocketAddr, options: &Options, probes: &'a [Probe]) -> Result<Replay<'a>> {
        let can = |probe: &&Probe| probe.uses.iter().all(|used| options.has.contains(used));
        let probe = probes
            .iter()
            .find(can)
            .context("the server lacks every route that could tell whether a connection is open")?;
        let Options { level, patience, grace, .. } = *options;
        Ok(Replay { addr, probe, level, patience, grace })
    }

    /// Whether a reply is the one to the probe.
    pub(super) fn is_probes(&self, reply: &Reply) -> bool {
        let body = self.probe.body.as_ref();
        reply.status == self.probe.status && body.is_none_or(|body| body.as_bytes() == reply.body)
    }
}
