//! K13: instructions that the oracle is known to execute.

use super::super::case::{Case, Trials};
use super::super::figure::Figure;
use super::super::formulas::slope;
use crate::count::instrument;
use load::Strategy;

/// More instructions a request than an oracle without them.
const MORE: [u32; 3] = [0, 20_000, 100_000];

pub(super) fn add(trials: &mut Trials<'_>) {
    let setup = "0, 20 000, 100 000 instructions a request";
    trials.add(Case::K13, setup, Strategy::ClosedLoop, |bench, _| {
        let mut points = Vec::new();
        for more in MORE {
            let instructions = bench.instructions(&format!("--instructions {more}"))?;
            points.push((f64::from(more), instructions));
        }
        let slope = slope(&points);
        Ok(vec![Figure::near("instructions_per_request, slope", "", 1.0, slope, 0.005, 0.0)])
    });
    if !instrument::has_valgrind() {
        let counted = trials.list.iter_mut().filter(|trial| trial.case == Case::K13);
        counted.for_each(|trial| trial.not_asked = Some("valgrind is not installed"));
    }
}
