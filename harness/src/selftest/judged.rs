//! A figure and the trial it is of, as tables show them.

use super::bench::driver_name;
use super::case::Trial;
use super::figure::Figure;
use serde::Serialize;

/// A figure with the trial it is of, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// The case, K1 to K12.
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
    /// How often the trial was run because the host was not quiet.
    pub attempts: usize,
    /// What disturbed the last attempt; empty if nothing did.
    pub disturbed: String,
}

impl Judged {
    /// The figure of a trial that took so many attempts.
    pub(super) fn new(
        trial: &Trial,
        figure: Figure,
        factor: f64,
        attempts: usize,
        disturbed: Option<String>,
    ) -> Judged {
        Judged {
            case: trial.case.to_string(),
            set_up: trial.setup.clone(),
            strategy: trial.strategy.name().to_owned(),
            driver: trial.driver.map_or("", driver_name).to_owned(),
            passed: figure.passes(factor),
            figure: figure.name.clone(),
            unit: figure.unit.to_owned(),
            expected: figure.expected.to_string(),
            measured: figure.measured.to_string(),
            tolerance: figure.tolerance(factor),
            attempts,
            disturbed: disturbed.unwrap_or_default(),
        }
    }
}
