//! What the known answers are, from queueing formulas. Pure functions; times are in seconds and rates are per
//! second, unless a name says else.
//!
//! K1 to K11 are the rows of the selftest's table. λ is the arrival rate, μ the service rate, D a constant
//! service time, ρ = λ/μ. A sojourn is the time from arrival to departure: waiting and service.

use stats::median;
use std::collections::VecDeque;
use std::iter;

/// K1: C clients in a closed loop without pauses, over k servers that take D each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClosedLoop {
    /// Requests per second: min(C, k) / D.
    pub throughput: f64,
    /// How long each takes: by Little's law C / X, since all clients are always in flight.
    pub latency: f64,
}

/// K1: the throughput and the latency of a closed loop.
pub fn closed_loop(clients: u32, servers: u32, service: f64) -> ClosedLoop {
    let throughput = f64::from(clients.min(servers)) / service;
    ClosedLoop { throughput, latency: f64::from(clients) / throughput }
}

/// K1 for a number of requests: their throughput and mean latency, with the edges. All clients ask at once at
/// first, and no one asks any more when the last request has been taken.
pub fn closed_loop_of(requests: u64, clients: u32, servers: u32, service: f64) -> ClosedLoop {
    // In whole service times, since everybody begins at once and all take the same. Both queues are in order.
    let mut free: VecDeque<u64> = iter::repeat_n(0, servers as usize).collect();
    let mut asks: VecDeque<u64> = iter::repeat_n(0, clients as usize).collect();
    let (mut sum, mut last) = (0, 0);
    for _ in 0..requests {
        let (Some(asked), Some(idle)) = (asks.pop_front(), free.pop_front()) else { break };
        last = asked.max(idle) + 1;
        sum += last - asked;
        asks.push_back(last);
        free.push_back(last);
    }
    let latency = service * sum as f64 / requests as f64;
    ClosedLoop { throughput: requests as f64 / (last as f64 * service), latency }
}

/// K2 and everywhere: Little's law, the mean number in flight at a throughput and a mean latency.
pub fn in_flight(throughput: f64, mean_latency: f64) -> f64 {
    throughput * mean_latency
}

/// K3a: Poisson arrivals, constant service, one server (M/D/1).
#[derive(Debug, Clone)]
pub struct Md1 {
    rate: f64,
    service: f64,
    /// Probabilities that at most n are in the system.
    at_most: Vec<f64>,
}

impl Md1 {
    /// How many in the system it reckons with: at ρ = 0.95 more are there once in 10⁸ times.
    const LEVELS: usize = 200;

    /// The queue at a rate and a service time whose product, ρ, is below 1.
    ///
    /// The number in the system, by crossings of level n: π(n) a(0) = π(0) A(n−1) + Σ π(i) A(n−i) over
    /// 0 < i < n, where a(j) is the probability of j arrivals in one service and A(j) that of more than j.
    /// All terms are positive, so nothing cancels.
    pub fn new(rate: f64, service: f64) -> Md1 {
        let rho = rate * service;
        let arrivals =
            iter::successors(Some((0u32, (-rho).exp())), |(j, p)| Some((j + 1, p * rho / f64::from(j + 1))));
        let more: Vec<f64> = arrivals
            .scan(1.0, |left, (_, p)| {
                *left = f64::max(*left - p, 0.0);
                Some(*left)
            })
            .take(Md1::LEVELS)
            .collect();
        let mut here = vec![1.0 - rho];
        for n in 1..Md1::LEVELS {
            let later: f64 = (1..n).map(|i| here[i] * more[n - i]).sum();
            here.push((here[0] * more[n - 1] + later) / (-rho).exp());
        }
        let at_most = here.iter().scan(0.0, |sum, p| {
            *sum += p;
            Some(*sum)
        });
        Md1 { rate, service, at_most: at_most.collect() }
    }

    /// The mean sojourn, by Pollaczek and Khinchine: D + ρD / 2(1 − ρ).
    pub fn mean(&self) -> f64 {
        let rho = self.rate * self.service;
        self.service + rho * self.service / (2.0 * (1.0 - rho))
    }

    /// The probability of a sojourn of at most `time`, in Franx' form of Crommelin's distribution (2001):
    /// for a wait t in [(k−1)D, kD) it is e^(−u) Σ Q(k−1−j) u^j / j! over 0 ≤ j < k, with u = λ(kD − t) and
    /// Q(m) the probability that at most m wait.
    pub fn sojourn_cdf(&self, time: f64) -> f64 {
        let wait = time - self.service;
        if wait < 0.0 {
            return 0.0;
        }
        let k = (wait / self.service).floor() as usize + 1;
        let Some(most_waiting) = self.at_most.get(1..=k) else { return 1.0 };
        let u = self.rate * (k as f64 * self.service - wait);
        let poisson = iter::successors(Some((1.0, (-u).exp())), |(j, p)| Some((j + 1.0, p * u / j)));
        most_waiting.iter().rev().zip(poisson).map(|(q, (_, p))| q * p).sum()
    }

    /// The sojourn that a share `p` of the requests does not exceed.
    pub fn sojourn_quantile(&self, p: f64) -> f64 {
        let (mut low, mut high) = (self.service, self.service * Md1::LEVELS as f64);
        // Each step halves the interval, down to the last bits of a double.
        for _ in 0..100 {
            let middle = f64::midpoint(low, high);
            if self.sojourn_cdf(middle) < p { low = middle } else { high = middle }
        }
        high
    }
}

/// A sojourn with an exponential distribution: of M/M/1 and of G/M/1, at their own rates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponential {
    /// The mean.
    pub mean: f64,
}

impl Exponential {
    /// The sojourn that a share `p` of the requests does not exceed: −ln(1 − p) times the mean.
    pub fn quantile(self, p: f64) -> f64 {
        -(-p).ln_1p() * self.mean
    }
}

/// K3b: Poisson arrivals, exponential service, one server (M/M/1): the sojourn is exponential with the rate
/// μ − λ.
pub fn mm1(rate: f64, mean_service: f64) -> Exponential {
    Exponential { mean: 1.0 / (1.0 / mean_service - rate) }
}

/// K3c: the share of arrivals that find the server busy when gaps are constant and service is exponential
/// (D/M/1): the root below 1 of σ = e^(−(1−σ)/ρ).
pub fn dm1_sigma(rho: f64) -> f64 {
    // From 0 the iteration rises to the lowest root, ever more slowly as ρ nears 1.
    let mut sigma = 0.0;
    for _ in 0..100_000 {
        sigma = (-(1.0 - sigma) / rho).exp();
    }
    sigma
}

/// K3c: D/M/1, whose sojourn is exponential with the rate μ(1 − σ).
pub fn dm1(rate: f64, mean_service: f64) -> Exponential {
    Exponential { mean: mean_service / (1.0 - dm1_sigma(rate * mean_service)) }
}

/// K4 and K6: for `length` in every `period` nothing happens, neither in a stalled server (K4) nor in a
/// stopped client (K6).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stall {
    /// L.
    pub length: f64,
    /// P.
    pub period: f64,
}

impl Stall {
    /// What a share `p` of a steady stream does not exceed: a share L/P meets the stall and waits evenly
    /// between 0 and L, so that 1 − p wait more than L − (1 − p)P.
    pub fn quantile(self, p: f64) -> f64 {
        f64::max(0.0, self.length - (1.0 - p) * self.period)
    }

    /// The mean wait of a steady stream: L/2 in a share L/P, L² / 2P.
    pub fn mean(self) -> f64 {
        self.length * self.length / (2.0 * self.period)
    }

    /// K4′: the same for clients in a closed loop, whose requests take `service`: between two stalls each
    /// makes (P − L)/service of them, and only one of those meets the stall.
    pub fn closed_loop_quantile(self, service: f64, p: f64) -> f64 {
        let stalled = service / (self.period - self.length);
        if 1.0 - p < stalled { service + self.length } else { service }
    }
}

/// K5: more is offered than one server can do, for a while, with constant gaps and constant service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overload {
    /// λ.
    pub offered: f64,
    /// μ, below λ.
    pub capacity: f64,
    /// For how long.
    pub duration: f64,
}

impl Overload {
    /// The longest sojourn, of the last request: it arrives at T and departs at λT/μ. That is also how long
    /// it takes to drain.
    pub fn max(self) -> f64 {
        self.duration * (self.offered / self.capacity - 1.0)
    }

    /// Sojourns grow evenly from 0 to the longest.
    pub fn quantile(self, p: f64) -> f64 {
        p * self.max()
    }

    /// Requests per second from the first arrival to the last departure: the capacity.
    pub fn throughput(self) -> f64 {
        self.offered * self.duration / (self.duration + self.max())
    }
}

/// K7 and K9: the slope of a line through points (x, y), by least squares; `None` without two different x.
/// Over burnt CPU the CPU per request has slope 1, over connections the memory has the bytes of one.
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let shared: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (spread > 0.0).then(|| shared / spread)
}

/// K7: the same by the median of the slopes between any two points of different x (Theil 1950, Sen 1968),
/// which a few points that were disturbed do not move.
pub fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    let pairs = points.iter().enumerate().flat_map(|(i, a)| points[i + 1..].iter().map(move |b| (a, b)));
    let slopes = pairs.filter(|(a, b)| (a.0 - b.0).abs() > 0.0).map(|(a, b)| (b.1 - a.1) / (b.0 - a.0));
    median(&slopes.collect::<Vec<_>>())
}

/// K10: how many of the first `requests` requests meet each fault, where the fault at place i, from 0, with
/// the number N falls on those of which n + i is divisible by N. None of them may fall on the same.
pub fn faults_met<const M: usize>(requests: u64, every: [u64; M]) -> [u64; M] {
    std::array::from_fn(|place| (requests + place as u64) / every[place])
}

/// The probability of at most `successes` in `trials` that each succeed with probability `p`.
pub fn binomial_at_most(successes: u32, trials: u32, p: f64) -> f64 {
    let odds = p / (1.0 - p);
    let terms = iter::successors(Some((0u32, (1.0 - p).powi(trials.cast_signed()))), |(k, term)| {
        (*k < trials).then(|| (k + 1, term * odds * f64::from(trials - k) / f64::from(k + 1)))
    });
    terms.take_while(|(k, _)| *k <= successes).map(|(_, term)| term).sum()
}

/// K11: the most failures among `trials` that are no surprise if each fails with probability `p`: more
/// would be seen with a probability of 5% or less.
///
/// A test at 5% may find a difference that is not there, an interval at 95% may miss the truth, and an
/// effect for which the power is 95% may not be found: of 20, in 3 cases each.
pub fn failures_to_expect(trials: u32, p: f64) -> u32 {
    (0..trials).find(|k| 1.0 - binomial_at_most(*k, trials, p) <= 0.05).unwrap_or(trials)
}

/// The sojourns of given arrivals, in order, with given service times, behind one server: Lindley's
/// recursion, departure(n) = max(arrival(n), departure(n−1)) + S(n). Exact for one schedule where the
/// formulas above hold for the mean of all.
pub fn lindley(requests: impl IntoIterator<Item = (f64, f64)>) -> impl Iterator<Item = f64> {
    requests.into_iter().scan(f64::NEG_INFINITY, |departure, (arrival, service)| {
        *departure = departure.max(arrival) + service;
        Some(*departure - arrival)
    })
}

#[cfg(test)]
mod tests;
