//! An order as the engine needs it: times in nanoseconds of its own clock, worked out once.

use crate::protocol::{Amount, Arrivals, Connections, Expect, Mutation, Order, PhaseTime};
use std::time::Duration;

/// What is the same for every worker of an order.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) arrivals: Arrivals,
    pub(super) connections: Connections,
    pub(super) seed: u64,
    pub(super) expect: Expect,
    pub(super) timeout_ns: u64,
    pub(super) spin_ns: u64,
    pub(super) mutation: Option<Mutation>,
    /// When requests begin to be counted.
    pub(super) begin: u64,
    /// When no more requests become due; the largest number for a load that goes on until it is stopped.
    pub(super) end: u64,
    /// Whether it goes on until it is stopped, or until a request fails.
    pub(super) background: bool,
}

impl Job {
    /// # Errors
    /// The engine cannot carry the order out.
    pub(super) fn new(order: &Order) -> Result<Job, String> {
        let load = &order.load;
        if let Arrivals::Closed { in_flight } = load.arrivals
            && in_flight != load.connections.most()
        {
            return Err(format!("a closed loop has a connection for each request in flight: {load:?}"));
        }
        let (begin, end) = match &load.amount {
            Amount::Time(phases) => measured_time(phases)?,
            Amount::UntilStopped => (0, u64::MAX),
            Amount::Requests(_) => return Err("the load engine does not count requests".into()),
        };
        Ok(Job {
            arrivals: load.arrivals,
            connections: load.connections,
            seed: order.seed,
            expect: order.expect.clone(),
            timeout_ns: order.timeout.as_nanos() as u64,
            spin_ns: order.spin.as_nanos() as u64,
            mutation: order.mutation,
            begin,
            end,
            background: load.amount == Amount::UntilStopped,
        })
    }
}

/// When the measured time begins and ends.
fn measured_time(phases: &[PhaseTime]) -> Result<(u64, u64), String> {
    let ns =
        |phases: &[PhaseTime]| phases.iter().map(|phase| phase.duration).sum::<Duration>().as_nanos() as u64;
    let warm_up = phases.iter().take_while(|phase| !phase.measured).count();
    if phases.len() != warm_up + 1 || phases.iter().any(|phase| phase.scale != 1.0) {
        return Err("phases are not carried out yet, apart from a warm-up".into());
    }
    Ok((ns(&phases[..warm_up]), ns(phases)))
}
