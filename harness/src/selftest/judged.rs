//! A figure and the trial it is of, as tables show them.

use super::attempt::Outcome;
use super::bench::driver_name;
use super::case::Trial;
use super::figure::Figure;
use super::noise::Noise;
use serde::Serialize;

/// A figure with the trial it is of, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// The case, K1 to K13.
    pub case: String,
    /// What the server does, and what the client.
    pub set_up: String,
    /// The client strategy.
    pub strategy: String,
    /// The load engine's system interface; empty for the other strategies.
    pub driver: String,
    /// The figure's name.
    pub figure: String,
    /// Its unit.
    pub unit: String,
    /// What it should be.
    pub expected: String,
    /// What it was; empty if nothing was measured.
    pub measured: String,
    /// How far they may be apart.
    pub tolerance: String,
    /// Whether they are no further apart.
    pub passed: bool,
    /// Whether they are further apart, as the noise of the host explains: neither a pass nor a failure.
    pub cannot_tell: bool,
    /// How often the trial was run because the host was not quiet.
    pub attempts: usize,
    /// The noise of the last attempt: steal, others, run delay, the generator's lateness. Empty if the host was quiet.
    pub disturbed: String,
}

impl Judged {
    /// The figure of a trial that took so many attempts.
    pub(super) fn new(
        trial: &Trial,
        figure: Figure,
        factor: f64,
        attempts: usize,
        outcome: Outcome,
        noise: &Noise,
    ) -> Judged {
        Judged {
            case: trial.case.to_string(),
            set_up: trial.setup.clone(),
            strategy: trial.strategy.name().to_owned(),
            driver: trial.driver.map_or("", driver_name).to_owned(),
            passed: outcome == Outcome::Passed,
            cannot_tell: outcome == Outcome::CannotTell,
            figure: figure.name.clone(),
            unit: figure.unit.to_owned(),
            expected: figure.expected.to_string(),
            measured: figure.measured.to_string(),
            tolerance: figure.tolerance(factor),
            attempts,
            disturbed: noise.disturbed.as_ref().map_or_else(String::new, |_| noise.to_string()),
        }
    }
}
