//! K11 and K11b: whole comparisons. One binary under four names must not differ from itself, and 5% of
//! injected CPU must be found.

use super::super::figure::{Allowed, Figure};
use super::super::formulas::failures_to_expect;
use super::super::stand::{Probe, Stand};
use super::{Case, Trials, With, ms, steady};
use crate::load::Strategy;
use crate::load::protocol::Driver;
use crate::stats::median;
use crate::stats::verdict::{DELTA_FLOOR, Judged, Verdict, compare, judge_family};
use anyhow::{Result, anyhow};
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;
use std::time::Duration;

const BLOCKS: usize = 12;
const REPEATS: u32 = 20;
const NAMES: usize = 4;
/// CPU that every request costs, so that 5% of it is more than what the clock resolves.
const BURN_US: f64 = 100.0;
const INJECTED: f64 = 0.05;
/// What finds nothing may be short: chance then has more room to find something.
const SHORT: Duration = ms(500);
/// What has to find 5% needs longer cells.
const LONG: Duration = ms(1500);

pub(super) fn add(trials: &mut Trials<'_>) {
    let allowed = u64::from(failures_to_expect(REPEATS, 0.05));
    let before = trials.list.len();
    let setup = format!("one binary under {NAMES} names, {BLOCKS} blocks, {REPEATS} matrices");
    // Which driver the client uses is all the same to statistics.
    trials.add_engine(Case::K11, setup, Strategy::OpenLoop, With::First, move |stand, driver| {
        let servers = vec![format!("--burn {BURN_US}us"); NAMES];
        let mut any = 0_u64;
        for repeat in 0..REPEATS {
            let judged = matrix(stand, driver, &servers, SHORT, repeat)?;
            any += u64::from(judged.iter().any(differs));
            eprintln!("  matrix {} of {REPEATS}: {any} with a difference", repeat + 1);
        }
        let figure = Figure::exact("matrices with any faster", "", allowed, any);
        Ok(vec![Figure { allowed: Allowed::AtMost, ..figure }])
    });
    let setup = format!("A against A + 5% CPU, {BLOCKS} blocks, {REPEATS} repeats");
    trials.add_engine(Case::K11b, setup, Strategy::OpenLoop, With::First, move |stand, driver| {
        let plain = format!("--burn {BURN_US}us");
        let mut costs = Vec::new();
        for _ in 0..5 {
            costs.extend(cost(stand, driver, &plain, LONG)?);
        }
        let base = median(&costs).ok_or_else(|| anyhow!("no row has the server's CPU time"))?;
        let more = format!("--burn {:.3}us", BURN_US + INJECTED * base);
        let (mut found, mut covered) = (0_u64, 0_u64);
        for repeat in 0..REPEATS {
            let judged = matrix(stand, driver, &[more.clone(), plain.clone()], LONG, repeat)?;
            let judged = judged.first().ok_or_else(|| anyhow!("no block has both"))?;
            found += u64::from(judged.verdict == Verdict::Higher);
            let interval = judged.paired.interval_95;
            covered += u64::from(interval.is_some_and(|i| i.contains(1.0 + INJECTED)));
            eprintln!(
                "  repeat {} of {REPEATS}: {:.4}, {found} found, {covered} covered",
                repeat + 1,
                judged.paired.estimate
            );
        }
        let least = u64::from(REPEATS) - allowed;
        Ok(vec![
            Figure { allowed: Allowed::AtLeast, ..Figure::exact("found as slower", "", least, found) },
            Figure { allowed: Allowed::AtLeast, ..Figure::exact("interval covers 1.05", "", least, covered) },
        ])
    });
    // Chance has its part in these, and to run them again until they pass would take it away.
    trials.list[before..].iter_mut().for_each(|trial| trial.repeatable = false);
}

/// The server's CPU time per request, in µs. Where a mark came late it was not read: the cell is run again, as in
/// a run, and its block left out if that does not help.
fn cost(stand: &mut Stand, driver: Driver, oracle: &str, duration: Duration) -> Result<Option<f64>> {
    let work = steady(Strategy::OpenLoop, 64, 1500.0, ms(100), duration);
    for _ in 0..3 {
        let row = stand.measure(&Probe::new(oracle, work.clone(), driver))?.row;
        if row.server_cpu_us_per_request.is_some() {
            return Ok(row.server_cpu_us_per_request);
        }
    }
    Ok(None)
}

/// Every pair of the servers with these arguments, over blocks in random order.
fn matrix(
    stand: &mut Stand,
    driver: Driver,
    servers: &[String],
    duration: Duration,
    seed: u32,
) -> Result<Vec<Judged>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.into());
    let mut values = vec![Vec::new(); servers.len()];
    for block in 1..=BLOCKS {
        let mut order: Vec<usize> = (0..servers.len()).collect();
        order.shuffle(&mut rng);
        for server in order {
            let value = cost(stand, driver, &servers[server], duration)?;
            values[server].extend(value.map(|value| (block, value)));
        }
    }
    let pairs = (0..servers.len()).flat_map(|a| (a + 1..servers.len()).map(move |b| (a, b)));
    let pairs = pairs.filter_map(|(a, b)| compare(&values[a], &values[b])).collect();
    Ok(judge_family(pairs, DELTA_FLOOR))
}

fn differs(judged: &Judged) -> bool {
    matches!(judged.verdict, Verdict::Lower | Verdict::Higher)
}
