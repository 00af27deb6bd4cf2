//! K12: a fixture for each gate. A gate that cannot trip is a defect, and so is one that trips without
//! cause.
//!
//! Each fixture runs, and the gates are asked for what its row is judged by. How quiet the host is now is not part of
//! that: where it is not what the fixture is about, the facts about it are left aside.

use super::super::bench::{Probe, TestBench};
use super::super::case::{Case, Trials, With, ms, steady, timed};
use super::super::disturb::Disturbance;
use super::super::figure::Figure;
use crate::analysis::usable;
use crate::experiment::workload::Workload;
use crate::judge::gate::Gate;
use crate::judge::verdict::Verdict;
use crate::record::row::Row;
use anyhow::Result;
use load::Strategy;
use load::protocol::{Driver, Mutation};
use load::schedule::Arrival;
use stats::difference::BLOCKS_NEEDED;
use strum::VariantArray as _;

pub(super) fn add(trials: &mut Trials<'_>) {
    for &verdict in Verdict::VARIANTS {
        let (setup, fixture) = fixture(verdict);
        trials.add_engine(Case::K12, setup, Strategy::OpenLoop, With::OneInTurn, move |bench, driver| {
            let probe = fixture(bench, driver)?;
            let seen = bench.measure(&probe)?;
            Ok(vec![match verdict {
                Verdict::NoSteadyState => Figure::verdict(verdict.name(), steadiness(&seen.row)),
                Verdict::NoisyHost => Figure::exact("verdict", "", verdict.name(), seen.row.verdict.as_str()),
                _ => Figure::verdict(verdict.name(), seen.verdict()),
            }])
        });
    }
}

/// The verdict on a cell whose blocks are all like this row; `None` where the row has no halves to judge.
fn steadiness(row: &Row) -> Option<&'static str> {
    row.half_cpu_ratio?;
    let block = Row { verdict: Verdict::Ok.name().to_owned(), ..row.clone() };
    match usable::steady(&[&block; BLOCKS_NEEDED]) {
        Gate::Trips(_) => Some(Verdict::NoSteadyState.name()),
        _ => Some(Verdict::Ok.name()),
    }
}

type Fixture = fn(&mut TestBench, Driver) -> Result<Probe>;

/// What a verdict comes of.
fn fixture(verdict: Verdict) -> (&'static str, Fixture) {
    match verdict {
        Verdict::Failed => ("the server is killed", |_, driver| {
            let kill = Some(Disturbance::KillServer(ms(900)));
            Ok(Probe { disturbance: kill, timeout: ms(1000), ..calm("--service none", driver) })
        }),
        Verdict::Errors => {
            ("1 request in 100 gets a 503", |_, driver| Ok(calm("--faults status:100", driver)))
        }
        Verdict::NoisyHost => ("another process on the client's CPUs", |bench, driver| {
            let cpus = bench.client_cpus(Strategy::OpenLoop);
            let burn = Some(Disturbance::TakeCpus(cpus));
            Ok(Probe { disturbance: burn, ..calm("--service none", driver) })
        }),
        Verdict::LateGenerator => ("the client is stopped for 0.3 s", |_, driver| {
            let stop = Disturbance::StopClient { first: ms(900), length: ms(300), period: ms(60_000) };
            Ok(Probe { disturbance: Some(stop), ..calm("--service none", driver) })
        }),
        Verdict::Overloaded => ("600/s into 500/s", |_, driver| {
            let work = steady(Strategy::OpenLoop, 256, 600.0, ms(500), ms(2000));
            Ok(Probe::new("--service constant:2ms", work, driver))
        }),
        Verdict::ClientBound => ("faster than the client's ceiling is said to be", |_, driver| {
            Ok(Probe { ceiling: Some(1.0), ..Probe::new("--service none", saturating(), driver) })
        }),
        Verdict::NoSteadyState => {
            ("the CPU of a request grows from 50 to 100 µs half-way, in each of six blocks", |_, driver| {
                // 500 in the warm-up, and half of 2000.
                Ok(calm("--burn 50us --burn-later 100us@1501", driver))
            })
        }
        Verdict::LittleViolated => ("a client that reports µs as ns", |_, driver| {
            let wrong = Some(Mutation::WrongUnit);
            Ok(Probe { mutation: wrong, ..calm("--service constant:20ms --servers inf", driver) })
        }),
        Verdict::Ok => ("nothing is wrong", |_, driver| {
            Ok(calm("--service constant:20ms --servers inf --burn 20us", driver))
        }),
    }
}

/// A load that no gate objects to.
fn calm(oracle: &str, driver: Driver) -> Probe {
    Probe::new(oracle, steady(Strategy::OpenLoop, 256, 1000.0, ms(500), ms(2000)), driver)
}

/// All that a client can do.
fn saturating() -> Workload {
    timed(Strategy::ClosedLoop, 64, None, Arrival::Constant, ms(500), ms(1500))
}
