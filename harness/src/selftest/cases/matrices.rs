//! K11 and K11b: whole comparisons. One binary under four names must not differ from itself, and 5% of
//! injected CPU must be found.

use super::super::bench::{Probe, TestBench};
use super::super::case::{Case, Trials, With, in_turns, ms, timed};
use super::super::figure::{Allowed, Figure};
use super::super::formulas::failures_to_expect;
use anyhow::{Result, anyhow, bail};
use load::Strategy;
use load::protocol::Driver;
use load::schedule::Arrival;
use stats::difference::{DELTA_FLOOR, Difference, Tested, compare, judge_family};
use stats::median;
use std::time::Duration;

const BLOCKS: usize = 8;
const REPEATS: u32 = 20;
const NAMES: usize = 4;
/// CPU that every request costs, so that 5% of it is more than what the clock resolves.
const BURN_US: f64 = 100.0;
const INJECTED: f64 = 0.05;
/// As in the experiment `ab`.
const ROUNDS: u32 = 7;
const SLICE: Duration = ms(25);
const LEAD_IN: Duration = ms(5);

pub(super) fn add(trials: &mut Trials<'_>) {
    let allowed = u64::from(failures_to_expect(REPEATS, 0.05));
    let before = trials.list.len();
    let setup = format!("one binary under {NAMES} names, {BLOCKS} blocks, {REPEATS} matrices");
    // Which driver the client uses is all the same to statistics.
    trials.add_engine(Case::K11, setup, Strategy::ClosedLoop, With::First, move |bench, driver| {
        let servers = vec![format!("--burn {BURN_US}us"); NAMES];
        let mut any = 0_u64;
        for repeat in 0..REPEATS {
            let (judged, ..) = matrix(bench, driver, &servers, repeat)?;
            any += u64::from(judged.iter().any(differs));
            eprintln!("  matrix {} of {REPEATS}: {any} with a difference", repeat + 1);
        }
        let figure = Figure::exact("matrices with any faster", "", allowed, any);
        Ok(vec![Figure { allowed: Allowed::AtMost, ..figure }])
    });
    let setup = format!("A, A and A + 5% CPU, {BLOCKS} blocks, {REPEATS} repeats");
    trials.add_engine(Case::K11b, setup, Strategy::ClosedLoop, With::First, move |bench, driver| {
        let burning = |us: f64| format!("--burn {us:.3}us");
        // What a µs of burning costs a request: not quite 1 µs (1.007 were seen), so it is measured, by so much of it,
        // and so often, that noise does not matter.
        let (mut bases, mut slopes) = (Vec::new(), Vec::new());
        for seed in 1..=BLOCKS {
            let (costs, _) = block(bench, driver, &[BURN_US, 2.0 * BURN_US].map(burning), seed as u64)?;
            let [Some(once), Some(twice)] = costs[..] else { bail!("a row has no CPU time") };
            bases.push(once);
            slopes.push((twice - once) / BURN_US);
        }
        let middle = |values: &[f64]| median(values).ok_or_else(|| anyhow!("no block was measured"));
        let (injected, each) = (INJECTED * middle(&bases)?, middle(&slopes)?);
        let servers = [BURN_US + injected / each, BURN_US, BURN_US].map(burning);
        let (mut found, mut covered, mut same_differs) = (0_u64, 0_u64, 0_u64);
        let (mut longest, mut spread) = (Duration::ZERO, Vec::new());
        for repeat in 0..REPEATS {
            let (judged, now, load) = matrix(bench, driver, &servers, repeat)?;
            // In the order of the pairs: more against plain, more against plain again, plain against plain.
            let [slower, _, same] = judged.as_slice() else { bail!("a server has no row with its CPU time") };
            found += u64::from(slower.difference == Difference::Higher);
            // What a request costs without it may have moved since the base was measured. The third server says what
            // it is now: it is no part of the pair that is judged.
            let truth = 1.0 + injected / median(&now).unwrap_or(f64::NAN);
            let interval = slower.paired.interval_95.ok_or_else(|| anyhow!("too few blocks for an interval"))?;
            covered += u64::from(interval.contains(truth));
            same_differs += u64::from(differs(same));
            // Two of the three servers are a pair.
            longest = longest.max(load.mul_f64(2.0 / 3.0));
            spread.extend(deviation(&same.paired.log_ratios));
            eprintln!(
                "  repeat {} of {REPEATS}: {:.4} ({:.4}–{:.4}) of {truth:.4} and A/A {:.4}; so far {found} found, {covered} covered, \
                 {same_differs} A/A different; {:.1} s of load a pair; standard deviation of ln A/A in a block {:.4}",
                repeat + 1,
                slower.paired.estimate,
                interval.low,
                interval.high,
                same.paired.estimate,
                longest.as_secs_f64(),
                median(&spread).unwrap_or(f64::NAN)
            );
        }
        let least = u64::from(REPEATS) - allowed;
        let seconds = Figure::near("load for a pair", "s", 5.0, Some(longest.as_secs_f64()), 0.0, 0.0);
        Ok(vec![
            Figure { allowed: Allowed::AtLeast, ..Figure::exact("found as slower", "", least, found) },
            Figure { allowed: Allowed::AtLeast, ..Figure::exact("interval covers the truth", "", least, covered) },
            Figure { allowed: Allowed::AtMost, ..Figure::exact("A/A called different", "", 1, same_differs) },
            Figure { allowed: Allowed::AtMost, ..seconds },
        ])
    });
    // Chance has its part in these, and to run them again until they pass would take it away.
    trials.list[before..].iter_mut().for_each(|trial| trial.repeatable = false);
}

/// The servers' CPU time per request in µs, in turns, of fresh processes; and how long there was load.
fn block(
    bench: &mut TestBench,
    driver: Driver,
    servers: &[String],
    seed: u64,
) -> Result<(Vec<Option<f64>>, Duration)> {
    let work = timed(Strategy::ClosedLoop, 64, None, Arrival::Constant, LEAD_IN, SLICE);
    let work = in_turns(ROUNDS, work);
    let probe = |oracle: &String| Probe { seed, ..Probe::new(oracle, work.clone(), driver) };
    let all = bench.measure_all(&servers.iter().map(probe).collect::<Vec<_>>())?;
    let load = all.first().and_then(|seen| seen.load).unwrap_or_default();
    Ok((all.iter().map(|seen| seen.row.server_cpu_by_round_us_per_request).collect(), load))
}

/// Every pair of the servers with these arguments, over blocks; what the last of them cost in each; and how long there
/// was load.
fn matrix(
    bench: &mut TestBench,
    driver: Driver,
    servers: &[String],
    repeat: u32,
) -> Result<(Vec<Tested>, Vec<f64>, Duration)> {
    let mut values = vec![Vec::new(); servers.len()];
    let mut load = Duration::ZERO;
    for number in 1..=BLOCKS {
        let (costs, of_block) = block(bench, driver, servers, u64::from(repeat) << 32 | number as u64)?;
        load += of_block;
        for (values, cost) in values.iter_mut().zip(costs) {
            values.extend(cost.map(|cost| (number, cost)));
        }
    }
    let pairs = (0..servers.len()).flat_map(|a| (a + 1..servers.len()).map(move |b| (a, b)));
    let pairs = pairs.filter_map(|(a, b)| compare(&values[a], &values[b])).collect();
    let last = values.last().into_iter().flatten().map(|(_, cost)| *cost).collect();
    Ok((judge_family(pairs, DELTA_FLOOR), last, load))
}

fn differs(judged: &Tested) -> bool {
    matches!(judged.difference, Difference::Lower | Difference::Higher)
}

/// The standard deviation of a sample.
fn deviation(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (n > 1.0).then(|| (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt())
}
