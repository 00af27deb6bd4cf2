//! The rows of a cell that a figure is taken from, and what the others are left out for.
//!
//! Rows are shown whatever their verdict; what is said here is which are compared and ranked.

use super::role::{is_unjudged, verdict};
use crate::judge::gate::Gate;
use crate::judge::steady::steady_state;
use crate::judge::validity::{Figure, Spoils, spoils, spoils_in_turns};
use crate::judge::verdict::Verdict;
use crate::record::row::Row;
use std::collections::BTreeMap;

/// The rows of one cell, as far as one kind of figure is concerned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usable<'a> {
    /// The rows that the figure is taken from.
    pub rows: Vec<&'a Row>,
    /// The number of blocks that were left out, by the verdict that they were left out for.
    pub left_out: BTreeMap<&'a str, usize>,
}

impl<'a> Usable<'a> {
    fn leave_out(&mut self, verdict: &'a str, blocks: usize) {
        if blocks > 0 {
            *self.left_out.entry(verdict).or_default() += blocks;
        }
    }

    fn leave_out_all(&mut self, verdict: &'a str) {
        let blocks = std::mem::take(&mut self.rows).len();
        self.leave_out(verdict, blocks);
    }

    /// Says what was left out: `3 noisy_host, 1 errors`. Empty where nothing was.
    pub fn words(&self) -> String {
        words(&self.left_out)
    }
}

/// Says what was left out, and in how many blocks: `3 noisy_host, 1 errors`.
pub fn words(left_out: &BTreeMap<&str, usize>) -> String {
    let words: Vec<String> = left_out.iter().map(|(verdict, blocks)| format!("{blocks} {verdict}")).collect();
    words.join(", ")
}

/// Returns the rows of a cell that figures of this kind are taken from.
pub fn usable<'a>(cell: &[&'a Row], figure: Figure) -> Usable<'a> {
    let mut usable = passed(cell, figure);
    if figure == Figure::Latency && is_below_floor(&usable.rows) {
        usable.leave_out_all(BELOW_FLOOR);
    }
    if spoils(Verdict::NoSteadyState, figure) == Spoils::Cell && matches!(steady(cell), Gate::Trips(_)) {
        usable.leave_out_all(Verdict::NoSteadyState.name());
    }
    usable
}

/// What the latencies of a cell are left out for that are no longer than what the network takes by itself.
const BELOW_FLOOR: &str = "below_floor";

/// Whether the median latency of the rows is no longer than the network's own delay: then it says nothing of the server.
fn is_below_floor(rows: &[&Row]) -> bool {
    let latency = |row: &&Row| row.response_p50_us.or(row.service_p50_us).or(row.service_mean_us);
    let median =
        |of: &dyn Fn(&&Row) -> Option<f64>| stats::median(&rows.iter().filter_map(of).collect::<Vec<_>>());
    let floor = median(&|row| row.network_floor_us);
    median(&latency).zip(floor).is_some_and(|(latency, floor)| latency <= floor)
}

/// Says whether a cell is steady over its blocks: the halves of its throughput, latency and CPU per request agree,
/// each over the rows that are good for it.
pub fn steady(cell: &[&Row]) -> Gate {
    type Ratio = fn(&Row) -> Option<f64>;
    let figures: [(&str, Figure, Ratio); 3] = [
        ("throughput", Figure::Throughput, |row| row.half_throughput_ratio),
        ("latency", Figure::Latency, |row| row.half_latency_ratio),
        ("CPU per request", Figure::Cpu, |row| row.half_cpu_ratio),
    ];
    let mut all = Gate::NoInput;
    for (name, figure, ratio) in figures {
        let ratios: Vec<f64> = passed(cell, figure).rows.into_iter().filter_map(ratio).collect();
        match steady_state(name, &ratios) {
            Gate::Trips(said) => return Gate::Trips(said),
            Gate::Passes => all = Gate::Passes,
            Gate::NoInput | Gate::NotForThis => {}
        }
    }
    all
}

/// Returns the rows that no gate but that of steadiness leaves out.
fn passed<'a>(cell: &[&'a Row], figure: Figure) -> Usable<'a> {
    let spoilt = |row: &Row| match row.verdict.parse() {
        _ if is_unjudged(row) => Spoils::Nothing,
        Ok(verdict) if row.error.is_empty() && row.rounds.is_some() => spoils_in_turns(verdict, figure),
        Ok(verdict) if row.error.is_empty() => spoils(verdict, figure),
        _ => Spoils::Row,
    };
    let mut usable = Usable::default();
    let mut for_the_cell: BTreeMap<&str, usize> = BTreeMap::new();
    for row in cell.iter().copied() {
        match spoilt(row) {
            Spoils::Row => {
                usable.leave_out(verdict(row), 1);
                continue;
            }
            Spoils::Cell => *for_the_cell.entry(verdict(row)).or_default() += 1,
            Spoils::Nothing => {}
        }
        usable.rows.push(row);
    }
    if 2 * for_the_cell.values().sum::<usize>() > usable.rows.len()
        && let Some((most, _)) = for_the_cell.into_iter().max_by_key(|(_, blocks)| *blocks)
    {
        usable.leave_out_all(most);
    }
    usable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(verdict: &str, error: &str) -> Row {
        Row { verdict: verdict.into(), error: error.into(), ..Row::default() }
    }

    /// How many rows of a cell with these verdicts are used, and what the others are left out for.
    fn of(verdicts: &[&str], figure: Figure) -> (usize, String) {
        let rows: Vec<Row> = verdicts.iter().map(|verdict| row(verdict, "")).collect();
        let usable = usable(&rows.iter().collect::<Vec<_>>(), figure);
        (usable.rows.len(), usable.words())
    }

    #[test]
    fn a_latency_that_is_the_network_s_own_is_left_out() {
        let row = |us: f64| Row { response_p50_us: Some(us), network_floor_us: Some(200.0), ..row("ok", "") };
        let of = |us: &[f64], figure| {
            let rows: Vec<Row> = us.iter().map(|us| row(*us)).collect();
            let cell: Vec<&Row> = rows.iter().collect();
            (usable(&cell, figure).rows.len(), usable(&cell, figure).words())
        };
        assert_eq!(of(&[190.0, 210.0, 180.0], Figure::Latency), (0, "3 below_floor".to_owned()));
        assert_eq!(of(&[190.0, 210.0, 230.0], Figure::Latency), (3, String::new()));
        assert_eq!(of(&[190.0, 190.0, 190.0], Figure::Cpu), (3, String::new()));
        // On one machine there is no network.
        let here = Row { network_floor_us: None, ..row(1.0) };
        assert_eq!(usable(&[&here], Figure::Latency).rows.len(), 1);
    }

    #[test]
    fn a_row_is_left_out_for_what_does_not_depend_on_its_figure() {
        let verdicts = ["ok", "noisy_host", "errors", "noisy_host", "nonsense"];
        let (used, words) = of(&verdicts, Figure::Cpu);
        assert_eq!((used, &*words), (1, "1 errors, 2 noisy_host, 1 nonsense"));
        assert_eq!(of(&verdicts, Figure::Memory).0, 3);
        let broken = [row("", "died"), row("ok", "died"), row("client_bound", "died")];
        let usable = usable(&broken.iter().collect::<Vec<_>>(), Figure::Cpu);
        assert_eq!((usable.rows.len(), &*usable.words()), (0, "1 client_bound, 2 failed"));
    }

    #[test]
    fn where_a_gate_depends_on_the_figure_all_rows_of_the_cell_are_left_out_or_none() {
        let (some, most) =
            (["ok", "ok", "client_bound", "client_bound"], ["ok", "client_bound", "overloaded"]);
        assert_eq!(of(&some, Figure::Throughput), (4, String::new()));
        assert_eq!(of(&most, Figure::Latency), (0, "3 overloaded".into()));
        // What an overload says nothing of, and a client at its limit alone is in one row of three.
        assert_eq!(of(&most, Figure::Throughput), (3, String::new()));
        assert_eq!(of(&["client_bound"; 4], Figure::Throughput), (0, "4 client_bound".into()));
        assert_eq!(of(&["client_bound"; 4], Figure::Cpu), (4, String::new()));
        // Rows that are left out for something else have no voice.
        assert_eq!(of(&["ok", "client_bound", "client_bound", "errors"], Figure::Latency).0, 0);
    }

    #[test]
    fn rows_that_nobody_judged_are_used() {
        assert_eq!(of(&["", ""], Figure::Throughput), (2, String::new()));
    }

    fn halves(cpu: &[f64]) -> Vec<Row> {
        let row = |ratio: &f64| Row { half_cpu_ratio: Some(*ratio), ..row("ok", "") };
        cpu.iter().map(row).collect()
    }

    #[test]
    fn a_cell_that_is_not_steady_over_its_blocks_is_left_out_and_no_row_for_its_own_halves() {
        let used = |rows: &[Row], figure| usable(&rows.iter().collect::<Vec<_>>(), figure).rows.len();
        let grows = halves(&[1.1; 6]);
        assert_eq!((used(&grows, Figure::Throughput), used(&grows, Figure::Memory)), (0, 6));
        let noisy = halves(&[1.4, 0.7, 1.1, 1.0, 0.9, 1.0]);
        assert_eq!(used(&noisy, Figure::Cpu), 6);
        let few = halves(&[1.1; 5]);
        assert_eq!(used(&few, Figure::Cpu), 5);
        assert_eq!(steady(&few.iter().collect::<Vec<_>>()), Gate::NoInput);
        // What a gate spoils does not count for steadiness either.
        let mut disturbed = grows;
        disturbed[0].verdict = "noisy_host".into();
        assert_eq!(used(&disturbed, Figure::Cpu), 5);
    }
}
