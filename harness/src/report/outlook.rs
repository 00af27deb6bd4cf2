//! What a run can tell: said after its first blocks, and at its end of the pairs that it did not decide.

use super::figures::{self, percent};
use crate::analysis::metric::Metric;
use crate::analysis::pairs::Pair;
use stats::difference::{DELTA_FLOOR, blocks_needed};
use stats::reach::{blocks_for, mde_of, spread, spread_of_twos};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most pairs that are named.
const MOST_PAIRS: usize = 8;

/// How long a run is.
#[derive(Debug, Clone, Copy)]
pub struct Planned {
    /// Its blocks.
    pub blocks: usize,
    /// The error rate that its statements keep.
    pub alpha: f64,
    /// The time of a block, if that is known.
    pub of_a_block: Option<Duration>,
}

/// The difference, as a ratio − 1, that is taken for worth telling: 5%, or more where δ is more than 2%.
fn worth_telling(delta: f64) -> f64 {
    2.5 * delta.max(DELTA_FLOOR)
}

impl Planned {
    /// So many blocks, and how long they take: `40 blocks (9 min)`.
    fn time_of(&self, blocks: usize) -> String {
        let time = self.of_a_block.map(|time| time.as_secs_f64() * blocks as f64);
        let time = time.map(|seconds| match seconds {
            s if s < 90.0 => format!(" ({s:.0} s)"),
            s if s < 5400.0 => format!(" ({:.0} min)", s / 60.0),
            s => format!(" ({:.1} h)", s / 3600.0),
        });
        format!("{blocks} blocks{}", time.unwrap_or_default())
    }
}

/// Says from the `pairs` of two blocks what a run will be able to tell, and how long 5% takes. Nothing where no pair
/// has two blocks.
pub fn beforehand(pairs: &[&Pair], planned: Planned) -> Vec<String> {
    let mut twos: BTreeMap<Metric, Vec<[f64; 2]>> = BTreeMap::new();
    for pair in pairs {
        if let [first, second] = pair.log_ratios[..] {
            twos.entry(pair.metric).or_default().push([first, second]);
        }
    }
    let spreads: Vec<(Metric, f64)> =
        twos.iter().filter_map(|(metric, twos)| Some((*metric, spread_of_twos(twos)?))).collect();
    if spreads.is_empty() {
        return Vec::new();
    }
    let Planned { blocks, alpha, .. } = planned;
    let of = |said: &dyn Fn(f64) -> Option<String>| -> String {
        let each = spreads
            .iter()
            .filter_map(|(metric, s)| Some(format!("{} {}", figures::name(*metric), said(*s)?)));
        each.collect::<Vec<_>>().join(", ")
    };
    let needed = blocks_needed(alpha);
    let can_tell = match blocks >= needed {
        true => format!(
            "with {blocks} could be told, four times in five: {}",
            of(&|spread| Some(told(mde_of(spread, blocks, DELTA_FLOOR, alpha))))
        ),
        false => format!("{blocks} tell no difference, {needed} are the least that can"),
    };
    let worth = worth_telling(DELTA_FLOOR);
    let takes = of(&|spread| Some(planned.time_of(blocks_for(worth, spread, DELTA_FLOOR, alpha)?)));
    vec![format!("after two blocks: {can_tell}"), format!("to tell {}: {takes}", percent(worth))]
}

/// Says of a run that went on until its `pairs` were decided whether they are, and which are not.
pub fn afterwards(pairs: &[&Pair], planned: Planned, is_time_over: bool) -> Vec<String> {
    let undecided: Vec<&&Pair> = pairs.iter().filter(|pair| !pair.is_decided()).collect();
    let (blocks, all) = (planned.blocks, pairs.len());
    if all == 0 {
        return vec![format!("not decided after {blocks} blocks: no pair has a figure that may be compared")];
    }
    if undecided.is_empty() {
        return vec![format!(
            "decided after {blocks} blocks: all {all} pairs are told apart or alike within δ"
        )];
    }
    let takes = |pair: &Pair| {
        let worth = worth_telling(pair.delta);
        Some((worth, blocks_for(worth, spread(&pair.log_ratios)?, pair.delta, planned.alpha)?))
    };
    let longest = undecided.iter().filter_map(|pair| takes(pair)).max_by_key(|(_, blocks)| *blocks);
    let longest = longest.map(|(worth, blocks)| {
        format!("; to tell {} in each would take {}", percent(worth), planned.time_of(blocks))
    });
    let why = if is_time_over { ", when the time was over" } else { "" };
    let mut lines = vec![format!(
        "not decided after {blocks} blocks{why}: {} of {all} pairs{}",
        undecided.len(),
        longest.unwrap_or_default()
    )];
    lines.extend(undecided.iter().take(MOST_PAIRS).map(|pair| {
        let against = match pair.against_workload_id == pair.row.workload_id {
            true => pair.against.clone(),
            false => pair.against_workload.clone(),
        };
        let ratio = pair.ratio.map_or_else(String::new, |ratio| figures::ratio(ratio, pair.interval()));
        let told = pair.mde.map_or_else(
            || format!("{} blocks tell nothing", pair.blocks),
            |mde| format!("could have told {}", told(mde)),
        );
        let (name, workload) = (figures::name(pair.metric), &pair.row.workload);
        format!("  {} against {against}, {workload}: {name} {ratio}, {told}", pair.server)
    }));
    if let Some(more) = undecided.len().checked_sub(MOST_PAIRS).filter(|more| *more > 0) {
        lines.push(format!("  and {more} more: `inconclusive` in pairs.csv"));
    }
    lines
}

/// Writes a difference that could have been told, a ratio − 1, with two digits or so: the spread behind it has no
/// more.
pub(super) fn told(mde: f64) -> String {
    match mde {
        mde if mde < 0.0995 => percent(mde),
        mde if mde < 10.0 => format!("{:.0}%", 100.0 * mde),
        _ => "more than 1000%".to_owned(),
    }
}

/// Writes the least and the largest such difference: `2.1–6.3%`, or one of them where they are alike.
pub(super) fn told_range(least: f64, most: f64) -> String {
    let (least, most) = (told(least), told(most));
    if least == most { most } else { format!("{}–{most}", least.trim_end_matches('%')) }
}

/// Writes of the pairs of a table what could have been told, figure by figure, from the least to the largest:
/// `could have told: requests/s 2.1–6.3%, server CPU 2%`. `None` without a pair that could have told anything.
pub(super) fn could_have_told<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Option<String> {
    let mut figures: BTreeMap<Metric, (f64, f64)> = BTreeMap::new();
    for pair in pairs.filter(|pair| !pair.is_control) {
        let Some(mde) = pair.mde else { continue };
        let (least, most) = figures.entry(pair.metric).or_insert((mde, mde));
        (*least, *most) = (least.min(mde), most.max(mde));
    }
    let figure = |(metric, (least, most)): (&Metric, &(f64, f64))| {
        format!("{} {}", figures::name(*metric), told_range(*least, *most))
    };
    let words: Vec<String> = figures.iter().map(figure).collect();
    (!words.is_empty()).then(|| format!("could have told: {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Analysis;
    use crate::record::row::Row;
    use stats::looks;

    /// Two servers over so many blocks: the second has `level` times the throughput of the first, in turn more and
    /// less by `spread`.
    fn rows(blocks: usize, level: f64, spread: f64) -> Vec<Row> {
        let row = |server: &str, block: usize, value: f64| Row {
            server: server.into(),
            block,
            workload: "/a".into(),
            verdict: "ok".into(),
            throughput_rps: Some(value),
            ..Row::default()
        };
        let side = |block: usize| if block.is_multiple_of(2) { spread } else { -spread };
        (1..=blocks).flat_map(|b| [row("a", b, 100.0), row("b", b, 100.0 * (level + side(b)))]).collect()
    }

    fn planned(blocks: usize, alpha: f64) -> Planned {
        Planned { blocks, alpha, of_a_block: Some(Duration::from_secs(10)) }
    }

    fn analysed(rows: &[Row]) -> Analysis {
        Analysis::at(rows, &[], looks::ALPHA)
    }

    #[test]
    fn two_blocks_say_what_could_be_told_and_how_long_five_percent_takes() {
        let analysis = analysed(&rows(2, 1.0, 0.02));
        let pairs: Vec<&Pair> = analysis.pairs.iter().collect();
        let of = |blocks, alpha| beforehand(&pairs, planned(blocks, alpha));
        let [told, takes] = &of(12, 0.05)[..] else { panic!("two lines") };
        // 0.04 / (√2 × 0.674) = 0.042, times 2.80 √(π/2) is 0.147; over √12 and with δ 6.4%; and (0.147 / 0.029)².
        assert_eq!(told, "after two blocks: with 12 could be told, four times in five: requests/s 6.4%");
        assert_eq!(takes, "to tell 5%: requests/s 26 blocks (4 min)");
        assert_eq!(of(3, 0.05)[0], "after two blocks: 3 tell no difference, 6 are the least that can");
        assert_eq!(
            of(7, looks::ALPHA)[0],
            "after two blocks: 7 tell no difference, 8 are the least that can"
        );
        assert!(beforehand(&[], planned(12, 0.05)).is_empty());
    }

    #[test]
    fn pairs_that_were_not_decided_are_named_with_what_they_would_take() {
        let said = |rows: &[Row], is_time_over| {
            let analysis = analysed(rows);
            let pairs: Vec<&Pair> = analysis.pairs.iter().collect();
            afterwards(&pairs, planned(8, looks::ALPHA), is_time_over)
        };
        assert_eq!(
            said(&rows(8, 1.1, 0.01), false),
            ["decided after 8 blocks: all 1 pairs are told apart or alike within δ"]
        );
        let lines = said(&rows(8, 1.0, 0.05), true);
        assert!(
            lines[0]
                .starts_with("not decided after 8 blocks, when the time was over: 1 of 1 pairs; to tell 5% "),
            "{lines:?}"
        );
        assert!(lines[0].contains(" blocks (") && lines[0].ends_with(" min)"), "{lines:?}");
        assert!(lines[1].starts_with("  a against b, /a: requests/s 1.0"), "{lines:?}");
        assert!(lines[1].contains(", could have told "), "{lines:?}");
        let few = said(&rows(4, 1.1, 0.01), true);
        assert!(few[1].ends_with(", 4 blocks tell nothing"), "{few:?}");
        assert!(said(&[], false)[0].contains("no pair has a figure"));
    }

    #[test]
    fn a_table_could_have_told_from_the_least_to_the_largest() {
        let of = |spread: f64, workload: &str| -> Vec<Row> {
            let of = |row| Row { workload_id: workload.into(), group_id: workload.into(), ..row };
            rows(12, 1.0, spread).into_iter().map(of).collect()
        };
        let analysis = Analysis::of(&[of(0.0, "1"), of(0.05, "2")].concat());
        let line = could_have_told(analysis.pairs.iter()).expect("pairs");
        assert!(line.starts_with("could have told: requests/s 2–"), "{line}");
        let alike = could_have_told(analysis.pairs.iter().filter(|pair| pair.row.workload_id == "1"));
        assert_eq!(alike.as_deref(), Some("could have told: requests/s 2%"));
        assert_eq!([0.0344, 0.123, 20.0].map(told), ["3.4%", "12%", "more than 1000%"]);
        assert_eq!(could_have_told(Analysis::of(&rows(5, 1.0, 0.0)).pairs.iter()), None);
    }
}
