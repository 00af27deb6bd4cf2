//! K1: C clients in a closed loop over four servers that take 50 ms each. Throughput is min(C, 4)/50 ms,
//! whatever the client is.

use super::super::bench::{Kind, Probe};
use super::super::case::{Case, Trials, With, counted, ms, timed};
use super::super::figure::{Figure, Sensitivity};
use super::super::formulas::{closed_loop, closed_loop_of};
use load::Strategy;
use load::schedule::Arrival;
use std::time::Duration;

const ORACLE: &str = "--service constant:50ms --servers 4";
const SERVERS: u32 = 4;
const SERVICE: f64 = 0.05;
/// A round that is late delays the next one, and a client that is late with its request waits less for an answer.
const NOISE: Sensitivity = Sensitivity::Share(2.0);

pub(super) fn add(trials: &mut Trials<'_>) {
    for clients in [16, 2] {
        for strategy in [Strategy::ClosedLoop, Strategy::Churn] {
            let with = if clients == 16 { With::Each } else { With::OneInTurn };
            add_engine(trials, strategy, clients, with);
        }
        for strategy in [Strategy::ThreadPool, Strategy::Async] {
            // 60 rounds of four, or of two.
            add_requests(trials, strategy, clients, u64::from(60 * clients.min(SERVERS)));
        }
    }
    add_requests(trials, Strategy::Sequential, 1, 40);
}

fn add_engine(trials: &mut Trials<'_>, strategy: Strategy, clients: u32, with: With) {
    // A queue keeps the rounds in step. Without one each begins when the last has arrived, and the 0.2 to
    // 0.4 ms of a wake-up move the end of the window into another round: the longer, the less it weighs.
    let in_step = clients > SERVERS;
    let window = Duration::from_secs(if in_step { 3 } else { 12 });
    let setup = format!("4 servers of 50 ms, {clients} clients, {} s", window.as_secs());
    trials.add_engine(Case::K1, setup, strategy, with, move |bench, driver| {
        // Answers come in rounds of 50 ms. A window that begins and ends half-way between two of them
        // holds whole rounds, as long as they keep in step.
        let work = timed(strategy, clients as usize, None, Arrival::Constant, ms(525), window);
        let seen = bench.measure(&Probe::new(ORACLE, work, driver))?;
        let expected = closed_loop(clients, SERVERS, SERVICE);
        let wait = expected.latency * 1e3;
        let round = if in_step { 0.0 } else { f64::from(clients) / window.as_secs_f64() };
        let rps = expected.throughput;
        Ok(vec![
            Figure::near("throughput_rps", "/s", rps, seen.row.throughput_rps, 0.01, round).sensitive(NOISE),
            Figure::near("service mean", "ms", wait, seen.mean_ms(Kind::Service), 0.01, 0.0).sensitive(NOISE),
            Figure::near("service p50", "ms", wait, seen.quantile_ms(Kind::Service, 0.5), 0.01, 0.0)
                .sensitive(NOISE),
            Figure::near("in_flight_mean", "", f64::from(clients), seen.row.in_flight_mean, 0.01, 0.0)
                .sensitive(NOISE),
            Figure::near("little_ratio, L = XW", "", 1.0, seen.row.little_ratio, 0.005, round / rps)
                .sensitive(NOISE),
            Figure::exact("failed", "", 0u64, seen.report.fates.failed()),
        ])
    });
}

fn add_requests(trials: &mut Trials<'_>, strategy: Strategy, clients: u32, requests: u64) {
    let setup = match strategy {
        Strategy::Sequential => format!("4 servers of 50 ms, {requests} requests"),
        _ => format!("4 servers of 50 ms, {clients} clients, {requests} requests"),
    };
    trials.add(Case::K1, setup, strategy, move |bench, driver| {
        let concurrency = (strategy != Strategy::Sequential).then_some(clients as usize);
        let work = counted(strategy, requests, concurrency);
        let seen = bench.measure(&Probe::new(ORACLE, work, driver))?;
        let expected = closed_loop_of(requests, clients, SERVERS, SERVICE);
        let steady = closed_loop(clients, SERVERS, SERVICE).latency * 1e3;
        let mean = expected.latency * 1e3;
        Ok(vec![
            Figure::near("throughput_rps", "/s", expected.throughput, seen.row.throughput_rps, 0.01, 0.0)
                .sensitive(NOISE),
            Figure::near("service mean, with its edges", "ms", mean, seen.mean_ms(Kind::Service), 0.01, 0.0)
                .sensitive(NOISE),
            Figure::near("service p50", "ms", steady, seen.quantile_ms(Kind::Service, 0.5), 0.01, 0.0)
                .sensitive(NOISE),
            Figure::exact("ok", "", requests, seen.row.ok),
        ])
    });
}
