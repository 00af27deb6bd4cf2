//! The finding on each `--fail-on`, in lines that name the cells.

use super::figures;
use crate::analysis::comparison::Compared;
use crate::analysis::fail_on::{Bound, Finding, worst};

/// Returns a line for each cell where the bound is not kept, or one that says how many keep it. `found` are the
/// bound's findings.
pub fn lines(bound: &Bound, found: &[(Finding, &Compared<'_>)]) -> Vec<String> {
    if found.is_empty() {
        return vec![format!(
            "CANNOT TELL  {}: no cell has {} on either side",
            bound.limit.text, bound.asked.name
        )];
    }
    let mut lines = Vec::new();
    for (finding, one) in found.iter().filter(|(finding, _)| *finding != Finding::Kept) {
        let said = if *finding == Finding::Broken { "FAILED      " } else { "CANNOT TELL " };
        let pair = &one.pair;
        let why = match (pair.ratio, pair.p_step_down) {
            (Some(ratio), Some(p)) => format!(
                "B/A {}, p {p:.4}{}",
                figures::ratio(ratio, pair.interval()),
                if pair.interval().is_none() { ", too few blocks for an interval" } else { "" },
            ),
            _ => "only one side has it, or no block has both".to_owned(),
        };
        lines.push(format!(
            "{said} {}: {} on {}: {why}",
            bound.limit.text,
            pair.metric.column(),
            one.cell.label()
        ));
    }
    if worst(found) == Finding::Kept {
        lines.push(format!("KEPT         {}: in each of {} cells", bound.limit.text, found.len()));
    }
    lines
}
