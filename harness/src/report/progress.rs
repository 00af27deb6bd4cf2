//! While a run goes on: one line per replicate in the article's own form, and a bar with the time left.

use crate::record::row::Row;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// Shows what goes on: with a bar on a terminal, in plain lines elsewhere.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
}

impl Progress {
    /// Starts to show the progress over `steps` replicates. `quiet` leaves out the lines and the bar.
    pub fn new(steps: usize, quiet: bool) -> Progress {
        let bar = if quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            let template = "{bar:30} {pos}/{len}  {msg}  {eta} {prefix}";
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(steps as u64).with_style(style)
        };
        bar.set_prefix("left");
        bar.enable_steady_tick(Duration::from_millis(500));
        Progress { bar, quiet }
    }

    /// Shows what is being done now.
    pub fn doing(&self, what: &str) {
        self.bar.set_message(what.to_owned());
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
        if !self.quiet {
            // A closed stdout is not an error: the files are written all the same.
            self.bar.suspend(|| _ = writeln!(std::io::stdout().lock(), "{line}"));
        }
    }

    /// Prints a line on stderr, above the bar, quiet or not.
    pub fn warn(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
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
