//! The parts that the tables of both kinds of strategies have in common.

use crate::analysis::summary::Summary;

/// The subject of a table, and of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// The article's form: a table per server, a row per strategy and number of requests.
    Server,
    /// A table per strategy and number of requests, a row per server.
    Work,
}

/// Says the verdict on a cell: how many blocks are `ok` where not all are, and what is most often wrong with
/// the others.
pub(super) fn verdict(summary: &Summary) -> String {
    let word = summary.row.verdict.replace('_', " ");
    match (word.as_str(), summary.blocks_ok) {
        ("", _) => "not judged".to_owned(),
        ("ok", _) | (_, 0) => word,
        (_, ok) => format!("{ok}/{} ok, {word}", summary.blocks),
    }
}
