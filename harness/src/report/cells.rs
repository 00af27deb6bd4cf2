//! The parts that the tables of both kinds of strategies have in common.

use crate::analysis::summary::Summary;
use crate::judge::validity::Figure;

/// The subject of a table, and of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// The article's form: a table per server, a row per strategy and number of requests.
    Server,
    /// A table per strategy and number of requests, a row per server.
    Work,
}

/// Says the verdict on a cell: that it is in no steady state over its blocks, or how many of them are `ok` where not
/// all are, and what is most often wrong with the others.
pub(super) fn verdict(summary: &Summary) -> String {
    let word = summary.row.verdict.replace('_', " ");
    match (word.as_str(), summary.blocks_ok) {
        ("", _) => "not judged".to_owned(),
        ("ok", _) | (_, 0) => word,
        _ if summary.steady == Some(false) => word,
        (_, ok) => format!("{ok}/{} ok, {word}", summary.blocks),
    }
}

/// Says what a cell's figures are left out for, and in how many of its blocks; figures that are alike together.
/// Empty where nothing is left out.
pub(super) fn left_out(summary: &Summary) -> String {
    let figures = [
        (Figure::Throughput, &summary.left_out_throughput),
        (Figure::Latency, &summary.left_out_latency),
        (Figure::Cpu, &summary.left_out_cpu),
        (Figure::Memory, &summary.left_out_memory),
    ];
    let mut alike: Vec<(&str, Vec<String>)> = Vec::new();
    for (figure, words) in figures.into_iter().filter(|(_, words)| !words.is_empty()) {
        match alike.iter_mut().find(|(known, _)| *known == words) {
            Some((_, figures)) => figures.push(figure.to_string()),
            None => alike.push((words, vec![figure.to_string()])),
        }
    }
    let words = alike.iter().map(|(words, figures)| format!("{words} for {}", figures.join(", ")));
    words.collect::<Vec<_>>().join("; ")
}
