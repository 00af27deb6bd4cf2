//! K10: every request has exactly one fate, and the fates are those that the server gave.

use super::super::bench::{Probe, Seen};
use super::super::case::{Case, Trials, With, counted, ms, steady, timed};
use super::super::figure::Figure;
use super::super::formulas::faults_met;
use load::Strategy;
use load::schedule::Arrival;
use std::time::Duration;

/// 1%, 0.1%, 0.2% and 0.2%.
const ORACLE: &str = "--faults status:100,close:1000,truncate:500,silent:500";
const EVERY: [u64; 4] = [100, 1000, 500, 500];
/// After which a silent request is given up. Far longer than any other takes.
const TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn add(trials: &mut Trials<'_>) {
    let faults = "1% 503, 0.1% closed, 0.2% truncated, 0.2% silent";
    for strategy in [Strategy::OpenLoop, Strategy::Churn] {
        let setup = format!("{faults}; constant 1000/s, 2 s");
        trials.add_engine(Case::K10, setup, strategy, With::Each, move |bench, driver| {
            // Without a warm-up: its requests would have faults of their own.
            let work = steady(strategy, 256, 1000.0, Duration::ZERO, ms(2000));
            let probe = Probe::new(ORACLE, work, driver);
            let seen = bench.measure(&Probe { timeout: bench.timeout(TIMEOUT), ..probe })?;
            Ok(figures(&seen, Some(2000), strategy))
        });
    }
    // However many requests there are in a time, the server gave so many of them each fate.
    let setup = format!("{faults}; 4 clients, 1 s");
    trials.add_engine(Case::K10, setup, Strategy::ClosedLoop, With::OneInTurn, |bench, driver| {
        let oracle = format!("{ORACLE} --service constant:1ms");
        let work = timed(Strategy::ClosedLoop, 4, None, Arrival::Constant, Duration::ZERO, ms(1000));
        let probe = Probe::new(oracle, work, driver);
        let seen = bench.measure(&Probe { timeout: bench.timeout(TIMEOUT), ..probe })?;
        Ok(figures(&seen, None, Strategy::ClosedLoop))
    });
    for (strategy, concurrency) in
        [(Strategy::Async, Some(16)), (Strategy::ThreadPool, Some(16)), (Strategy::Sequential, None)]
    {
        let setup = format!("{faults}; 1000 requests");
        trials.add(Case::K10, setup, strategy, move |bench, driver| {
            let work = counted(strategy, 1000, concurrency);
            let probe = Probe::new(ORACLE, work, driver);
            let seen = bench.measure(&Probe { timeout: bench.timeout(TIMEOUT), ..probe })?;
            Ok(figures(&seen, Some(1000), strategy))
        });
    }
}

fn figures(seen: &Seen, requests: Option<u64>, strategy: Strategy) -> Vec<Figure> {
    let row = &seen.row;
    let all = requests.or(row.scheduled).unwrap_or(0);
    let [status, close, truncate, silent] = faults_met(all, EVERY);
    let fates = seen.report.fates;
    let mut figures = vec![
        Figure::exact("scheduled", "", all, row.scheduled),
        Figure::exact("ok", "", all - status - close - truncate - silent, row.ok),
        Figure::exact("bad_status", "", status, row.bad_status),
        Figure::exact("err_read", "", close + truncate, row.err_read),
        Figure::exact("timed_out", "", silent, row.timed_out),
        Figure::exact("sum of all fates", "", all, fates.sum()),
        Figure::verdict("errors", seen.verdict()),
    ];
    if !strategy.keeps_alive() {
        figures.push(Figure::exact("connects", "", all, row.connects));
    }
    figures
}
