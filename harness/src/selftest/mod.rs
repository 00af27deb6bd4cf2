//! The harness against known answers: what a server whose every answer time is known must be measured as.
//!
//! | to change | look in |
//! |---|---|
//! | what is expected, in theory | `formulas` |
//! | what is expected of one schedule, to the request | `exact` |
//! | which cases there are, their set-ups and tolerances | `case`, `cases` |
//! | how a case is measured: the very path a run takes | `bench` |
//! | what is done to a client, a server or the host meanwhile | `disturb` |
//! | what the host did to a trial, and what that excuses | `noise` |
//! | how often a trial is run | `attempt` |
//! | how figures are judged and shown | `figure`, `judged`, `table` |

mod attempt;
mod bench;
pub mod case;
mod cases;
mod disturb;
mod exact;
pub mod figure;
pub mod formulas;
pub mod judged;
pub mod noise;
pub mod table;

use crate::exit::usage;
use anyhow::Result;
use attempt::{ATTEMPTS, attempts};
use bench::TestBench;
use case::{Case, Selected, Trial};
use judged::Judged;
use load::Strategy;
use load::protocol::{Driver, Mutation};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What to test, and how strictly.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only these cases; all of them if empty.
    pub only: Vec<Case>,
    /// Only these strategies; all of them if empty.
    pub strategies: Vec<Strategy>,
    /// Also what takes half an hour.
    pub full: bool,
    /// Which system interface of the load engine; `auto` is both.
    pub driver: Driver,
    /// A fault that the client is to have: the test of the test.
    pub mutation: Option<Mutation>,
    /// What every tolerance is multiplied by, and short timeouts.
    pub tolerance_factor: f64,
    /// A file of hosts to test over.
    pub hosts: Option<PathBuf>,
}

/// Runs every selected trial, and says on stderr what is going on.
///
/// # Errors
/// The command line selects nothing; or the environment: the oracle does not build or start, or a client
/// died.
pub fn run(root: &Path, options: &Options) -> Result<Vec<Judged>> {
    let drivers = bench::drivers(options.driver)?;
    let mut trials = cases::trials(&Selected { only: &options.only, full: options.full, drivers: &drivers });
    let strategies = &options.strategies;
    trials.retain(|trial| strategies.is_empty() || strategies.contains(&trial.strategy));
    if trials.is_empty() {
        return Err(usage!("none of these cases is for these strategies"));
    }
    let patience = options.tolerance_factor.max(1.0);
    let mut bench = TestBench::new(root, options.mutation, patience, options.hosts.as_deref())?;
    let mut judged = Vec::new();
    for trial in &trials {
        if let Some(why) = trial.not_asked {
            eprintln!("{} {}, {}: not asked: {why}", trial.case, trial.strategy, trial.setup);
            continue;
        }
        judged.extend(judge(&mut bench, trial, options.tolerance_factor)?);
    }
    Ok(judged)
}

/// Runs a trial, as often as it takes, and judges its figures.
fn judge(bench: &mut TestBench, trial: &Trial, factor: f64) -> Result<Vec<Judged>> {
    // What a deliberate fault does to a figure is there at once.
    let most = if trial.repeatable && !bench.has_mutation() { ATTEMPTS } else { 1 };
    let last = attempts(most, factor, |attempt| {
        bench.forget();
        let start = Instant::now();
        let figures = (trial.steps)(bench)?;
        let wrong = figures.iter().filter(|figure| !figure.passes(factor)).count();
        let word = match wrong {
            0 => "ok".to_owned(),
            _ => format!("{wrong} of {} not as expected", figures.len()),
        };
        let driver =
            trial.driver.map_or_else(String::new, |driver| format!(" {}", bench::driver_name(driver)));
        let (case, strategy, setup) = (trial.case, trial.strategy, &trial.setup);
        let again = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
        eprintln!(
            "{case} {strategy}{driver}, {setup}{again}: {word} ({:.1} s)",
            start.elapsed().as_secs_f64()
        );
        if wrong > 0 {
            eprintln!("  its row: {}", bench.last());
            eprintln!("  its noise: {}", bench.noise());
        }
        Ok((figures, bench.noise().clone()))
    })?;
    let judged = |(figure, outcome)| Judged::new(trial, figure, factor, last.attempt, outcome, &last.noise);
    Ok(last.figures.into_iter().map(judged).collect())
}

/// Returns true for a figure that is wrong, whatever the host did.
pub fn has_failed(figure: &Judged) -> bool {
    !figure.passed && !figure.cannot_tell
}
