//! Counted figures of two sides: ratios with the range of the repeats, and what a limit says of them.
//!
//! Counts repeat within a fraction of a per cent, so a range over a few repeats decides where timed figures need
//! blocks and a test. Where a figure has modes its range is wide, and a limit within it cannot be told.

use super::fail_on::{Finding, Limit};
use crate::exit::usage;
use crate::experiment::server::Role;
use crate::experiment::suggest;
use crate::record::column::columns;
use crate::record::counts::{COUNTS, CountRow, read_counts};
use anyhow::Result;
use std::path::Path;

/// Repeats that a side needs for a range that says anything.
const REPEATS_NEEDED: usize = 3;

/// A figure that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure(usize);

/// A figure of one side: over its repeats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    /// The median.
    pub median: f64,
    low: f64,
    high: f64,
}

type Read = fn(&CountRow) -> [Option<f64>; 3];

/// The short names, with the columns that they mean.
const FIGURES: [(&str, Read); 3] = [
    ("instructions", |r| {
        [r.instructions_per_request, r.instructions_per_request_min, r.instructions_per_request_max]
    }),
    ("allocations", |r| {
        [r.allocations_per_request, r.allocations_per_request_min, r.allocations_per_request_max]
    }),
    ("syscalls", |r| [r.syscalls_per_request, r.syscalls_per_request_min, r.syscalls_per_request_max]),
];

impl Figure {
    /// Instructions per request.
    pub const INSTRUCTIONS: Figure = Figure(0);

    /// Finds a figure by its short name.
    ///
    /// # Errors
    /// A usage error with the nearest names.
    pub fn find(name: &str) -> Result<Figure> {
        let found = suggest::find("counted figure", name, &FIGURES, |(known, _)| known)?;
        let place = FIGURES.iter().position(|(known, _)| *known == found.0);
        Ok(place.map_or(Figure::INSTRUCTIONS, Figure))
    }

    /// Returns the short name.
    pub fn name(self) -> &'static str {
        FIGURES[self.0].0
    }

    fn of(self, row: &CountRow) -> Option<Counts> {
        let [median, low, high] = FIGURES[self.0].1(row);
        Some(Counts { median: median?, low: low?, high: high? })
    }
}

/// A limit on a counted figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The limit.
    pub limit: Limit,
    /// The figure.
    pub figure: Figure,
}

impl Bound {
    /// Reads `FIGURE>+N%` or `FIGURE<-N%`.
    ///
    /// # Errors
    /// As of [`Limit::parse`], and for an unknown figure.
    pub fn parse(text: &str) -> Result<Bound> {
        let limit = Limit::parse(text)?;
        Ok(Bound { figure: Figure::find(&limit.name)?, limit })
    }

    /// Says whether one comparison is beyond the bound: the whole range of ratios, not its middle, and the sides
    /// apart.
    pub fn find(&self, one: &Counted<'_>) -> Finding {
        let (low, high) = one.range();
        if one.is_repeated() { self.limit.find(low, high, one.is_apart()) } else { Finding::Unknown }
    }

    /// Returns the worst finding; unknown if no cell has the figure.
    pub fn worst(&self, compared: &[Counted<'_>]) -> Finding {
        let of = compared.iter().filter(|one| one.figure == self.figure);
        of.map(|one| self.find(one)).max().unwrap_or(Finding::Unknown)
    }
}

/// One counted figure of one cell, B against A.
#[derive(Debug, Clone)]
pub struct Counted<'a> {
    /// The figure.
    pub figure: Figure,
    /// A's counts.
    pub a: Counts,
    /// B's counts.
    pub b: Counts,
    rows: [&'a CountRow; 2],
}

columns! {
    /// A counted comparison as a program reads it.
    #[derive(Debug, Clone, Default, PartialEq)]
    pub struct CountedRow {
        server: String, "", &[] => "B's server.";
        against: String, "", &[] => "A's server.";
        workload_id: String, "", &[] => "The workload, as in `counts.csv`.";
        figure: String, "", &[] => "`instructions`, `allocations` or `syscalls`, per request.";
        against_median: f64, "", &[] => "A's figure.";
        median: f64, "", &[] => "B's figure.";
        ratio: f64, "", &[] => "B's figure / A's.";
        ratio_low: f64, "", &[] => "The least of B's repeats / the largest of A's.";
        ratio_high: f64, "", &[] => "The largest of B's repeats / the least of A's.";
    }
    with {}
}

impl Counted<'_> {
    /// Returns B's median over A's.
    pub fn ratio(&self) -> f64 {
        over(self.b.median, self.a.median)
    }

    /// Returns the least and the largest ratio that any two repeats have.
    pub fn range(&self) -> (f64, f64) {
        (over(self.b.low, self.a.high), over(self.b.high, self.a.low))
    }

    /// Returns true if both sides were counted often enough for a range.
    pub fn is_repeated(&self) -> bool {
        self.rows.iter().all(|row| row.repeats >= REPEATS_NEEDED)
    }

    /// Returns true if the sides differ by more than the repeats of either do. Three repeats of each do not overlap
    /// once in ten times (2 / C(6, 3)) where there is no difference, however noisy they are.
    fn is_apart(&self) -> bool {
        let (low, high) = self.range();
        let spread = over(self.a.high, self.a.low).max(over(self.b.high, self.b.low));
        low > spread || over(1.0, high) > spread
    }

    /// Names the cell: its server, or both, and its workload.
    pub fn label(&self) -> String {
        let [a, b] = self.rows;
        let server =
            if a.server == b.server { a.server.clone() } else { format!("{} → {}", a.server, b.server) };
        format!("{server} {} @{}", a.route, a.connections)
    }

    /// Returns the comparison as a record.
    pub fn row(&self) -> CountedRow {
        let (low, high) = self.range();
        CountedRow {
            server: self.rows[1].server.clone(),
            against: self.rows[0].server.clone(),
            workload_id: self.rows[0].workload_id.clone(),
            figure: self.figure.name().to_owned(),
            against_median: self.a.median,
            median: self.b.median,
            ratio: self.ratio(),
            ratio_low: low,
            ratio_high: high,
        }
    }
}

/// Nothing is as much as nothing.
fn over(b: f64, a: f64) -> f64 {
    if a == b { 1.0 } else { b / a }
}

/// Reads both sides if they are counts, each `DIR` or `DIR:SERVER`; `None` if neither is.
///
/// # Errors
/// A usage error: only one is, only one names a server, or there is no such server.
pub fn sides(a: &str, b: &str) -> Result<Option<(Vec<CountRow>, Vec<CountRow>)>> {
    match (is_counted(a), is_counted(b)) {
        (None, None) => Ok(None),
        (Some((a_dir, a_server)), Some((b_dir, b_server))) if a_server.is_some() == b_server.is_some() => {
            if (a_dir, a_server) == (b_dir, b_server) {
                return Err(usage!(
                    "that is the same twice: give two directories, or two servers as {a_dir}:SERVER"
                ));
            }
            Ok(Some((read(a_dir, a_server)?, read(b_dir, b_server)?)))
        }
        (Some(_), Some(_)) => Err(usage!("give both sides a server, or none: {a} and {b}")),
        _ => {
            Err(usage!("only one of {a} and {b} has a {COUNTS}: counted and timed figures are not compared"))
        }
    }
}

/// The directory and the server of a side that is counted.
fn is_counted(text: &str) -> Option<(&str, Option<&str>)> {
    let has = |dir: &str| Path::new(dir).join(COUNTS).is_file();
    match text.rsplit_once(':') {
        _ if has(text) => Some((text, None)),
        Some((dir, server)) if has(dir) => Some((dir, Some(server))),
        _ => None,
    }
}

fn read(dir: &str, server: Option<&str>) -> Result<Vec<CountRow>> {
    let mut rows = read_counts(Path::new(dir))?;
    match server {
        Some(server) => {
            let mut names: Vec<String> = rows.iter().map(|row| row.server.clone()).collect();
            names.dedup();
            suggest::find("server", server, &names, |name| name)?;
            rows.retain(|row| row.server == server);
            // One server on each side: its name is no part of what is compared.
        }
        None => rows.retain(|row| row.role == Role::Contestant.name()),
    }
    Ok(rows)
}

/// Compares each workload that both sides have, of the same server or of the one on each side.
pub fn compare<'a>(a: &'a [CountRow], b: &'a [CountRow], figures: &[Figure]) -> Vec<Counted<'a>> {
    let servers =
        |rows: &[CountRow]| rows.first().filter(|f| rows.iter().all(|r| r.server == f.server)).is_some();
    let pairwise = servers(a) && servers(b);
    let mut compared = Vec::new();
    for a in a {
        let is_same = |b: &&CountRow| b.workload_id == a.workload_id && (pairwise || b.server == a.server);
        let Some(b) = b.iter().find(is_same) else { continue };
        for &figure in figures {
            if let (Some(of_a), Some(of_b)) = (figure.of(a), figure.of(b)) {
                compared.push(Counted { figure, a: of_a, b: of_b, rows: [a, b] });
            }
        }
    }
    compared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(server: &str, instructions: f64, spread: f64) -> CountRow {
        CountRow {
            server: server.into(),
            role: "contestant".into(),
            workload_id: "w1".into(),
            repeats: 3,
            instructions_per_request: Some(instructions),
            instructions_per_request_min: Some(instructions * (1.0 - spread)),
            instructions_per_request_max: Some(instructions * (1.0 + spread)),
            ..CountRow::default()
        }
    }

    fn found(text: &str, a: &CountRow, b: &CountRow) -> Finding {
        let (a, b) = ([a.clone()], [b.clone()]);
        let bound = Bound::parse(text).expect("valid");
        bound.worst(&compare(&a, &b, &[bound.figure]))
    }

    #[test]
    fn a_limit_is_kept_broken_or_unknown() {
        let base = row("s", 10_000.0, 0.001);
        assert_eq!(found("instructions>+1%", &base, &row("s", 10_000.0, 0.001)), Finding::Kept);
        assert_eq!(found("instructions>+1%", &base, &row("s", 10_200.0, 0.001)), Finding::Broken);
        assert_eq!(found("instructions>+1%", &base, &row("s", 10_110.0, 0.001)), Finding::Unknown);
        // No repeat of one is in the range of the other, by luck: they are no further apart than repeats of one are.
        let noisy = |instructions| row("s", instructions, 0.05);
        assert_eq!(found("instructions>+1%", &noisy(10_000.0), &noisy(11_500.0)), Finding::Unknown);
        assert_eq!(found("instructions<-1%", &noisy(11_500.0), &noisy(10_000.0)), Finding::Unknown);
        assert_eq!(found("instructions>+1%", &noisy(10_000.0), &noisy(12_500.0)), Finding::Broken);
        assert_eq!(found("instructions<-1%", &noisy(12_500.0), &noisy(10_000.0)), Finding::Broken);
        // Two modes.
        assert_eq!(found("instructions>+1%", &base, &row("s", 10_200.0, 0.15)), Finding::Unknown);
        let once = CountRow { repeats: 1, ..row("s", 10_200.0, 0.0) };
        assert_eq!(found("instructions>+1%", &base, &once), Finding::Unknown);
        assert_eq!(found("syscalls>+1%", &base, &base), Finding::Unknown);
        assert!(Bound::parse("cpu>+1%").is_err());
    }

    #[test]
    fn cells_belong_together_by_server_and_workload() {
        let (one, two) = (row("one", 100.0, 0.0), row("two", 50.0, 0.0));
        let all = |a: &[CountRow], b: &[CountRow]| compare(a, b, &[Figure::INSTRUCTIONS]).len();
        assert_eq!(all(&[one.clone(), two.clone()], &[two.clone(), one.clone()]), 2);
        // A server on each side, whatever their names.
        assert_eq!(all(std::slice::from_ref(&one), std::slice::from_ref(&two)), 1);
        let other = CountRow { workload_id: "w2".into(), ..one.clone() };
        assert_eq!(all(&[one], &[other]), 0);
    }
}
