//! What the tables of both kinds of strategies have in common.

use crate::analysis::summary::Summary;

/// What a table is about, and what its rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// The article's form: a table per server, a row per strategy and number of requests.
    Server,
    /// A table per strategy and number of requests, a row per server.
    Work,
}

/// What was decided over the blocks: how many are `ok` where not all are, and what most often ails the others.
pub(super) fn verdict(summary: &Summary) -> String {
    let word = summary.row.verdict.replace('_', " ");
    match (word.as_str(), summary.blocks_ok) {
        ("", _) => "not judged".to_owned(),
        ("ok", _) | (_, 0) => word,
        (_, ok) => format!("{ok}/{} ok, {word}", summary.blocks),
    }
}
