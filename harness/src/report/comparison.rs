//! The table of `harness compare`, and its CSV.

use super::drawing::{Format, drawn};
use super::figures;
use crate::analysis::comparison::Compared;
use crate::analysis::pairs::{self, Pair};
use crate::record::csv;
use anyhow::Result;

/// One row per cell and metric.
pub fn table(compared: &[Compared<'_>], format: Format) -> String {
    let header = ["cell", "figure", "A", "B", "B/A [95%]", "Holm p", "B is"].map(str::to_owned);
    let value = |one: &Compared<'_>, value: Option<f64>| {
        value.map_or_else(|| "-".to_owned(), |value| figures::of(one.metric, value))
    };
    let row = |one: &Compared<'_>| {
        let judged = one.judged.as_ref();
        let estimate = judged.map(|j| figures::ratio(j.paired.estimate, j.paired.interval_95));
        vec![
            one.cell.label(),
            one.metric.column().to_owned(),
            value(one, one.a),
            value(one, one.b),
            estimate.unwrap_or_else(|| "-".to_owned()),
            judged.map_or_else(|| "-".to_owned(), |j| format!("{:.4}", j.p_holm)),
            one.word().to_owned(),
        ]
    };
    drawn(header.to_vec(), compared.iter().map(row).collect(), 2..6, format)
}

/// The same as CSV, with the columns of `pairs.csv`: `server` is B's, `against` A's.
///
/// # Errors
/// None that a comparison could have.
pub fn csv(compared: &[Compared<'_>]) -> Result<Vec<u8>> {
    let pairs: Vec<Pair> = compared.iter().map(Compared::pair).collect();
    let factors = csv::factor_names(pairs.iter().map(|pair| &pair.row));
    Ok(csv::file(&pairs::fields(&factors), &pairs)?)
}
