//! K4 and K4b: a server that stands still for 1 s in every 10 s, seen by an open and by a closed loop. K6:
//! the client stands still itself.

use super::super::bench::{Kind, Probe};
use super::super::case::{Case, Trials, With, ms, steady, timed};
use super::super::disturb::Disturbance;
use super::super::figure::{Figure, Sensitivity, Value};
use super::super::formulas::Stall;
use load::Strategy;
use load::schedule::Arrival;
use std::time::Duration;

const STALL: Stall = Stall { length: 1.0, period: 10.0 };
const STOP: Stall = Stall { length: 0.3, period: 5.0 };

pub(super) fn add(trials: &mut Trials<'_>) {
    let periods = if trials.selected.full { 2 } else { 1 };
    let duration = Duration::from_secs(10 * periods);
    let rate = 100.0;
    for strategy in [Strategy::OpenLoop, Strategy::Churn] {
        let with = if strategy == Strategy::OpenLoop { With::Each } else { With::OneInTurn };
        let setup = format!("stall 1 s in 10 s, constant 100/s, {} s", 10 * periods);
        trials.add_engine(Case::K4, setup, strategy, with, move |bench, driver| {
            // Half a gap off, so that no request is due at a stall's very edge.
            let work = steady(strategy, 256, rate, ms(500), duration);
            let seen = bench.measure(&Probe::new("--stall 1s/10s@4.505s", work, driver))?;
            let gap = 1e3 / rate;
            let at = |p: f64| {
                let name = format!("response p{}", (p * 1000.0).round() / 10.0);
                let expected = STALL.quantile(p) * 1e3;
                Figure::near(name, "ms", expected, seen.quantile_ms(Kind::Response, p), 0.01, gap)
                    .sensitive(Sensitivity::Delay(p))
            };
            let mean = STALL.mean() * 1e3;
            Ok(vec![
                at(0.5),
                at(0.95),
                at(0.99),
                at(0.999),
                Figure::near("response mean", "ms", mean, seen.mean_ms(Kind::Response), 0.02, 0.0)
                    .sensitive(Sensitivity::Queue { times: 2.0, load: 0.0 }),
                Figure::exact("failed", "", 0u64, seen.report.fates.failed()),
            ])
        });
    }
    let setup = "the same stall, 1 ms of service, 1 client, 10 s";
    trials.add_engine(Case::K4b, setup, Strategy::ClosedLoop, With::OneInTurn, |bench, driver| {
        let work = timed(Strategy::ClosedLoop, 1, None, Arrival::Constant, ms(500), Duration::from_secs(10));
        let probe = Probe::new("--service constant:1ms --stall 1s/10s@4.505s", work, driver);
        let seen = bench.measure(&probe)?;
        let p99 = STALL.closed_loop_quantile(0.001, 0.99) * 1e3;
        Ok(vec![
            Figure::near("service p99", "ms", p99, seen.quantile_ms(Kind::Service, 0.99), 0.0, 0.5)
                .sensitive(Sensitivity::Delay(0.99)),
            Figure::near("service max", "ms", 1001.0, seen.max_ms(Kind::Service), 0.01, 0.0)
                .sensitive(Sensitivity::Delay(1.0)),
            Figure::exact("loop", "", "closed", seen.row.loop_kind.as_str()),
            Figure::exact("response_p50_us", "", Value::Empty, seen.row.response_p50_us),
            Figure::exact("response_max_us", "", Value::Empty, seen.row.response_max_us),
        ])
    });
}

pub(super) fn add_client(trials: &mut Trials<'_>) {
    let setup = "client stopped 0.3 s in 5 s, constant 1000/s, 10 s";
    trials.add_engine(Case::K6, setup, Strategy::OpenLoop, With::OneInTurn, |bench, driver| {
        let work = steady(Strategy::OpenLoop, 512, 1000.0, ms(500), Duration::from_secs(10));
        // Away from the beginning, the half and the end of the measured time, which the client has to
        // mark.
        let stops = Disturbance::StopClient { first: ms(2500), length: ms(300), period: ms(5000) };
        let probe = Probe::new("--service none", work, driver);
        let seen = bench.measure(&Probe { disturbance: Some(stops), ..probe })?;
        let p99 = STOP.quantile(0.99) * 1e3;
        Ok(vec![
            Figure::near("lateness p99", "ms", p99, seen.quantile_ms(Kind::Lateness, 0.99), 0.05, 0.0)
                .sensitive(Sensitivity::Delay(0.99)),
            Figure::near("lateness max", "ms", 300.0, seen.max_ms(Kind::Lateness), 0.05, 0.0)
                .sensitive(Sensitivity::Delay(1.0)),
            Figure::near("response p99", "ms", p99, seen.quantile_ms(Kind::Response, 0.99), 0.05, 0.0)
                .sensitive(Sensitivity::Delay(0.99)),
            Figure::verdict("late_generator", seen.verdict()),
        ])
    });
}
