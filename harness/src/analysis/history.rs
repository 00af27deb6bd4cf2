//! Counts of one server over the releases of a crate: at which one a request's instructions changed, and in which
//! functions.

use crate::experiment::version::MARK;
use crate::record::counts::{CountRow, FunctionRow};
use semver::Version;
use std::collections::{BTreeMap, BTreeSet};

/// The least change that is spoken of, as a part of what it was.
const CHANGE: f64 = 0.01;
/// The functions that are named of a change.
const FUNCTIONS: usize = 5;
/// Fewer releases are no history.
const RELEASES: usize = 3;

/// The releases of one crate, in one server.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// The server and the crate, as in `tokio-current@` or `smol@async-io=`.
    pub name: String,
    /// The releases, the oldest first.
    pub releases: Vec<Version>,
    /// What was counted of them.
    pub courses: Vec<Course>,
}

/// A workload over the releases.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// The path and query of the requests.
    pub route: String,
    /// Connections that each have one request in flight.
    pub connections: usize,
    /// Instructions per request at each release of the history; `None` where there is no count.
    pub instructions: Vec<Option<f64>>,
    /// Where they changed by more than 1%, and by more than the repeats differ.
    pub changes: Vec<Change>,
}

/// A release at which instructions changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The release.
    pub release: Version,
    /// The one before it that was counted.
    pub before: Version,
    /// Instructions now / before.
    pub ratio: f64,
    /// The functions that changed most, and by how many instructions.
    pub functions: Vec<(String, f64)>,
}

/// Returns the histories among the rows of a count.
pub fn histories(counts: &[CountRow], functions: &[FunctionRow]) -> Vec<History> {
    let mut series: BTreeMap<&str, BTreeSet<Version>> = BTreeMap::new();
    for (name, version) in counts.iter().filter_map(|row| versioned(&row.server)) {
        series.entry(name).or_default().insert(version);
    }
    let enough = series.into_iter().filter(|(_, releases)| releases.len() >= RELEASES);
    enough.map(|(name, releases)| history(name, releases.into_iter().collect(), counts, functions)).collect()
}

/// Splits `tokio-current@1.50.0` into what stays the same over releases and the release.
fn versioned(server: &str) -> Option<(&str, Version)> {
    server.find(MARK)?;
    let at = server.rfind([MARK, '='])? + 1;
    Some((&server[..at], server[at..].parse().ok()?))
}

fn history(name: &str, releases: Vec<Version>, counts: &[CountRow], functions: &[FunctionRow]) -> History {
    let is_of = |row: &&CountRow| versioned(&row.server).is_some_and(|(its, _)| its == name);
    let mut workloads: Vec<(&str, usize)> = Vec::new();
    for row in counts.iter().filter(is_of) {
        if !workloads.contains(&(&row.route, row.connections)) {
            workloads.push((&row.route, row.connections));
        }
    }
    let course = |(route, connections): (&str, usize)| {
        let row_of = |release: &Version| {
            let server = format!("{name}{release}");
            let is = |row: &&CountRow| {
                row.server == server && row.route == route && row.connections == connections
            };
            counts.iter().find(is).filter(|row| row.instructions_per_request.is_some())
        };
        let rows: Vec<(&Version, Option<&CountRow>)> =
            releases.iter().map(|release| (release, row_of(release))).collect();
        let counted: Vec<(&Version, &CountRow)> =
            rows.iter().filter_map(|(release, row)| Some((*release, (*row)?))).collect();
        let changes = counted.windows(2).enumerate().filter_map(|(at, pair)| {
            let [(before, was), (release, is)] = pair else { return None };
            let ratio = is.instructions_per_request? / was.instructions_per_request?;
            // Of a few repeats all may happen to be in one of several modes: then only what lasts is a change.
            let has_modes = !(was.modes.is_empty() && is.modes.is_empty());
            let (earlier, later) = counted.split_at(at + 1);
            let lasts = || {
                earlier.iter().all(|(_, row)| are_apart(row, is))
                    && later.iter().all(|(_, row)| are_apart(row, was))
            };
            let is_change = (ratio - 1.0).abs() > CHANGE && are_apart(was, is) && (!has_modes || lasts());
            is_change.then(|| Change {
                release: (*release).clone(),
                before: (*before).clone(),
                ratio,
                functions: differences(was, is, functions),
            })
        });
        Course {
            route: route.to_owned(),
            connections,
            instructions: rows.iter().map(|(_, row)| row.and_then(|r| r.instructions_per_request)).collect(),
            changes: changes.collect(),
        }
    };
    History { name: name.to_owned(), courses: workloads.into_iter().map(course).collect(), releases }
}

/// Whether no repeat of one row lies within the range of the other.
fn are_apart(a: &CountRow, b: &CountRow) -> bool {
    let above = |low: &CountRow, high: &CountRow| {
        let ends = low.instructions_per_request_max.zip(high.instructions_per_request_min);
        ends.is_some_and(|(most, least)| least > most)
    };
    above(a, b) || above(b, a)
}

/// The functions whose instructions differ most between two rows.
fn differences(was: &CountRow, is: &CountRow, functions: &[FunctionRow]) -> Vec<(String, f64)> {
    let mut by: BTreeMap<&str, f64> = BTreeMap::new();
    for (row, sign) in [(is, 1.0), (was, -1.0)] {
        let its = |f: &&FunctionRow| f.server == row.server && f.workload_id == row.workload_id;
        for function in functions.iter().filter(its) {
            *by.entry(&function.function).or_default() += sign * function.instructions_per_request;
        }
    }
    let mut by: Vec<(String, f64)> = by.into_iter().map(|(name, by)| (name.to_owned(), by)).collect();
    by.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    by.truncate(FUNCTIONS);
    by
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(server: &str, instructions: Option<f64>) -> CountRow {
        CountRow {
            server: server.into(),
            route: "/plaintext".into(),
            connections: 1,
            workload_id: "w".into(),
            instructions_per_request: instructions,
            instructions_per_request_min: instructions.map(|n| n * 0.999),
            instructions_per_request_max: instructions.map(|n| n * 1.001),
            ..CountRow::default()
        }
    }

    fn function(server: &str, function: &str, instructions_per_request: f64) -> FunctionRow {
        let (server, function) = (server.into(), function.into());
        FunctionRow {
            server,
            workload_id: "w".into(),
            function,
            instructions_per_request,
            ..Default::default()
        }
    }

    #[test]
    fn a_change_is_found_at_its_release_and_in_its_functions() {
        let counts = [
            row("smol", Some(1.0)),
            row("t@1.10.0", Some(1004.0)),
            row("t@1.9.1", Some(1000.0)),
            row("t@1.11.0", None),
            row("t@1.12.0", Some(900.0)),
            row("t@x=1.0.0", Some(5.0)),
        ];
        let functions = [
            function("t@1.10.0", "poll", 600.0),
            function("t@1.12.0", "poll", 480.0),
            function("t@1.10.0", "wake", 100.0),
            function("t@1.12.0", "wake_all", 116.0),
        ];
        let found = histories(&counts, &functions);
        assert_eq!(found.len(), 1, "a server alone, and one release of x, are no histories");
        let history = &found[0];
        let releases: Vec<String> = history.releases.iter().map(Version::to_string).collect();
        assert_eq!((&*history.name, releases.join(" ")), ("t@", "1.9.1 1.10.0 1.11.0 1.12.0".into()));
        let [course] = history.courses.as_slice() else { panic!("{:?}", history.courses) };
        assert_eq!(course.instructions, [Some(1000.0), Some(1004.0), None, Some(900.0)]);
        let [change] = course.changes.as_slice() else { panic!("{:?}", course.changes) };
        assert_eq!((change.before.minor, change.release.minor), (10, 12));
        let functions: Vec<(&str, f64)> = change.functions.iter().map(|(name, by)| (&**name, *by)).collect();
        assert_eq!(functions, [("poll", -120.0), ("wake_all", 116.0), ("wake", -100.0)]);
    }

    #[test]
    fn of_several_modes_only_what_lasts_is_a_change() {
        let ranged = |server: &str, low: f64, high: f64, modes: &str| CountRow {
            instructions_per_request_min: Some(low),
            instructions_per_request_max: Some(high),
            modes: modes.into(),
            ..row(server, Some(high))
        };
        // The repeats of the second happen to be in the upper mode of the first and the third.
        let mut counts = vec![
            ranged("t@1.0.0", 1000.0, 1100.0, ""),
            ranged("t@1.1.0", 2000.0, 2100.0, "2000 or 2100"),
            ranged("t@1.2.0", 1050.0, 2050.0, "1050 or 2050"),
        ];
        let told = |counts: &[CountRow]| -> Vec<u64> {
            let found = histories(counts, &[]);
            found[0].courses[0].changes.iter().map(|change| change.release.minor).collect()
        };
        assert!(told(&counts).is_empty());
        counts.push(ranged("t@1.3.0", 4000.0, 4500.0, "4000 or 4500"));
        counts.push(ranged("t@1.4.0", 3900.0, 4600.0, "3900 or 4600"));
        assert_eq!(told(&counts), [3]);
    }
}
