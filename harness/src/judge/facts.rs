//! What a row is judged by: a few of its figures, and what its columns do not hold. Whoever has both puts
//! them together; nothing here knows a row.

use super::ceiling::Ceiling;
use load::protocol::Fates;
use std::time::Duration;

/// The facts about one replicate. What is `None` is not known, and trips nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The first thing that went wrong with the server or the environment.
    pub problem: Option<String>,
    /// Where the requests went.
    pub fates: Fates,
    /// Whether there was a schedule.
    pub open: bool,
    /// Whether a warm-up of more than the mean latency went before the measured time, so that as many
    /// requests were under way at its beginning as at its end.
    pub warm: bool,
    /// In how many slices it was asked, each of which begins and ends with nothing under way; `None` where nobody took
    /// turns.
    pub rounds: Option<u64>,
    /// How many µs a request of this route takes by itself; 0 where nothing is known of it.
    pub delay_us: f64,
    /// Requests that could be under way at once.
    pub concurrency: usize,
    /// The halves of the measured time, of the load engine only.
    pub halves: Option<[HalfFacts; 2]>,
    /// How late the client was, of a schedule only.
    pub tail: Option<Tail>,
    /// Right answers that were counted.
    pub completed: u64,
    /// In how many seconds.
    pub seconds: f64,
    /// Those per second.
    pub throughput_rps: Option<f64>,
    /// Mean time in seconds that the counted requests were under way.
    pub latency_s: Option<f64>,
    /// Requests under way, counted.
    pub in_flight_mean: Option<f64>,
    /// Ceilings by arithmetic.
    pub ceilings: Vec<Ceiling>,
    /// What the client reached against constant bytes.
    pub client_ceiling_rps: Option<f64>,
    /// The part of its CPUs' time that the client used, without spinning.
    pub client_utilisation: Option<f64>,
    /// The part of its CPUs' time that the server used.
    pub server_utilisation: Option<f64>,
    /// The part that anybody used of the time of the CPUs that server and client share.
    pub machine_utilisation: Option<f64>,
    /// The part of the time of the CPUs that server and client may use, which the hypervisor kept.
    pub host_steal_share: Option<f64>,
    /// The part of the same CPUs' time that others used.
    pub host_other_share: Option<f64>,
    /// That the server's clocks were read at the wrong time, in words.
    pub late_mark: Option<String>,
}

/// Half of the measured time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HalfFacts {
    /// Its length.
    pub seconds: f64,
    /// Requests due in it.
    pub due: u64,
    /// Right answers in it.
    pub completed: u64,
    /// Of those the ones that came when no more were due, at the ends of slices.
    pub late: u64,
    /// The server's CPU time in it.
    pub server_cpu: Option<Duration>,
    /// The mean latency in seconds of the requests due in it: the response time with a schedule, else the service
    /// time.
    pub latency_s: Option<f64>,
}

/// The upper end of the client's lateness.
#[derive(Debug, Clone, PartialEq)]
pub struct Tail {
    /// Which percentile: `p99`, or as high a one as the samples allow.
    pub name: String,
    /// The client's lateness there, in µs.
    pub lateness_us: f64,
}
