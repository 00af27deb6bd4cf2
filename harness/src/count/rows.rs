//! The rows of a cell, made of what its repeats counted.

use super::callgrind::Profile;
use crate::record::column::round;
use crate::record::counts::{COUNTS_VERSION, CountRow, CrateRow, FunctionRow};
use stats::median;

/// Values that are further apart are of two modes.
const MODES_APART: f64 = 0.02;
/// The instructions per request from which on a function has a row.
const FEW: f64 = 10.0;

/// What a cell's counting gave: its rows, and the profile of a request for whoever asks for functions.
#[derive(Debug, Clone)]
pub struct Counted {
    /// The row of `counts.csv`.
    pub row: CountRow,
    /// The rows of `counts_by_crate.csv`.
    pub crates: Vec<CrateRow>,
    /// The rows of `counts_by_function.csv`.
    pub functions: Vec<FunctionRow>,
    /// A request's profile, of the repeat whose instructions are the median.
    pub profile: Profile,
}

/// One repeat.
pub(super) struct Repeat {
    pub(super) profile: Profile,
    pub(super) syscalls: f64,
}

/// Makes the rows of repeats, which are in the order of their instructions.
pub(super) fn summarise(mut row: CountRow, mut all: Vec<Repeat>) -> Counted {
    let sorted = |of: fn(&Repeat) -> f64| {
        let mut values: Vec<f64> = all.iter().map(of).filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let instructions = sorted(|repeat| repeat.profile.total());
    let (allocations, syscalls) =
        (sorted(|repeat| repeat.profile.allocations), sorted(|repeat| repeat.syscalls));
    let of = |sorted: &[f64]| {
        [median(sorted), sorted.first().copied(), sorted.last().copied()].map(|v| v.map(|v| round(v, 3)))
    };
    [row.instructions_per_request, row.instructions_per_request_min, row.instructions_per_request_max] =
        of(&instructions);
    [row.allocations_per_request, row.allocations_per_request_min, row.allocations_per_request_max] =
        of(&allocations);
    [row.syscalls_per_request, row.syscalls_per_request_min, row.syscalls_per_request_max] = of(&syscalls);
    row.modes = modes(&instructions);
    // The one in the middle, so that its parts add up.
    let profile = match all.len() {
        0 => Profile::default(),
        n => all.swap_remove((n - 1) / 2).profile,
    };
    row.top_functions = profile.top();
    let total = profile.total();
    let crate_row = |(name, cost): (String, f64)| CrateRow {
        schema_version: COUNTS_VERSION,
        server: row.server.clone(),
        workload_id: row.workload_id.clone(),
        route: row.route.clone(),
        connections: row.connections,
        crate_name: name,
        instructions_per_request: round(cost, 3),
        share: round(cost / total, 4),
    };
    let crates =
        profile.by_crate().into_iter().filter(|(_, cost)| cost.abs() >= 0.5).map(crate_row).collect();
    let function_row = |(name, cost): (String, f64)| FunctionRow {
        schema_version: COUNTS_VERSION,
        server: row.server.clone(),
        workload_id: row.workload_id.clone(),
        route: row.route.clone(),
        connections: row.connections,
        function: name,
        instructions_per_request: round(cost, 1),
    };
    let functions = profile.by_function().into_iter().filter(|(_, cost)| cost.abs() >= FEW);
    let functions = functions.map(function_row).collect();
    Counted { row, crates, functions, profile }
}

/// Says in words where sorted values are, if there are several clusters of them: a gap of more than 2% parts two.
fn modes(sorted: &[f64]) -> String {
    let clusters: Vec<&[f64]> = sorted.chunk_by(|a, b| b - a <= MODES_APART * a.abs()).collect();
    let middle = |cluster: &&[f64]| median(cluster).unwrap_or_default();
    match clusters.as_slice() {
        [] | [_] => String::new(),
        [low, high] => format!("{:.0} or {:.0}", middle(low), middle(high)),
        [low, .., high] => format!("{:.0} to {:.0}", middle(low), middle(high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_apart_are_modes() {
        assert_eq!(modes(&[1000.0, 1010.0, 1015.0]), "");
        assert_eq!(modes(&[1000.0, 1010.0, 1200.0]), "1005 or 1200");
        assert_eq!(modes(&[1000.0, 1200.0, 1400.0]), "1000 to 1400");
        assert_eq!(modes(&[]), "");
    }

    #[test]
    fn a_row_has_the_median_and_the_ends_and_its_crates_add_up() {
        let repeat = |cost: u32, syscalls: f64| {
            let mut profile = Profile::default();
            profile
                .add(&format!("ob=/srv/rt-x\nfl=???\nfn=f\n1 {cost}\nfl=a.rs\n2 50\n"))
                .expect("callgrind's");
            Repeat { profile, syscalls }
        };
        let all = vec![repeat(100, 2.0), repeat(101, 2.5), repeat(150, f64::NAN)];
        let counted = summarise(CountRow::default(), all);
        let row = &counted.row;
        assert_eq!(row.instructions_per_request, Some(151.0));
        assert_eq!(
            (row.instructions_per_request_min, row.instructions_per_request_max),
            (Some(150.0), Some(200.0))
        );
        assert_eq!((row.syscalls_per_request, row.modes.as_str()), (Some(2.25), "150 or 200"));
        let names: Vec<&str> = counted.crates.iter().map(|c| c.crate_name.as_str()).collect();
        let sum: f64 = counted.crates.iter().map(|c| c.instructions_per_request).sum();
        assert_eq!((names, sum), (vec!["rt-x", "ours"], 151.0));
        assert_eq!(row.top_functions, "f 100.0%");
    }
}
