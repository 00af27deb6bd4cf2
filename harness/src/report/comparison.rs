//! The table of `harness compare`, and its CSV.

use super::drawing::{Format, drawn};
use super::figures;
use crate::analysis::comparison::Compared;
use crate::analysis::pairs::{self, Pair};
use crate::record::csv;
use anyhow::Result;

/// Draws a row per cell and metric.
pub fn table(compared: &[Compared<'_>], format: Format) -> String {
    let header = ["cell", "figure", "A", "B", "B/A [95%]", "p", "could have told", "B is"].map(str::to_owned);
    let row = |Compared { cell, pair }: &Compared<'_>| {
        let shown = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let value = |value: Option<f64>| shown(value.map(|value| figures::of(pair.metric, value)));
        vec![
            cell.label(),
            pair.metric.column().to_owned(),
            value(pair.against_median),
            value(pair.median),
            shown(pair.ratio.map(|ratio| figures::ratio(ratio, pair.interval()))),
            shown(pair.p_step_down.map(|p| format!("{p:.4}"))),
            shown(pair.mde.map(figures::percent)),
            pair.verdict.clone(),
        ]
    };
    drawn(header.to_vec(), compared.iter().map(row).collect(), 2..7, format)
}

/// Writes the same as CSV, with the columns of `pairs.csv`: `server` is B's, `against` A's.
///
/// # Errors
/// None that a comparison could have.
pub fn csv(compared: &[Compared<'_>]) -> Result<Vec<u8>> {
    let pairs: Vec<Pair> = compared.iter().map(|one| one.pair.clone()).collect();
    let factors = csv::factor_names(pairs.iter().map(|pair| &pair.row));
    Ok(csv::file(&pairs::fields(&factors), &pairs)?)
}
