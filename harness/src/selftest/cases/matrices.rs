//! K11 and K11b: whole comparisons. One binary under four names must not differ from itself, and 5% of
//! injected CPU must be found.

use super::super::bench::{Probe, TestBench};
use super::super::case::{Case, Trials, With, ms, timed};
use super::super::figure::{Allowed, Figure};
use super::super::formulas::failures_to_expect;
use anyhow::{Result, anyhow, bail};
use load::Strategy;
use load::protocol::Driver;
use load::schedule::Arrival;
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;
use stats::difference::{DELTA_FLOOR, Difference, Tested, compare, judge_family};
use stats::median;
use std::time::Duration;

const BLOCKS: usize = 12;
const REPEATS: u32 = 20;
const NAMES: usize = 4;
/// CPU that every request costs, so that 5% of it is more than what the clock resolves.
const BURN_US: f64 = 100.0;
const INJECTED: f64 = 0.05;
const DURATION: Duration = ms(500);
const WARMUP: Duration = ms(100);
/// Under this rate the server sleeps most of the time. On a virtual CPU what waking up costs differs by 4% of the
/// whole from cell to cell, which gives chance the room to find something where there is nothing.
const ASLEEP: Load = Load { strategy: Strategy::OpenLoop, rate: Some(1500.0) };
/// The server never sleeps. Only so is what was injected also what is more: under a rate a server that burns more
/// sleeps less, and wakes up for less (of 5%, 4.6% were left at 6500/s and 3.6% at 8000/s).
const SATURATED: Load = Load { strategy: Strategy::ClosedLoop, rate: None };

#[derive(Clone, Copy)]
struct Load {
    strategy: Strategy,
    rate: Option<f64>,
}

pub(super) fn add(trials: &mut Trials<'_>) {
    let allowed = u64::from(failures_to_expect(REPEATS, 0.05));
    let before = trials.list.len();
    let setup = format!("one binary under {NAMES} names, {BLOCKS} blocks, {REPEATS} matrices");
    // Which driver the client uses is all the same to statistics.
    trials.add_engine(Case::K11, setup, ASLEEP.strategy, With::First, move |bench, driver| {
        let servers = vec![format!("--burn {BURN_US}us"); NAMES];
        let mut any = 0_u64;
        for repeat in 0..REPEATS {
            let judged = matrix(bench, driver, &servers, ASLEEP, repeat)?;
            any += u64::from(judged.iter().any(differs));
            eprintln!("  matrix {} of {REPEATS}: {any} with a difference", repeat + 1);
        }
        let figure = Figure::exact("matrices with any faster", "", allowed, any);
        Ok(vec![Figure { allowed: Allowed::AtMost, ..figure }])
    });
    let seconds = 2.0 * BLOCKS as f64 * (WARMUP + DURATION).as_secs_f64();
    let setup =
        format!("A, A and A + 5% CPU, {BLOCKS} blocks, {REPEATS} repeats; {seconds:.1} s of load for a pair");
    trials.add_engine(Case::K11b, setup, SATURATED.strategy, With::First, move |bench, driver| {
        let plain = format!("--burn {BURN_US}us");
        let mut costs = Vec::new();
        for _ in 0..5 {
            costs.extend(cost(bench, driver, &plain, SATURATED)?);
        }
        let base = median(&costs).ok_or_else(|| anyhow!("no row has the server's CPU time"))?;
        let more = format!("--burn {:.3}us", BURN_US + INJECTED * base);
        let servers = [more, plain.clone(), plain];
        let (mut found, mut covered, mut same_differs) = (0_u64, 0_u64, 0_u64);
        for repeat in 0..REPEATS {
            let judged = matrix(bench, driver, &servers, SATURATED, repeat)?;
            // In the order of the pairs: more against plain, more against plain again, plain against plain.
            let [slower, _, same] = judged.as_slice() else { bail!("a server has no row with its CPU time") };
            found += u64::from(slower.difference == Difference::Higher);
            let interval = slower.paired.interval_95;
            covered += u64::from(interval.is_some_and(|i| i.contains(1.0 + INJECTED)));
            same_differs += u64::from(differs(same));
            eprintln!(
                "  repeat {} of {REPEATS}: {:.4} and A/A {:.4}; so far {found} found, {covered} covered, \
                 {same_differs} A/A different",
                repeat + 1,
                slower.paired.estimate,
                same.paired.estimate
            );
        }
        let least = u64::from(REPEATS) - allowed;
        Ok(vec![
            Figure { allowed: Allowed::AtLeast, ..Figure::exact("found as slower", "", least, found) },
            Figure { allowed: Allowed::AtLeast, ..Figure::exact("interval covers 1.05", "", least, covered) },
            Figure { allowed: Allowed::AtMost, ..Figure::exact("A/A called different", "", 1, same_differs) },
        ])
    });
    // Chance has its part in these, and to run them again until they pass would take it away.
    trials.list[before..].iter_mut().for_each(|trial| trial.repeatable = false);
}

/// The server's CPU time per request, in µs. Where a mark came late it was not read: the cell is run again, as in
/// a run, and its block left out if that does not help.
fn cost(bench: &mut TestBench, driver: Driver, oracle: &str, load: Load) -> Result<Option<f64>> {
    let work = timed(load.strategy, 64, load.rate, Arrival::Constant, WARMUP, DURATION);
    for _ in 0..3 {
        let row = bench.measure(&Probe::new(oracle, work.clone(), driver))?.row;
        if row.server_cpu_us_per_request.is_some() {
            return Ok(row.server_cpu_us_per_request);
        }
    }
    Ok(None)
}

/// Every pair of the servers with these arguments, over blocks in random order.
fn matrix(
    bench: &mut TestBench,
    driver: Driver,
    servers: &[String],
    load: Load,
    seed: u32,
) -> Result<Vec<Tested>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.into());
    let mut values = vec![Vec::new(); servers.len()];
    for block in 1..=BLOCKS {
        let mut order: Vec<usize> = (0..servers.len()).collect();
        order.shuffle(&mut rng);
        for server in order {
            let value = cost(bench, driver, &servers[server], load)?;
            values[server].extend(value.map(|value| (block, value)));
        }
    }
    let pairs = (0..servers.len()).flat_map(|a| (a + 1..servers.len()).map(move |b| (a, b)));
    let pairs = pairs.filter_map(|(a, b)| compare(&values[a], &values[b])).collect();
    Ok(judge_family(pairs, DELTA_FLOOR))
}

fn differs(judged: &Tested) -> bool {
    matches!(judged.difference, Difference::Lower | Difference::Higher)
}
