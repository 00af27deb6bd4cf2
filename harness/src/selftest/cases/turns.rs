//! K1 to K5, K7 and K10 again, of servers that take turns in slices; and K14: servers that slices are not neutral to.
//!
//! In each two oracles are up and one client asks one of them at a time. A slice begins and ends with nothing in flight,
//! so that a closed loop of more clients than servers is as fast as without turns: its servers are busy until the end.

use super::super::bench::{Kind, Probe, Seen, TestBench};
use super::super::case::{Case, Trials, With, in_turns, ms, steady, timed};
use super::super::exact::{Load, Service, Sojourns};
use super::super::figure::{Figure, Sensitivity};
use super::super::formulas::{Overload, Stall, closed_loop, theil_sen};
use crate::analysis::metric::Metric;
use crate::analysis::turns::{Basis, basis};
use crate::record::row::Row;
use anyhow::Result;
use load::Strategy;
use load::protocol::{Driver, Piece};
use load::schedule::Arrival;

/// What a late round, or a CPU that is lacking, can do.
const NOISE: Sensitivity = Sensitivity::Share(2.0);

pub(super) fn add(trials: &mut Trials<'_>) {
    for (clients, expected_ms) in [(16, 200.0), (2, 50.0)] {
        let setup = format!("in turns: 4 servers of 50 ms, {clients} clients, 2 slices of 0.4 s");
        engine(trials, Case::K1, setup, Strategy::ClosedLoop, move |bench, driver| {
            let work = timed(Strategy::ClosedLoop, clients, None, Arrival::Constant, ms(100), ms(400));
            let all = two(bench, "--service constant:50ms --servers 4", in_turns(2, work), driver, 1)?;
            let rps = closed_loop(u32::try_from(clients)?, 4, 0.05).throughput;
            Ok(all
                .iter()
                .flat_map(|seen| {
                    vec![
                        Figure::near("throughput_rps", "/s", rps, seen.row.throughput_rps, 0.01, 0.0)
                            .sensitive(NOISE),
                        Figure::near(
                            "service p50",
                            "ms",
                            expected_ms,
                            seen.quantile_ms(Kind::Service, 0.5),
                            0.01,
                            0.0,
                        )
                        .sensitive(NOISE),
                        little(seen, 0.005),
                        failed(seen),
                    ]
                })
                .collect())
        });
    }
    engine(
        trials,
        Case::K2,
        "in turns: 20 ms for each, Poisson 500/s, 4 slices of 0.5 s",
        Strategy::OpenLoop,
        |bench, driver| {
            let work = timed(Strategy::OpenLoop, 256, Some(500.0), Arrival::Poisson, ms(50), ms(500));
            let all = two(bench, "--service constant:20ms --servers inf", in_turns(4, work), driver, 116)?;
            Ok(all
                .iter()
                .flat_map(|seen| {
                    vec![
                        Figure::near(
                            "response p50",
                            "ms",
                            20.0,
                            seen.quantile_ms(Kind::Response, 0.5),
                            0.0,
                            0.5,
                        )
                        .sensitive(Sensitivity::Delay(0.5)),
                        little(seen, 0.01),
                        failed(seen),
                    ]
                })
                .collect())
        },
    );
    engine(
        trials,
        Case::K3a,
        "in turns: M/D/1, 2 ms, 250/s, 4 slices of 1 s",
        Strategy::OpenLoop,
        |bench, driver| {
            let (seed, rounds, slice) = (389, 4, ms(1000));
            let work = timed(Strategy::OpenLoop, 256, Some(250.0), Arrival::Poisson, ms(100), slice);
            let all = two(bench, "--service constant:2ms", in_turns(rounds, work), driver, seed)?;
            // Each slice has a schedule of its own, the same for both servers.
            let of_round = |round: u32| {
                let piece =
                    Piece { server: 0, round: round as usize, duration: slice, scale: 1.0, part: Some(0) };
                let load = Load {
                    rate: 250.0,
                    arrival: Arrival::Poisson,
                    seed: piece.seed(seed),
                    warmup: ms(0),
                    duration: slice,
                };
                load.sojourns(Service::Constant(0.002))
            };
            let exact = Sojourns::of_all((1..=rounds).map(of_round));
            let queue = Sensitivity::Queue { times: 4.0, load: 0.5 };
            Ok(all
                .iter()
                .flat_map(|seen| {
                    let p90 = exact.quantile(0.9) * 1e3;
                    vec![
                        Figure::near(
                            "response mean, these schedules",
                            "ms",
                            exact.mean() * 1e3,
                            seen.mean_ms(Kind::Response),
                            0.01,
                            0.3,
                        )
                        .sensitive(queue),
                        Figure::near(
                            "response p90, these schedules",
                            "ms",
                            p90,
                            seen.quantile_ms(Kind::Response, 0.9),
                            0.01,
                            0.3,
                        )
                        .sensitive(queue),
                        little(seen, 0.01),
                        failed(seen),
                    ]
                })
                .collect())
        },
    );
    engine(
        trials,
        Case::K4,
        "in turns: stall 0.1 s in 1 s, constant 500/s, 2 slices of 2 s",
        Strategy::OpenLoop,
        |bench, driver| {
            let stall = Stall { length: 0.1, period: 1.0 };
            let work = steady(Strategy::OpenLoop, 256, 500.0, ms(0), ms(2000));
            let all = two(bench, "--stall 100ms/1s@451ms", in_turns(2, work), driver, 1)?;
            let at = |seen: &Seen, p: f64| {
                let expected = stall.quantile(p) * 1e3;
                // A gap, and what a slice's last requests are late by.
                Figure::near(
                    format!("response p{}", p * 100.0),
                    "ms",
                    expected,
                    seen.quantile_ms(Kind::Response, p),
                    0.01,
                    3.0,
                )
                .sensitive(Sensitivity::Delay(p))
            };
            Ok(all.iter().flat_map(|seen| vec![at(seen, 0.95), at(seen, 0.99), failed(seen)]).collect())
        },
    );
    engine(
        trials,
        Case::K5,
        "in turns: 600/s into 500/s, 2 slices of 1 s",
        Strategy::OpenLoop,
        |bench, driver| {
            let overload = Overload { offered: 600.0, capacity: 500.0, duration: 1.0 };
            let work = steady(Strategy::OpenLoop, 64, overload.offered, ms(0), ms(1000));
            let all = two(bench, "--service constant:2ms", in_turns(2, work), driver, 1)?;
            let backlog = Sensitivity::Queue { times: 8.0, load: 0.0 };
            Ok(all
                .iter()
                .flat_map(|seen| {
                    let max = overload.max() * 1e3;
                    vec![
                        Figure::near(
                            "throughput_rps",
                            "/s",
                            overload.throughput(),
                            seen.row.throughput_rps,
                            0.02,
                            0.0,
                        )
                        .sensitive(NOISE),
                        Figure::near(
                            "response p50",
                            "ms",
                            overload.quantile(0.5) * 1e3,
                            seen.quantile_ms(Kind::Response, 0.5),
                            0.02,
                            1.0,
                        )
                        .sensitive(backlog),
                        Figure::near("response max", "ms", max, seen.max_ms(Kind::Response), 0.02, 1.0)
                            .sensitive(backlog),
                        Figure::exact("ok", "", 1200u64, seen.row.ok),
                        Figure::verdict("overloaded", seen.verdict()),
                    ]
                })
                .collect())
        },
    );
    engine(
        trials,
        Case::K7,
        "in turns: 0, 50, 100, 200 µs of CPU a request, 20 slices of 50 ms, 1000/s",
        Strategy::OpenLoop,
        |bench, driver| {
            let burns = [0, 50, 100, 200];
            let work = in_turns(20, steady(Strategy::OpenLoop, 64, 1000.0, ms(10), ms(50)));
            let probe = |burn| Probe::new(format!("--burn {burn}us"), work.clone(), driver);
            let all = bench.measure_all(&burns.map(probe))?;
            let points = all.iter().zip(burns).filter_map(|(seen, burn)| {
                Some((f64::from(burn), seen.row.server_cpu_by_round_us_per_request?))
            });
            let points: Vec<(f64, f64)> = points.collect();
            let idle = all.iter().filter_map(|seen| seen.row.server_idle_share).reduce(f64::max);
            Ok(vec![
                Figure::near(
                    "server_cpu_by_round_us_per_request, slope",
                    "µs/µs",
                    1.0,
                    theil_sen(&points),
                    0.03,
                    0.0,
                )
                .sensitive(Sensitivity::Share(1.0)),
                Figure::exact("rows with a figure", "", 4u64, points.len() as u64),
                Figure::near("server_idle_share, the largest", "", 0.0, idle, 0.0, 0.002),
            ])
        },
    );
    let setup = "in turns: 1% 503, 0.1% closed, 0.2% truncated, 0.2% silent; 1000/s, 4 slices of 0.5 s";
    engine(trials, Case::K10, setup, Strategy::OpenLoop, |bench, driver| {
        let work = in_turns(4, steady(Strategy::OpenLoop, 256, 1000.0, ms(0), ms(500)));
        let probe = Probe::new("--faults status:100,close:1000,truncate:500,silent:500", work, driver);
        let timeout = bench.timeout(ms(500));
        let all = bench.measure_all(&[Probe { timeout, ..probe.clone() }, Probe { timeout, ..probe }])?;
        Ok(all
            .iter()
            .flat_map(|seen| {
                // Every 100th request of a server: those of its slices are not in a row, so one more or less at each edge.
                let near = |name: &str, expected, edges, measured: Option<u64>| {
                    Figure::near(name, "", expected, measured.map(|n| n as f64), 0.0, edges)
                };
                vec![
                    Figure::exact("scheduled", "", 2000u64, seen.row.scheduled),
                    Figure::exact("sum of all fates", "", 2000u64, seen.report.fates.sum()),
                    near("bad_status", 20.0, 4.0, seen.row.bad_status),
                    near("err_read", 6.0, 4.0, seen.row.err_read),
                    near("timed_out", 4.0, 4.0, seen.row.timed_out),
                    Figure::verdict("errors", seen.verdict()),
                ]
            })
            .collect())
    });
    not_neutral(trials);
}

/// K14. Slices differ from a continuous window of these servers, so the window has to count.
fn not_neutral(trials: &mut Trials<'_>) {
    for (what, oracle, counts) in [
        ("a plain server", "--burn 50us", Basis::Slices),
        (
            "slower for 30 ms after others had their turn",
            "--burn 50us --burn-after-idle 25us/30ms@5ms",
            Basis::Continuous,
        ),
        ("slow for 200 ms after idling", "--burn 50us --burn-after-idle 25us/200ms@50ms", Basis::Continuous),
    ] {
        let setup = format!("{what}, 6 blocks of 16 slices of 25 ms");
        engine(trials, Case::K14, setup, Strategy::ClosedLoop, move |bench, driver| {
            let work = timed(Strategy::ClosedLoop, 16, None, Arrival::Constant, ms(5), ms(25));
            // So long that 200 ms are over in the continuous window.
            let work = in_turns(if oracle.contains("200ms") { 80 } else { 16 }, work);
            let mut rows: Vec<Row> = Vec::new();
            for block in 1..=6 {
                let probe = |oracle| Probe { seed: block, ..Probe::new(oracle, work.clone(), driver) };
                let mut all =
                    bench.measure_all(&[probe(oracle), probe("--burn 50us"), probe("--burn 50us")])?;
                rows.push(Row { block: usize::try_from(block)?, ..all.swap_remove(0).row });
            }
            let found = basis(&rows.iter().collect::<Vec<_>>(), Metric::CPU);
            let word = |basis: Basis| if basis == Basis::Slices { "slices" } else { "continuous window" };
            Ok(vec![
                Figure::exact("what counts", "", word(counts), word(found)).sensitive(Sensitivity::Verdict),
            ])
        });
    }
}

/// Two oracles with these arguments.
fn two(
    bench: &mut TestBench,
    oracle: &str,
    work: crate::experiment::workload::Workload,
    driver: Driver,
    seed: u64,
) -> Result<Vec<Seen>> {
    let probe = Probe { seed, ..Probe::new(oracle, work, driver) };
    bench.measure_all(&[probe.clone(), probe])
}

fn engine(
    trials: &mut Trials<'_>,
    case: Case,
    setup: impl Into<String>,
    strategy: Strategy,
    steps: impl Fn(&mut TestBench, Driver) -> Result<Vec<Figure>> + Clone + 'static,
) {
    trials.add_engine(case, setup, strategy, With::OneInTurn, steps);
}

fn little(seen: &Seen, tolerance: f64) -> Figure {
    Figure::near("little_ratio", "", 1.0, seen.row.little_ratio, tolerance, 0.0)
        .sensitive(Sensitivity::Share(1.0))
}

fn failed(seen: &Seen) -> Figure {
    Figure::exact("failed", "", 0u64, seen.report.fates.failed())
}
