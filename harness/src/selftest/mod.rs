//! The harness against known answers: what a server whose every answer time is known must be measured as.
//!
//! | to change | look in |
//! |---|---|
//! | what is expected, in theory | `formulas` |
//! | what is expected of one schedule, to the request | `exact` |
//! | which cases there are, their set-ups and tolerances | `case`, `cases` |
//! | how a case is measured: the very path a run takes | `bench` |
//! | what is done to a client, a server or the host meanwhile | `disturb` |
//! | how figures are judged and shown | `figure`, `judged`, `table` |

mod bench;
pub mod case;
mod cases;
mod disturb;
mod exact;
pub mod figure;
pub mod formulas;
pub mod judged;
pub mod table;

use crate::exit::usage;
use anyhow::Result;
use bench::TestBench;
use case::{Case, Selected, Trial};
use figure::Figure;
use judged::Judged;
use load::Strategy;
use load::protocol::{Driver, Mutation};
use std::path::Path;
use std::time::Instant;

/// How often a trial is run if the host was not quiet.
const ATTEMPTS: usize = 3;

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
    let mut bench = TestBench::new(root, options.mutation, options.tolerance_factor.max(1.0))?;
    let mut judged = Vec::new();
    for trial in &trials {
        judged.extend(attempts(&mut bench, trial, options.tolerance_factor)?);
    }
    Ok(judged)
}

/// Runs a trial; again if a figure is wrong and the host was not the trial's own.
fn attempts(bench: &mut TestBench, trial: &Trial, factor: f64) -> Result<Vec<Judged>> {
    let mut attempt = 1;
    loop {
        bench.forget();
        let start = Instant::now();
        let figures: Vec<Figure> = (trial.steps)(bench)?;
        let failed = figures.iter().filter(|figure| !figure.passes(factor)).count();
        let word =
            if failed == 0 { "ok".to_owned() } else { format!("{failed} of {} FAILED", figures.len()) };
        eprintln!(
            "{} {}{}, {}: {word} ({:.1} s)",
            trial.case,
            trial.strategy,
            trial.driver.map_or_else(String::new, |driver| format!(" {}", bench::driver_name(driver))),
            trial.setup,
            start.elapsed().as_secs_f64()
        );
        if failed > 0 {
            eprintln!("  its row: {}", bench.last());
        }
        // What a deliberate fault does to a figure is there at once.
        let again = failed > 0 && attempt < ATTEMPTS && trial.repeatable && !bench.has_mutation();
        match bench.disturbed() {
            Some(why) if again => {
                attempt += 1;
                eprintln!("  the host was not quiet ({why}): attempt {attempt} of {ATTEMPTS}");
            }
            why => {
                let why = why.map(str::to_owned);
                let judge = |figure| Judged::new(trial, figure, factor, attempt, why.clone());
                return Ok(figures.into_iter().map(judge).collect());
            }
        }
    }
}
