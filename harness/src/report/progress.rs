//! While a run goes on: one line that stays, with the time left; where no terminal is, a line for each group. In
//! detail one for each replicate, in the article's own form.

use crate::exit::tell;
use crate::record::row::Row;
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// How much of a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The names of the files, and what went wrong.
    Files,
    /// What goes on, and the answer.
    Answer,
    /// Each replicate, and every table.
    Details,
}

/// Shows what goes on: with a bar on a terminal, in plain lines elsewhere.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    shown: Shown,
    group: RefCell<String>,
}

impl Progress {
    /// Starts to show the progress over `steps` replicates.
    pub fn new(steps: usize, shown: Shown) -> Progress {
        let bar = if shown == Shown::Files || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            let template = "{bar:20} {pos}/{len}, {eta} {prefix}: {wide_msg}";
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(steps as u64).with_style(style)
        };
        bar.set_prefix("left");
        bar.enable_steady_tick(Duration::from_millis(500));
        Progress { bar, shown, group: RefCell::default() }
    }

    /// Shows what is being done now.
    pub fn doing(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// Says which group comes now. Where a bar says it already, nothing.
    pub fn group(&self, what: &str) {
        if self.shown == Shown::Answer && self.bar.is_hidden() && self.group.replace(what.to_owned()) != what
        {
            tell(what);
        }
    }

    /// Says what the bar and its time lead to, where that is not the end.
    pub fn toward(&self, what: &str) {
        self.bar.set_prefix(what.to_owned());
    }

    /// Counts one more replicate as done.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    /// Adds replicates that are to be done.
    pub fn more(&self, steps: usize) {
        self.bar.inc_length(steps as u64);
    }

    /// Takes away replicates that are not to be done after all.
    pub fn less(&self, steps: usize) {
        self.bar.dec_length(steps as u64);
    }

    /// Prints a line on stdout, above the bar.
    pub fn line(&self, line: &str) {
        if self.shown != Shown::Files {
            // A closed stdout is not an error: the files are written all the same.
            self.bar.suspend(|| _ = writeln!(std::io::stdout().lock(), "{line}"));
        }
    }

    /// Prints a line on stdout, above the bar, where details are shown.
    pub fn detail(&self, line: &str) {
        if self.shown == Shown::Details {
            self.line(line);
        }
    }

    /// How much is shown.
    pub fn shown(&self) -> Shown {
        self.shown
    }

    /// Prints a line on stderr, above the bar, whatever is shown.
    pub fn warn(&self, line: &str) {
        self.bar.suspend(|| tell(line));
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Writes a replicate in the article's own form, with what the article did not have behind it:
/// `15.84 reqs / sec | 100 reqs | http://127.0.0.1:40123/wait | sequential | smol`.
pub fn article_line(row: &Row, url: &str) -> String {
    let rate = row.throughput_rps.map_or_else(|| "-".to_owned(), |rps| format!("{rps:.2}"));
    // A load that lasts a time has as many requests as were due in it.
    let requests = row.requests.or(row.scheduled).map_or_else(|| "-".to_owned(), |n| n.to_string());
    let mut line = format!("{rate} reqs / sec | {requests} reqs | {url} | {} | {}", row.strategy, row.server);
    if row.processes > 1 {
        line.push_str(&format!(" | {} processes", row.processes));
    }
    if !row.interference.is_empty() {
        line.push_str(&format!(" | {}", row.interference));
    }
    if !row.error.is_empty() {
        line.push_str(&format!(" | ERROR: {}", row.error));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_begin_as_the_article_s_do() {
        let mut row = Row {
            throughput_rps: Some(15.8449),
            requests: Some(100),
            strategy: "sequential".into(),
            server: "smol".into(),
            processes: 1,
            ..Row::default()
        };
        let url = "http://127.0.0.1:40123/wait";
        let form = "15.84 reqs / sec | 100 reqs | http://127.0.0.1:40123/wait | sequential";
        assert_eq!(article_line(&row, url), format!("{form} | smol"));
        row.interference = "fib/42@1".into();
        row.processes = 2;
        assert_eq!(article_line(&row, url), format!("{form} | smol | 2 processes | fib/42@1"));
        row.throughput_rps = None;
        row.error = "the server died".into();
        assert!(article_line(&row, url).starts_with("- reqs / sec | 100 reqs | "));
        assert!(article_line(&row, url).ends_with(" | ERROR: the server died"));
    }
}
