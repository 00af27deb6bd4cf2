//! Which rows count, and which of them are compared: those of the same workload, and no others.

use super::row::Row;
use std::collections::{BTreeMap, BTreeSet};

/// The rows of each workload, in the order of tables: by the least number that it has in an experiment, then
/// by its words. Whatever two rows have in common otherwise, their workload's id decides.
pub fn by_workload<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<Vec<&'a Row>> {
    let mut workloads: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        workloads.entry(&row.workload_id).or_default().push(row);
    }
    let mut workloads: Vec<Vec<&Row>> = workloads.into_values().collect();
    // Of two that are alike the order is that of their ids.
    let place = |rows: &[&'a Row]| (rows.iter().map(|row| row.workload_no).min(), &rows[0].workload);
    workloads.sort_by(|a, b| place(a).cmp(&place(b)));
    workloads
}

/// The places of the workloads in [`by_workload`], by their ids.
pub fn places<'a>(rows: impl IntoIterator<Item = &'a Row>) -> BTreeMap<&'a str, usize> {
    by_workload(rows).iter().enumerate().map(|(place, rows)| (rows[0].workload_id.as_str(), place)).collect()
}

/// The ids of the groups in which levels of a factor are compared: a server has several workloads there.
pub fn groups_of_levels(rows: &[Row]) -> BTreeSet<&str> {
    let mut workloads: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let several = rows.iter().filter(|row| {
        *workloads.entry((&row.group_id, &row.server)).or_insert(&row.workload_id) != row.workload_id
    });
    several.map(|row| row.group_id.as_str()).collect()
}

/// Whether the row is a step of a search, which looks for a rate and is no measurement of its own.
pub fn is_trial(row: &Row) -> bool {
    row.search_passed.is_some()
}

/// The rows that summaries and comparisons are made of, which trials are not: where a group was run again
/// because the host disturbed it, its last attempt that has a row of every cell. An attempt that was cut
/// short by the end of the run counts only if there is no other.
pub fn counting(rows: &[Row]) -> Vec<Row> {
    let levels = groups_of_levels(rows);
    // A ceiling is run for itself, and so are the levels of each server.
    let group = |row: &Row| {
        let server = levels.contains(row.group_id.as_str()).then(|| row.server.clone());
        (row.block, row.role == "ceiling", row.group_id.clone(), server)
    };
    let rows = || rows.iter().filter(|row| !is_trial(row));
    let mut attempts: BTreeMap<_, BTreeMap<usize, BTreeSet<(&str, &str)>>> = BTreeMap::new();
    for row in rows() {
        let cells = attempts.entry(group(row)).or_default().entry(row.attempt).or_default();
        cells.insert((&row.server, &row.workload_id));
    }
    let counts = |row: &&Row| {
        let attempts = &attempts[&group(row)];
        let all = attempts.values().map(BTreeSet::len).max();
        let whole = attempts.iter().rev().find(|(_, cells)| Some(cells.len()) == all);
        whole.is_some_and(|(attempt, _)| *attempt == row.attempt)
    };
    rows().filter(counts).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(server: &str, role: &str, workload: &str, attempt: usize) -> Row {
        let (server, role) = (server.into(), role.into());
        let (workload_id, group_id) = (workload.into(), workload.into());
        Row { block: 1, server, role, workload_id, group_id, attempt, ..Row::default() }
    }

    fn contestant(server: &str, attempt: usize) -> Row {
        row(server, "contestant", "a", attempt)
    }

    #[test]
    fn the_last_whole_attempt_counts_for_all_servers() {
        let first = [contestant("x", 1), contestant("y", 1)];
        let second = [contestant("y", 2), contestant("x", 2)];
        let other = [row("x", "contestant", "b", 1), row("ceiling", "ceiling", "a", 1)];
        assert_eq!(counting(&first), first);
        assert_eq!(counting(&[&first[..], &second, &other].concat()), [&second[..], &other].concat());
    }

    #[test]
    fn an_attempt_that_was_cut_short_does_not_replace_a_whole_one() {
        let first = [contestant("x", 1), contestant("y", 1)];
        assert_eq!(counting(&[&first[..], &[contestant("y", 2)]].concat()), first);
        assert_eq!(counting(&first[..1]), first[..1]);
        let next_block = Row { block: 2, ..contestant("y", 1) };
        assert_eq!(counting(&[&first[..], &[next_block]].concat()).len(), 3);
    }

    #[test]
    fn levels_of_a_factor_are_run_again_server_by_server() {
        let level = |server: &str, workload: &str, attempt| Row {
            workload_id: workload.into(),
            ..contestant(server, attempt)
        };
        let first = ["x", "y"].map(|server| [level(server, "a", 1), level(server, "b", 1)]).concat();
        let again = [level("x", "b", 2), level("x", "a", 2)];
        let cut = [level("y", "b", 2)];
        assert_eq!(groups_of_levels(&first), BTreeSet::from(["a"]));
        assert_eq!(counting(&[&first[..], &again, &cut].concat()), [&first[2..], &again].concat());
        assert_eq!(groups_of_levels(&[contestant("x", 1), contestant("y", 1)]), BTreeSet::new());
    }

    #[test]
    fn rows_from_before_there_were_attempts_all_count_and_trials_never() {
        let old = [row("x", "", "a", 0), row("y", "", "a", 0)];
        assert_eq!(counting(&old), old);
        let trial = Row { search_passed: Some(true), ..contestant("x", 1) };
        assert_eq!(counting(&[trial, contestant("x", 1)]), [contestant("x", 1)]);
    }

    #[test]
    fn workloads_are_in_the_order_of_their_numbers_and_labels() {
        let of = |id: &str, workload: &str, workload_no| Row {
            workload_id: id.into(),
            workload: workload.into(),
            workload_no,
            ..Row::default()
        };
        let rows = [of("1", "z", 2), of("2", "y", 1), of("3", "x", 2), of("1", "z", 9), of("2", "y", 3)];
        let ids: Vec<&str> = by_workload(&rows).iter().map(|rows| rows[0].workload_id.as_str()).collect();
        assert_eq!(ids, ["2", "3", "1"]);
        assert_eq!((places(&rows)["2"], places(&rows)["1"]), (0, 2));
    }
}
