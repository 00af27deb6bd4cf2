//! What counts where servers took turns: the mean over the rounds, unless slices are not neutral to a server. Then
//! its continuous windows count.

use super::metric::Metric;
use super::usable::usable;
use crate::record::row::{Row, round};
use crate::record::slices::{SLICE, SliceRow};
use stats::difference::{ALPHA, BLOCKS_NEEDED, DELTA_FLOOR};
use stats::modes::{Modes, modes};
use stats::{median, paired};
use std::collections::BTreeMap;

/// Modes that are closer, as a ratio, are nothing to act on.
const LEAST_APART: f64 = 1.1;

/// Where a figure is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The slices, or the whole time where nobody took turns.
    Slices,
    /// The continuous windows.
    Continuous,
}

/// The figures of slices, by the metric: the mean over the rounds, and that of the continuous window.
fn of_turns(row: &Row, metric: Metric) -> Option<[Option<f64>; 2]> {
    let known = |by_round: Option<f64>, continuous: Option<f64>| {
        (row.rounds.is_some() && by_round.is_some()).then_some([by_round, continuous])
    };
    match metric {
        // What an open loop answers is its schedule's, and each piece has one of its own.
        Metric::THROUGHPUT if row.loop_kind == "open" => None,
        Metric::THROUGHPUT => known(row.throughput_by_round_rps, row.throughput_continuous_rps),
        Metric::CPU => {
            known(row.server_cpu_by_round_us_per_request, row.server_cpu_continuous_us_per_request)
        }
        _ => None,
    }
}

/// Returns a row's figure.
pub fn value(row: &Row, metric: Metric, basis: Basis) -> Option<f64> {
    match of_turns(row, metric) {
        None => metric.of(row),
        Some([by_round, continuous]) => {
            if basis == Basis::Slices {
                by_round
            } else {
                continuous
            }
        }
    }
}

/// Returns ln(slices / continuous window) of each block of a cell that has both.
fn log_ratios(rows: &[&Row], metric: Metric) -> Vec<f64> {
    usable(rows, metric.figure())
        .rows
        .into_iter()
        .filter_map(|row| {
            let [by_round, continuous] = of_turns(row, metric)?;
            Some((by_round? / continuous?).ln()).filter(|log| log.is_finite())
        })
        .collect()
}

/// Returns what counts of a cell: its continuous windows if slices differ from them by more than 2% in the median
/// block, and the sign-flip test over the blocks says that this is no chance.
pub fn basis(rows: &[&Row], metric: Metric) -> Basis {
    let logs = log_ratios(rows, metric);
    let differ = logs.len() >= BLOCKS_NEEDED
        && median(&logs).is_some_and(|log| log.abs() > DELTA_FLOOR.ln_1p())
        && paired::exact(&logs).is_some_and(|p| p < ALPHA);
    if differ { Basis::Continuous } else { Basis::Slices }
}

/// Returns slices / continuous window, the median over the blocks; `None` where nobody took turns.
pub fn ratio(rows: &[&Row], metric: Metric) -> Option<f64> {
    median(&log_ratios(rows, metric)).map(|log| round(log.exp(), 4))
}

/// Returns the rows with the figures that count in the columns of the metrics, cell by cell.
pub fn with_what_counts(rows: &[Row]) -> Vec<Row> {
    let mut cells: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.rounds.is_some()) {
        cells.entry((&row.server, &row.workload_id)).or_default().push(row);
    }
    let of_cells: BTreeMap<(&str, &str), [Basis; 2]> = cells
        .into_iter()
        .map(|(cell, rows)| (cell, [Metric::THROUGHPUT, Metric::CPU].map(|metric| basis(&rows, metric))))
        .collect();
    let counted = |row: &Row| {
        let Some([throughput, cpu]) = of_cells.get(&(&*row.server, &*row.workload_id)) else {
            return row.clone();
        };
        Row {
            throughput_rps: value(row, Metric::THROUGHPUT, *throughput),
            server_cpu_us_per_request: value(row, Metric::CPU, *cpu),
            ..row.clone()
        }
    };
    rows.iter().map(counted).collect()
}

/// Returns the two modes of the CPU time per request over the slices of a cell, in µs, if it has two. What all servers
/// of a round have in common is taken off each slice first: a machine that is slower for a while is no mode of theirs.
pub fn cpu_modes(slices: &[SliceRow], rows: &[&Row]) -> Option<Modes> {
    let first = rows.first()?;
    let counts =
        |slice: &SliceRow| rows.iter().any(|row| (row.block, row.attempt) == (slice.block, slice.attempt));
    let cost = |slice: &SliceRow| {
        let cost = slice.server_cpu_us? / slice.ok as f64;
        (cost > 0.0 && cost.is_finite()).then(|| cost.ln())
    };
    // By workloads: of levels that are compared each has its own.
    let mut rounds: BTreeMap<[usize; 3], Vec<(&str, f64)>> = BTreeMap::new();
    let is_of_group = |slice: &&SliceRow| slice.kind == SLICE && slice.workload_id == first.workload_id;
    for slice in slices.iter().filter(is_of_group).filter(|slice| counts(slice)) {
        let of_round = rounds.entry([slice.block, slice.attempt, slice.round]).or_default();
        of_round.extend(cost(slice).map(|cost| (slice.server.as_str(), cost)));
    }
    // The median, on which one server with two modes has no pull.
    let common = |costs: &[(&str, f64)]| median(&costs.iter().map(|(_, cost)| *cost).collect::<Vec<_>>());
    let level = median(&rounds.values().filter_map(|costs| common(costs)).collect::<Vec<_>>())?;
    let own = rounds.values().flat_map(|costs| {
        let common = common(costs).unwrap_or(level);
        let its = costs.iter().filter(|(server, _)| *server == first.server);
        its.map(move |(_, cost)| (cost - common + level).exp())
    });
    modes(&own.collect::<Vec<_>>()).filter(|modes| modes.high > LEAST_APART * modes.low)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of a server in slices, whose slices cost so many times what its continuous window does.
    fn cell(server: &str, blocks: usize, times: f64) -> Vec<Row> {
        let row = |block: usize| {
            let level = 10.0 + (block % 3) as f64;
            let noise = 1.0 + 0.01 * ((block * 7 % 5) as f64 - 2.0);
            Row {
                block,
                server: server.into(),
                workload_id: "w".into(),
                verdict: "ok".into(),
                rounds: Some(20),
                throughput_rps: Some(1.0),
                throughput_by_round_rps: Some(1000.0 / level),
                throughput_continuous_rps: Some(1000.0 / level * noise),
                server_cpu_us_per_request: Some(1.0),
                server_cpu_by_round_us_per_request: Some(level * times),
                server_cpu_continuous_us_per_request: Some(level * noise),
                ..Row::default()
            }
        };
        (1..=blocks).map(row).collect()
    }

    fn basis_of(rows: &[Row]) -> [Basis; 2] {
        let rows: Vec<&Row> = rows.iter().collect();
        [Metric::THROUGHPUT, Metric::CPU].map(|metric| basis(&rows, metric))
    }

    #[test]
    fn the_continuous_window_counts_where_slices_differ_from_it() {
        assert_eq!(basis_of(&cell("a", 8, 1.0)), [Basis::Slices; 2]);
        assert_eq!(basis_of(&cell("a", 8, 1.5)), [Basis::Slices, Basis::Continuous]);
        // Too few blocks to tell.
        assert_eq!(basis_of(&cell("a", 5, 1.5)), [Basis::Slices; 2]);
        let rows = [cell("a", 8, 1.0), cell("b", 8, 1.5)].concat();
        let counted = with_what_counts(&rows);
        let cpu = |server: &str| {
            let of = counted.iter().filter(|row| row.server == server);
            of.map(|row| row.server_cpu_us_per_request).collect::<Vec<_>>()
        };
        assert_eq!(
            cpu("a"),
            rows[..8].iter().map(|r| r.server_cpu_by_round_us_per_request).collect::<Vec<_>>()
        );
        assert_eq!(
            cpu("b"),
            rows[8..].iter().map(|r| r.server_cpu_continuous_us_per_request).collect::<Vec<_>>()
        );
        let b: Vec<&Row> = rows[8..].iter().collect();
        assert!((ratio(&b, Metric::CPU).expect("both") - 1.5).abs() < 0.03);
    }

    #[test]
    fn whoever_took_no_turns_has_its_figures_as_they_are() {
        let rows = [Row { throughput_rps: Some(7.0), ..Row::default() }];
        assert_eq!(with_what_counts(&rows), rows);
        assert_eq!(value(&rows[0], Metric::THROUGHPUT, Basis::Continuous), Some(7.0));
        assert_eq!(ratio(&[&rows[0]], Metric::CPU), None);
    }

    #[test]
    fn modes_are_those_of_a_server_and_not_of_the_machine() {
        let rows = cell("a", 2, 1.0);
        let rows: Vec<&Row> = rows.iter().collect();
        let slice = |server: &str, n: usize, cost: f64| SliceRow {
            block: 1 + n % 2,
            attempt: 0,
            workload_id: "w".into(),
            server: server.into(),
            kind: SLICE.into(),
            round: n,
            ok: 100,
            server_cpu_us: Some(100.0 * cost + (n % 7) as f64 * 10.0),
            ..SliceRow::default()
        };
        let in_rounds = |own: fn(usize) -> f64, machine: fn(usize) -> f64| -> Vec<SliceRow> {
            let round = |n: usize| {
                [
                    slice("a", n, own(n) * machine(n)),
                    slice("b", n, 8.0 * machine(n)),
                    slice("c", n, 9.0 * machine(n)),
                ]
            };
            (0..80).flat_map(round).collect()
        };
        let third = |n: usize| if n.is_multiple_of(3) { 15.0 } else { 10.0 };
        let found = cpu_modes(&in_rounds(third, |_| 1.0), &rows).expect("two");
        assert!(found.high / found.low > 1.25 && (found.share_high - 0.33).abs() < 0.03, "{found:?}");
        // The machine takes half as long again in every other round, on all of them.
        let machine = |n: usize| if n.is_multiple_of(2) { 1.5 } else { 1.0 };
        assert_eq!(cpu_modes(&in_rounds(|_| 10.0, machine), &rows), None);
        let mut other = in_rounds(third, |_| 1.0);
        other.iter_mut().for_each(|slice| slice.kind = "after idling".into());
        assert_eq!(cpu_modes(&other, &rows), None);
    }
}
