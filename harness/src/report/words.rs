//! What may be said of the columns of a run's table, in sentences: what pairs established, and no more.

use super::figures::{self, percent, rate};
use super::outlook::told;
use crate::analysis::map::{Against, Map, MapColumn, Ratio, Standing};
use crate::analysis::metric::Metric;
use crate::judge::validity::Figure;
use crate::record::row::Row;

/// Sentences about a run, the largest established differences first.
pub(super) fn sentences(map: &Map) -> Vec<String> {
    let mut said: Vec<(f64, String)> = map.workloads.iter().filter_map(sentence).collect();
    said.sort_by(|a, b| b.0.total_cmp(&a.0));
    said.into_iter().map(|(_, sentence)| sentence).collect()
}

/// What the client does, in two words.
pub(super) fn work(row: &Row) -> String {
    match (row.strategy.as_str(), row.requests, row.offered_rps) {
        (_, None, None) if row.loop_kind == "open" => "at its own rate".to_owned(),
        ("churn", _, Some(rps)) => format!("{}/s, churn", rate(rps).trim_end_matches(".0")),
        (_, None, Some(rps)) => format!("{}/s", rate(rps).trim_end_matches(".0")),
        ("sequential", ..) => "one by one".to_owned(),
        (strategy, Some(requests), _) => format!("{strategy} {requests}"),
        ("churn", ..) => "new connections".to_owned(),
        _ => format!("{} in flight", row.concurrency),
    }
}

/// How far apart two values are, as a ratio of 1 or more.
fn size(ratio: f64) -> f64 {
    ratio.max(1.0 / ratio)
}

/// What is said of one column, and how large the difference is that it is about.
fn sentence(column: &MapColumn) -> Option<(f64, String)> {
    let (place, compared) = (place(column), compared(column));
    let than = match column.against {
        Against::Best => column.best()?.0.to_owned(),
        Against::Baseline => "at the baseline".to_owned(),
    };
    let apart = largest_first(&compared, |standing| match standing {
        Standing::Apart(ratio) => Some(*ratio),
        _ => None,
    });
    if let Some((server, ratio)) = apart.first() {
        let also = match apart.get(1) {
            Some((next, of_next)) => format!(", {next} {}", amount(column.metric, *of_next)),
            None => String::new(),
        };
        let words = difference(column.metric, server, *ratio, &than);
        return Some((size(ratio.estimate), format!("{place}: {words}{also}.")));
    }
    if compared.is_empty() {
        return None;
    }
    if let Some(limit) = shared_limit(column) {
        return Some((1.0, format!("{place}: {limit}")));
    }
    let alike: Option<Vec<f64>> = compared
        .iter()
        .map(|(_, standing)| match standing {
            Standing::Alike(ratio) => Some(within(*ratio)),
            _ => None,
        })
        .collect();
    let slight = largest_first(&compared, |standing| match standing {
        Standing::NotTold(ratio) => *ratio,
        _ => None,
    });
    if let Some((server, ratio)) = slight.first() {
        return Some((1.0, format!("{place}: {}.", slight_difference(column.metric, server, *ratio, &than))));
    }
    let words = match (alike, column.told) {
        (Some(all), _) => {
            let all = all.into_iter().fold(0.0, f64::max);
            format!("all are within {} of the best", percent(all))
        }
        (None, Some((least, most))) => {
            let range = if told(least) == told(most) {
                told(most)
            } else {
                format!("{} to {}", told(least), told(most))
            };
            format!("not told apart; these blocks would have told {range}")
        }
        (None, None) => return None,
    };
    Some((1.0, format!("{place}: {words}.")))
}

/// The servers of which there is such a ratio, the largest difference first.
fn largest_first<'a>(
    compared: &[(&'a str, &Standing)],
    ratio: impl Fn(&Standing) -> Option<Ratio>,
) -> Vec<(&'a str, Ratio)> {
    let mut all: Vec<(&str, Ratio)> =
        compared.iter().filter_map(|(server, standing)| Some((*server, ratio(standing)?))).collect();
    all.sort_by(|a, b| size(b.1.estimate).total_cmp(&size(a.1.estimate)));
    all
}

/// The cells that are compared with another one, with what was established.
fn compared(column: &MapColumn) -> Vec<(&str, &Standing)> {
    let cells = column.cells.iter().map(|(server, cell)| (server.as_str(), &cell.standing));
    cells
        .filter(|(_, s)| matches!(s, Standing::Apart(_) | Standing::Alike(_) | Standing::NotTold(_)))
        .collect()
}

/// How far from 1 a ratio of cells that are alike may lie, δ at the least.
fn within(ratio: Ratio) -> f64 {
    let ends = ratio.interval.map_or([1.0, 1.0], |i| [i.low, i.high]);
    ends.into_iter().map(|end| size(end) - 1.0).fold(ratio.delta, f64::max)
}

/// The route and what happens there.
pub(super) fn place(column: &MapColumn) -> String {
    let row = &column.row;
    let mut words = format!("{}, {}", row.route, work(row));
    if column.against == Against::Baseline {
        let levels: Vec<String> =
            row.factors.iter().map(|(name, level)| format!("{name} = {level}")).collect();
        words += &format!(", {}", levels.join(", "));
    }
    if !row.phase.is_empty() {
        words += &format!(", {}", row.phase);
    }
    if !row.interference.is_empty() {
        words += &format!(", beside {}", row.interference.trim_start_matches('/'));
    }
    words
}

/// The same limit of the set-up that all cells have reached, if it is one.
fn shared_limit(column: &MapColumn) -> Option<String> {
    let limit = match column.bound_by.as_str() {
        "offered_rate" => "the rate that was offered",
        "concurrency" => "requests in flight / their wait",
        "blocking_threads" => "blocking threads / their wait",
        _ => return None,
    };
    let values: Vec<f64> = column.cells.values().filter_map(|cell| cell.value).collect();
    let [least, most] = [values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?];
    let reached =
        if rate(least) == rate(most) { rate(least) } else { format!("{} to {}", rate(least), rate(most)) };
    (column.metric == Metric::THROUGHPUT)
        .then(|| format!("every server does {reached}/s: the set-up is the limit ({limit})."))
}

/// `smol takes 2.3 times (2.2–2.4) the CPU per request of tokio-multi`, `smol takes 31% more CPU per request (28–34%)
/// than tokio-multi`.
pub(super) fn difference(metric: Metric, server: &str, ratio: Ratio, than: &str) -> String {
    let (verb, what) = match metric.figure() {
        Figure::Throughput => ("does", "requests per second".to_owned()),
        Figure::Cpu if metric == Metric::CPU => ("takes", "CPU per request".to_owned()),
        Figure::Memory => ("takes", "memory".to_owned()),
        _ => ("has", figures::name(metric)),
    };
    let (size, range) = parts(ratio);
    let word = word(metric, ratio);
    match is_times(ratio) {
        true => format!("{server} {verb} {size} the {what}{range} of {}", than.trim_start_matches("at ")),
        false if metric.figure() == Figure::Latency => {
            format!("{server} {verb} a {what} that is {size} {word}{range} than that of {than}")
        }
        false => format!("{server} {verb} {size} {word} {what}{range} than {than}"),
    }
}

/// The same of one that may be no larger than δ.
pub(super) fn slight_difference(metric: Metric, server: &str, ratio: Ratio, than: &str) -> String {
    format!("{}; less than {} does not count", difference(metric, server, ratio, than), percent(ratio.delta))
}

/// A difference without what it is of: `2.3 times (2.2–2.4)`, `31% more (28–34%)`.
pub(super) fn amount(metric: Metric, ratio: Ratio) -> String {
    let (size, range) = parts(ratio);
    if is_times(ratio) { size + &range } else { format!("{size} {}{range}", word(metric, ratio)) }
}

/// `more` and `less`, as they are said of a figure.
fn word(metric: Metric, ratio: Ratio) -> &'static str {
    match (metric.figure(), ratio.estimate > 1.0) {
        (Figure::Latency, true) => "longer",
        (Figure::Latency, false) => "shorter",
        (_, true) => "more",
        (Figure::Throughput, false) => "fewer",
        (_, false) => "less",
    }
}

/// Twice and more is said in times.
fn is_times(ratio: Ratio) -> bool {
    ratio.estimate >= 2.0 || ratio.estimate <= 0.5
}

/// The size of a difference and its interval.
fn parts(ratio: Ratio) -> (String, String) {
    let digits = |value: f64| if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") };
    match is_times(ratio) {
        true => {
            let digits = |value: f64| if value < 0.95 { format!("{value:.2}") } else { digits(value) };
            let range = ratio.interval.map(|i| format!(" ({}–{})", digits(i.low), digits(i.high)));
            (format!("{} times", digits(ratio.estimate)), range.unwrap_or_default())
        }
        false => {
            let share = |value: f64| 100.0 * (value - 1.0).abs();
            let ends = ratio.interval.map(|i| {
                let mut ends = [share(i.low), share(i.high)];
                ends.sort_by(f64::total_cmp);
                ends
            });
            // So that what is not 0% is not written as that.
            let is_small = share(ratio.estimate) < 4.95 || ends.is_some_and(|ends| ends[0] < 0.95);
            let digits = usize::from(is_small);
            let range = ends.map(|ends| format!(" ({:.digits$}–{:.digits$}%)", ends[0], ends[1]));
            (format!("{:.digits$}%", share(ratio.estimate)), range.unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stats::bootstrap::Interval;

    fn ratio(estimate: f64, low: f64, high: f64) -> Ratio {
        Ratio { estimate, interval: Some(Interval { low, high }), delta: 0.02 }
    }

    #[test]
    fn a_difference_is_said_in_the_words_of_its_figure() {
        let said = |metric, r| difference(metric, "smol", r, "may");
        assert_eq!(
            said(Metric::CPU, ratio(2.31, 2.2, 2.42)),
            "smol takes 2.3 times the CPU per request (2.2–2.4) of may"
        );
        assert_eq!(
            said(Metric::CPU, ratio(1.31, 1.28, 1.34)),
            "smol takes 31% more CPU per request (28–34%) than may"
        );
        assert_eq!(
            said(Metric::THROUGHPUT, ratio(0.8, 0.78, 0.83)),
            "smol does 20% fewer requests per second (17–22%) than may"
        );
        assert_eq!(
            said(Metric::RESPONSE_P99, ratio(1.5, 1.2, 1.9)),
            "smol has a response p99 that is 50% longer (20–90%) than that of may"
        );
        assert_eq!(
            said(Metric::CPU, ratio(0.98, 0.977, 0.992)),
            "smol takes 2.0% less CPU per request (0.8–2.3%) than may"
        );
    }
}
