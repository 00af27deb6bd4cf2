//! The ready line: the one thing a server prints on stdout, and the first of the two protocols.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What a server says of itself once it accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyLine {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The runtime's name (`tokio`).
    pub runtime: String,
    /// The runtime's version, from the lockfile the server was built with.
    pub runtime_version: String,
    /// Which set-up of the runtime this is (`multi-thread`); empty where there is only one.
    pub flavor: String,
    /// The HTTP stack and its version (`hyper 1.12.0`).
    pub http_stack: String,
    /// Threads that run tasks; absent where a connection has a thread of its own.
    pub worker_threads: Option<usize>,
    /// The most threads that may block at a time, in the whole process; absent where nothing limits them.
    pub blocking_threads: Option<usize>,
    /// The server's process id.
    pub pid: u32,
    /// The compiler flags that the server was built with, beside its profile's.
    #[serde(default)]
    pub rustflags: String,
    /// [`crate::HASH`] of the server's build; absent from servers that are not built on the contract.
    pub contract: Option<String>,
}
