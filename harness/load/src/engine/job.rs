//! An order as the engine needs it: times in nanoseconds of its own clock, worked out once.

use crate::protocol::{Amount, Arrivals, Connections, Expect, Mutation, Order, PhaseTime};
use crate::schedule::Schedule;

/// The time of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) begin: u64,
    /// The largest number for a load that goes on until it is stopped.
    pub(super) end: u64,
}

impl Span {
    pub(super) fn length(self) -> u64 {
        self.end - self.begin
    }

    /// When half of it is over.
    pub(super) fn half(self) -> u64 {
        self.begin + self.length() / 2
    }

    pub(super) fn contains(self, time: u64) -> bool {
        (self.begin..self.end).contains(&time)
    }

    /// How much of the time between two others is within it.
    pub(super) fn overlap(self, from: u64, to: u64) -> u64 {
        to.min(self.end).saturating_sub(from.max(self.begin))
    }
}

/// What is the same for every worker of an order.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) arrivals: Arrivals,
    pub(super) connections: Connections,
    seed: u64,
    /// The phases; none for a load that goes on until it is stopped.
    phases: Vec<PhaseTime>,
    /// The measured ones.
    pub(super) measured: Vec<Span>,
    pub(super) expect: Expect,
    pub(super) timeout_ns: u64,
    pub(super) spin_ns: u64,
    pub(super) mutation: Option<Mutation>,
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
        let (phases, background) = match &load.amount {
            Amount::Time(phases) => (phases.clone(), false),
            Amount::UntilStopped => (Vec::new(), true),
            Amount::Requests(_) => return Err("the load engine does not count requests".into()),
        };
        let (measured, end) = match background {
            true => (vec![Span { begin: 0, end: u64::MAX }], u64::MAX),
            false => measured(&phases)?,
        };
        Ok(Job {
            arrivals: load.arrivals,
            connections: load.connections,
            seed: order.seed,
            phases,
            measured,
            expect: order.expect.clone(),
            timeout_ns: order.timeout.as_nanos() as u64,
            spin_ns: order.spin.as_nanos() as u64,
            mutation: order.mutation,
            end,
            background,
        })
    }

    /// The share `share` of `of` of the schedule; `None` on a closed loop.
    pub(super) fn schedule(&self, share: usize, of: usize) -> Option<Schedule> {
        let Arrivals::Open { rate, process } = self.arrivals else { return None };
        let phases = self.phases.iter().map(|phase| (phase.duration, phase.scale));
        Some(Schedule::new(rate, process, self.seed, share, of).scaled(phases))
    }

    /// How many requests a schedule has; `None` where that is not known before.
    pub(super) fn requests(&self) -> Option<f64> {
        let seconds = |phase: &PhaseTime| phase.duration.as_secs_f64() * phase.scale;
        let rate = self.arrivals.rate().filter(|_| !self.background)?;
        Some(rate * self.phases.iter().map(seconds).sum::<f64>())
    }
}

/// The measured ones of these phases, and when the last phase ends.
fn measured(phases: &[PhaseTime]) -> Result<(Vec<Span>, u64), String> {
    let (mut measured, mut end) = (Vec::new(), 0);
    for phase in phases {
        if !phase.scale.is_finite() || phase.scale < 0.0 {
            return Err(format!("a rate cannot be scaled by {}", phase.scale));
        }
        let begin = end;
        end += phase.duration.as_nanos() as u64;
        if phase.measured {
            measured.push(Span { begin, end });
        }
    }
    match measured.iter().all(|span| span.length() > 0) {
        true if !measured.is_empty() => Ok((measured, end)),
        _ => Err("a load needs a measured phase, and time in each".into()),
    }
}
