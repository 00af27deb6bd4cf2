//! K5: 600/s are offered to a server that does 500/s, for 10 s. The last request is answered 2 s after it
//! was due, which only a client that drains sees.

use super::super::bench::{Kind, Probe};
use super::super::case::{Case, Trials, With, steady};
use super::super::figure::{Figure, Sensitivity};
use super::super::formulas::Overload;
use load::Strategy;
use std::time::Duration;

/// What a response time is longer by: at 600/s into 500/s the backlog grows by 1/6 of what is due, so six times what the
/// server lacks, if it lacks it evenly.
const BACKLOG: Sensitivity = Sensitivity::Queue { times: 8.0, load: 0.0 };

pub(super) fn add(trials: &mut Trials<'_>) {
    let overload = Overload { offered: 600.0, capacity: 500.0, duration: 10.0 };
    let setup = "600/s into 500/s for 10 s, 64 connections";
    trials.add_engine(Case::K5, setup, Strategy::OpenLoop, With::Each, move |bench, driver| {
        // Fewer connections than requests under way: most of the waiting is done in the client.
        let duration = Duration::from_secs_f64(overload.duration);
        let work = steady(Strategy::OpenLoop, 64, overload.offered, Duration::ZERO, duration);
        let seen = bench.measure(&Probe::new("--service constant:2ms", work, driver))?;
        let row = &seen.row;
        let at = |p: f64| {
            let name = format!("response p{}", p * 100.0);
            let expected = overload.quantile(p) * 1e3;
            Figure::near(name, "ms", expected, seen.quantile_ms(Kind::Response, p), 0.02, 0.0)
                .sensitive(BACKLOG)
        };
        let max = overload.max() * 1e3;
        let drained = overload.duration + overload.max();
        Ok(vec![
            Figure::near("throughput_rps", "/s", overload.throughput(), row.throughput_rps, 0.02, 0.0)
                .sensitive(Sensitivity::Share(2.0)),
            at(0.5),
            at(0.99),
            Figure::near("response max", "ms", max, seen.max_ms(Kind::Response), 0.02, 0.0)
                .sensitive(BACKLOG),
            Figure::near("elapsed_s", "s", drained, row.elapsed_s, 0.02, 0.0)
                .sensitive(Sensitivity::Share(2.0)),
            Figure::exact("ok", "", 6000u64, row.ok),
            Figure::verdict("overloaded", seen.verdict()),
        ])
    });
}
