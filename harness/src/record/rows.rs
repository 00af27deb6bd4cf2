//! Which rows count: of a group that was run again, those of its last whole attempt.

use super::row::Row;
use std::collections::{BTreeMap, BTreeSet};

/// The rows that summaries and comparisons are made of: where a group was run again because the host
/// disturbed it, its last attempt that has a row of every server. An attempt that was cut short by the end
/// of the run counts only if there is no other.
pub fn counting(rows: &[Row]) -> Vec<Row> {
    let mut attempts: BTreeMap<_, BTreeMap<usize, BTreeSet<&str>>> = BTreeMap::new();
    for row in rows {
        attempts.entry(group(row)).or_default().entry(row.attempt).or_default().insert(&row.server);
    }
    let last_whole = |attempts: &BTreeMap<usize, BTreeSet<&str>>| {
        let all = attempts.values().map(BTreeSet::len).max();
        attempts.iter().rev().find(|(_, servers)| Some(servers.len()) == all).map(|(attempt, _)| *attempt)
    };
    let last: BTreeMap<_, _> =
        attempts.iter().map(|(group, attempts)| (group, last_whole(attempts))).collect();
    let mut counting = Vec::new();
    for row in rows {
        if last.get(&group(row)) == Some(&Some(row.attempt)) {
            counting.push(row.clone());
        }
    }
    counting
}

/// What the rows of one group in one block have in common. A ceiling stands for itself.
fn group(row: &Row) -> impl Ord + use<'_> {
    let bits = |value: Option<f64>| value.map(f64::to_bits);
    let work = (&row.strategy, &row.loop_kind, &row.arrival, row.requests, row.concurrency, row.connections);
    let times = (bits(row.duration_s), bits(row.warmup_s), bits(row.offered_rps));
    let condition = (row.processes, &row.interference);
    (row.block, row.role == "ceiling", &row.route, condition, work, times)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(server: &str, role: &str, route: &str, attempt: usize) -> Row {
        let (server, role, route) = (server.into(), role.into(), route.into());
        Row { block: 1, server, role, route, attempt, ..Row::default() }
    }

    fn contestant(server: &str, attempt: usize) -> Row {
        row(server, "contestant", "/a", attempt)
    }

    #[test]
    fn the_last_whole_attempt_counts_for_all_servers() {
        let first = [contestant("x", 1), contestant("y", 1)];
        let second = [contestant("y", 2), contestant("x", 2)];
        let other = [row("x", "contestant", "/b", 1), row("null", "ceiling", "/a", 1)];
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
    fn rows_from_before_there_were_attempts_all_count() {
        let old = [row("x", "", "/a", 0), row("y", "", "/a", 0)];
        assert_eq!(counting(&old), old);
    }
}
