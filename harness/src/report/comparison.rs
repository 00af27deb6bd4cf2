//! The table of `harness compare`, and its CSV.

use super::drawing::{Format, drawn};
use super::figures;
use crate::analysis::comparison::Compared;
use crate::analysis::counted::{Bound, Counted, CountedRow};
use crate::analysis::fail_on::Finding;
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

/// Draws a row per cell and counted figure.
pub fn counted(compared: &[Counted<'_>], format: Format) -> String {
    let header = ["cell", "figure", "A", "B", "B/A", "of the repeats"].map(str::to_owned);
    let row = |one: &Counted<'_>| {
        let [a, b] = [one.a, one.b].map(|value| format!("{:.1}", value.median));
        let (low, high) = one.range();
        let range = format!("{low:.4}–{high:.4}");
        vec![one.label(), one.figure.name().to_owned(), a, b, format!("{:.4}", one.ratio()), range]
    };
    drawn(header.to_vec(), compared.iter().map(row).collect(), 2..6, format)
}

/// Writes the same as CSV.
///
/// # Errors
/// None that a comparison could have.
pub fn counted_csv(compared: &[Counted<'_>]) -> Result<Vec<u8>> {
    let rows: Vec<CountedRow> = compared.iter().map(Counted::row).collect();
    Ok(csv::file(&csv::fields::<CountedRow>(), &rows)?)
}

/// Returns a line for each cell where a limit on a counted figure is not kept, or one that says how many keep it.
pub fn limit(bound: &Bound, compared: &[Counted<'_>]) -> Vec<String> {
    let text = &bound.limit.text;
    let of: Vec<&Counted<'_>> = compared.iter().filter(|one| one.figure == bound.figure).collect();
    if of.is_empty() {
        return vec![format!("CANNOT TELL  {text}: no cell has it on both sides")];
    }
    let mut lines = Vec::new();
    for one in &of {
        let said = match bound.find(one) {
            Finding::Kept => continue,
            Finding::Broken => "FAILED      ",
            Finding::Unknown => "CANNOT TELL ",
        };
        let ((low, high), few) = (one.range(), if one.is_repeated() { "" } else { ", too few repeats" });
        lines.push(format!(
            "{said} {text}: {}: B/A {:.4} [{low:.4}–{high:.4}]{few}",
            one.label(),
            one.ratio()
        ));
    }
    if lines.is_empty() {
        lines.push(format!("KEPT         {text}: in each of {} cells", of.len()));
    }
    lines
}
