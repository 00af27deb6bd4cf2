//! Deviations: mismatches that a server's manifest declares, so that they are known and not hidden.

use super::findings::{Aspect, Gone, Mismatch};
use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One declared deviation: `[[deviation]]` in a `runtime.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    /// The cases that show it, or `["*"]` for a deviation that may show in any.
    pub cases: Vec<String>,
    /// What differs.
    pub aspect: Aspect,
    /// Why, for whoever reads the results.
    pub reason: String,
    /// Whether it shows in some replays only, as the outcome of a race does: then it may be absent.
    #[serde(default)]
    pub sometimes: bool,
}

impl Deviation {
    fn is_everywhere(&self) -> bool {
        self.cases == ["*"]
    }

    fn covers(&self, mismatch: &Mismatch) -> bool {
        self.aspect == mismatch.aspect && (self.is_everywhere() || self.cases.contains(&mismatch.case))
    }

    /// Checks that it names existing cases.
    pub(super) fn check(&self, known: &BTreeSet<&str>) -> Result<()> {
        ensure!(!self.cases.is_empty(), "a deviation in {} lists no cases", self.aspect);
        ensure!(!self.reason.trim().is_empty(), "a deviation in {} gives no reason", self.aspect);
        for case in self.cases.iter().filter(|_| !self.is_everywhere()) {
            if case == "*" {
                bail!("a deviation in {}: \"*\" stands alone", self.aspect);
            }
            ensure!(known.contains(case.as_str()), "a deviation in {}: no such case: {case}", self.aspect);
        }
        Ok(())
    }
}

/// The deviations as far as they are about these cases. One of every case may show in none of them.
pub(super) fn about(declared: &[Deviation], names: &[&str]) -> Vec<Deviation> {
    let about = |deviation: &Deviation| {
        let cases = deviation.cases.iter().filter(|case| *case == "*" || names.contains(&case.as_str()));
        let sometimes = deviation.sometimes || deviation.is_everywhere();
        Deviation { cases: cases.cloned().collect(), sometimes, ..deviation.clone() }
    };
    declared.iter().map(about).filter(|deviation| !deviation.cases.is_empty()).collect()
}

/// The deviations as far as they are about other cases.
pub(super) fn not_about(declared: &[Deviation], names: &[&str]) -> Vec<Deviation> {
    let about = |deviation: &Deviation| {
        let cases = deviation.cases.iter().filter(|case| !names.contains(&case.as_str()));
        Deviation { cases: cases.cloned().collect(), ..deviation.clone() }
    };
    declared.iter().map(about).filter(|deviation| !deviation.cases.is_empty()).collect()
}

/// Parts mismatches into (undeclared, declared).
pub(super) fn part(found: Vec<Mismatch>, declared: &[Deviation]) -> (Vec<Mismatch>, Vec<Mismatch>) {
    found.into_iter().partition(|mismatch| !declared.iter().any(|d| d.covers(mismatch)))
}

/// The declarations that nothing in `found` bears out. Cases that were not replayed count as not
/// showing it: a declaration for a case that a server skips is a mistake too.
pub(super) fn gone(found: &[Mismatch], declared: &[Deviation]) -> Vec<Gone> {
    let mut gone = Vec::new();
    for deviation in declared.iter().filter(|deviation| !deviation.sometimes) {
        for case in &deviation.cases {
            let shows = found
                .iter()
                .any(|m| m.aspect == deviation.aspect && (deviation.is_everywhere() || m.case == *case));
            if !shows {
                let (aspect, reason) = (deviation.aspect.clone(), deviation.reason.clone());
                gone.push(Gone { case: case.clone(), aspect, reason });
            }
        }
    }
    gone
}
