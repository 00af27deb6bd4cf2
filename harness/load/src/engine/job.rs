//! An order as the engine needs it: times in nanoseconds of its own clock, worked out once.

use crate::protocol::{Amount, Arrivals, Connections, Expect, Mutation, Order, PhaseTime, Piece, Share};
use crate::schedule::Schedule;

/// The most intervals in which the latencies of a load are kept. More phases than that have one each.
const MAX_INTERVALS: usize = 64;

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

/// Equal intervals from the beginning of a phase, a power of two seconds long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Intervals {
    exponent: u32,
}

impl Intervals {
    /// The shortest ones of which these phases have `most` at the most: each has a histogram of every kind of
    /// latency.
    fn of(measured: &[Span], most: usize) -> Intervals {
        let most = most.max(measured.len());
        let mut intervals = Intervals { exponent: 0 };
        while measured.iter().map(|span| intervals.count(*span)).sum::<usize>() > most {
            intervals.exponent += 1;
        }
        intervals
    }

    /// How long each is, in ns.
    pub(super) fn length(self) -> u64 {
        1_000_000_000_u64.saturating_mul(1 << self.exponent)
    }

    /// Which one a time since the beginning of the phase is in.
    pub(super) fn index(self, ns: u64) -> usize {
        ((ns / 1_000_000_000) >> self.exponent) as usize
    }

    /// How many a phase has.
    pub(super) fn count(self, span: Span) -> usize {
        self.index(span.length().saturating_sub(1)) + 1
    }
}

/// What is the same for every worker of an order.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) arrivals: Arrivals,
    pub(super) connections: Connections,
    seed: u64,
    /// This client's share of the schedule.
    share: Share,
    /// The phases; none for a load that goes on until it is stopped.
    phases: Vec<PhaseTime>,
    /// The measured ones.
    pub(super) measured: Vec<Span>,
    /// The intervals in which latencies are kept.
    pub(super) intervals: Intervals,
    pub(super) expect: Expect,
    pub(super) timeout_ns: u64,
    pub(super) spin_ns: u64,
    pub(super) mutation: Option<Mutation>,
    /// When no more requests become due; the largest number for a load that goes on until it is stopped.
    pub(super) end: u64,
    /// Whether it goes on until it is stopped, or until a request fails.
    pub(super) background: bool,
    /// Whether it is one piece after the other, each of which lasts until nothing is in flight.
    pub(super) in_pieces: bool,
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
            share: order.share,
            phases,
            // Nobody asks for the intervals of a load in the background.
            intervals: Intervals::of(&measured, if background { 1 } else { MAX_INTERVALS }),
            measured,
            expect: order.expect.clone(),
            timeout_ns: order.timeout.as_nanos() as u64,
            spin_ns: order.spin.as_nanos() as u64,
            mutation: order.mutation,
            end,
            background,
            in_pieces: false,
        })
    }

    /// The same for a load of which one piece is carried out after the other.
    ///
    /// # Errors
    /// The engine cannot carry the order out.
    pub(super) fn in_pieces(order: &Order) -> Result<Job, String> {
        let measured = vec![Span { begin: 0, end: u64::MAX }];
        let intervals = Intervals::of(&measured, 1);
        Ok(Job { measured, intervals, in_pieces: true, ..Job::new(order)? })
    }

    /// Makes this the next piece of the load: no more requests become due when its time is over.
    pub(super) fn turn_to(&mut self, piece: &Piece, seed: u64) {
        let Piece { duration, scale, .. } = *piece;
        self.phases = vec![PhaseTime { duration, scale, measured: true }];
        self.end = duration.as_nanos() as u64;
        self.seed = seed;
    }

    /// Whether its measured time ends when nothing is in flight any more, and not at a time.
    pub(super) fn has_open_end(&self) -> bool {
        self.background || self.in_pieces
    }

    /// The share `share` of `of` of this client's schedule; `None` on a closed loop.
    pub(super) fn schedule(&self, share: usize, of: usize) -> Option<Schedule> {
        let Arrivals::Open { rate, process } = self.arrivals else { return None };
        let phases = self.phases.iter().map(|phase| (phase.duration, phase.scale));
        // Of the requests of all clients this one has every `of`th, and of those each worker has its own.
        let (share, of) = (self.share.index + self.share.of * share, self.share.of * of);
        Some(Schedule::new(rate, process, self.seed, share, of).scaled(phases))
    }

    /// How many requests this client's schedule has; `None` where that is not known before.
    pub(super) fn requests(&self) -> Option<f64> {
        let seconds = |phase: &PhaseTime| phase.duration.as_secs_f64() * phase.scale;
        let rate = self.arrivals.rate().filter(|_| !self.background)?;
        Some(rate / self.share.of as f64 * self.phases.iter().map(seconds).sum::<f64>())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The length of the intervals of phases of so many seconds, and how many each phase has.
    fn intervals(seconds: &[f64]) -> (u64, Vec<usize>) {
        let spans = seconds.iter().map(|seconds| Span { begin: 7, end: 7 + (seconds * 1e9) as u64 });
        let spans: Vec<Span> = spans.collect();
        let intervals = Intervals::of(&spans, MAX_INTERVALS);
        (intervals.length() / 1_000_000_000, counts(intervals, &spans))
    }

    fn counts(intervals: Intervals, spans: &[Span]) -> Vec<usize> {
        spans.iter().map(|span| intervals.count(*span)).collect()
    }

    #[test]
    fn a_long_load_has_longer_intervals_and_not_more_of_them() {
        assert_eq!(intervals(&[0.2]), (1, vec![1]));
        assert_eq!(intervals(&[10.0]), (1, vec![10]));
        assert_eq!(intervals(&[2.5, 61.0]), (1, vec![3, 61]));
        assert_eq!(intervals(&[2.5, 62.0]), (2, vec![2, 31]));
        assert_eq!(intervals(&[3600.0]), (64, vec![57]));
        assert_eq!(intervals(&[1.5; 100]), (2, vec![1; 100]));
    }

    #[test]
    fn clients_with_different_numbers_of_workers_share_a_schedule_without_a_gap() {
        let phase = PhaseTime { duration: std::time::Duration::from_secs(2), scale: 1.0, measured: true };
        let job = |index, of| {
            let arrivals = Arrivals::Open { rate: 1000.0, process: crate::schedule::Arrival::Poisson };
            let load = crate::protocol::Load {
                client: crate::protocol::Client::Engine,
                arrivals,
                connections: Connections::Kept(8),
                amount: Amount::Time(vec![phase]),
            };
            let order = super::super::tests::order(([127, 0, 0, 1], 1).into(), &load, 1000);
            Job::new(&Order { share: Share { index, of }, ..order }).expect("valid")
        };
        let take = |schedule: Option<Schedule>| -> Vec<u64> {
            schedule.expect("a rate").take_while(|at| *at < 2_000_000_000).collect()
        };
        let whole = take(job(0, 1).schedule(0, 1));
        // One client has two workers, the other three.
        let shares = [(0, 0, 2), (0, 1, 2), (1, 0, 3), (1, 1, 3), (1, 2, 3)];
        let mut all: Vec<u64> = shares
            .iter()
            .flat_map(|(client, share, of)| take(job(*client, 2).schedule(*share, *of)))
            .collect();
        all.sort_unstable();
        assert_eq!(all, whole);
        assert_eq!(job(1, 2).requests(), Some(1000.0));
    }

    #[test]
    fn a_load_without_an_end_has_one_interval() {
        let endless = [Span { begin: 0, end: u64::MAX }];
        let intervals = Intervals::of(&endless, 1);
        assert_eq!((counts(intervals, &endless), intervals.length()), (vec![1], u64::MAX));
    }
}
