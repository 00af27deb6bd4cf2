//! What a person asks to be measured: the profile, and what is to differ from it.

use crate::experiment::cell::{Interference, Placement};
use crate::host::cpus::Cpus;
use load::protocol::Driver;
use load::schedule::Arrival;
use std::path::PathBuf;
use std::time::Duration;

/// The request for a run, as it was given: nothing is resolved or checked. `None` and an empty list leave the
/// profile's value, or the default.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The name of the profile.
    pub profile: Option<String>,
    /// The names of the servers; all contestants that are set up where empty.
    pub server: Vec<String>,
    /// The names of the client strategies.
    pub strategy: Vec<String>,
    /// The routes, for all that the profile does: names, or paths with their parameters.
    pub route: Vec<String>,
    /// The requests to keep in flight while each cell runs.
    pub interfere: Option<Interference>,
    /// The number of server processes behind the port.
    pub processes: Option<usize>,
    /// The number of requests of each cell of sequential, thread-pool and async.
    pub requests: Option<u64>,
    /// The measured time of each cell of open-loop, closed-loop and churn.
    pub duration: Option<Duration>,
    /// The time before the measured time, which is not counted.
    pub warmup: Option<Duration>,
    /// The number of requests under way at once, and of connections in the pool.
    pub concurrency: Option<usize>,
    /// Requests per second, on a schedule that nothing moves.
    pub rate: Option<f64>,
    /// How the schedule spaces the requests.
    pub arrival: Option<Arrival>,
    /// Which CPUs the server and the client get.
    pub placement: Placement,
    /// The server's CPUs.
    pub server_cpus: Option<Cpus>,
    /// The client's CPUs.
    pub client_cpus: Option<Cpus>,
    /// How the load engine talks to the kernel.
    pub driver: Option<Driver>,
    /// How often every cell is run.
    pub blocks: Option<usize>,
    /// What decides the order of the cells, and which server is the control.
    pub seed: Option<u64>,
    /// The number of threads that run tasks in each server process.
    pub workers: Option<usize>,
    /// The most threads that may block at a time in each server process.
    pub blocking_threads: Option<usize>,
    /// How long one request may take.
    pub timeout: Option<Duration>,
    /// The URL of a server that is already running.
    pub url: Option<String>,
    /// The user's own manifests.
    pub manifest: Vec<PathBuf>,
}
