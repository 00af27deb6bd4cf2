//! The figures that only slices give.

use crate::record::row::{Row, round};
use load::protocol::Slice;
use std::time::Duration;

/// What only slices tell of a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OfTurns {
    pub(super) rounds: u64,
    /// The means over the rounds of the logarithms, taken back.
    pub(super) by_round: Figures,
    /// The same figures in one continuous window, where there was one.
    pub(super) continuous: Figures,
    /// The part of one CPU that the server used while it had no turn.
    pub(super) idle_share: Option<f64>,
    /// How long a question to the meter takes.
    pub(super) asking: Option<Duration>,
}

impl OfTurns {
    /// Fills the columns of a row.
    pub(super) fn note(&self, row: &mut Row) {
        let rps = |figures: Figures| figures.rps.map(|rps| round(rps, 3));
        let us = |figures: Figures| figures.cpu_s.map(|seconds| round(seconds * 1e6, 3));
        row.rounds = Some(self.rounds);
        (row.throughput_by_round_rps, row.server_cpu_by_round_us_per_request) =
            (rps(self.by_round), us(self.by_round));
        (row.throughput_continuous_rps, row.server_cpu_continuous_us_per_request) =
            (rps(self.continuous), us(self.continuous));
        row.meter_us = self.asking.map(|time| round(time.as_secs_f64() * 1e6, 1));
        row.server_idle_share = self.idle_share.map(|share| round(share, 5));
    }
}

/// Requests per second, and the server's seconds of CPU time per request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    pub(super) rps: Option<f64>,
    pub(super) cpu_s: Option<f64>,
}

impl Figures {
    /// The means over slices; each `None` where a slice has none.
    pub(super) fn of(slices: impl Iterator<Item = Slice> + Clone) -> Figures {
        let rps = slices.clone().map(|slice| Some(slice.ok as f64 / slice.time.as_secs_f64()));
        Figures {
            rps: geometric_mean(rps),
            cpu_s: geometric_mean(slices.map(|slice| cpu_per_request(&slice))),
        }
    }
}

/// Seconds of the server's CPU time per right answer.
pub(super) fn cpu_per_request(slice: &Slice) -> Option<f64> {
    (slice.ok > 0).then_some(slice.server_cpu?.as_secs_f64() / slice.ok as f64)
}

fn geometric_mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let logs: Vec<f64> = values
        .map(|value| value.filter(|v| *v > 0.0 && v.is_finite()).map(f64::ln))
        .collect::<Option<_>>()?;
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}
