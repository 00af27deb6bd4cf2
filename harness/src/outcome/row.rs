//! One replicate as one row of `cells.csv`. `results/README.md` describes every column.

use super::histogram;
use crate::load::protocol::{Fates, Report};
use serde::{Deserialize, Serialize};

/// The version of the columns. Columns are only ever added, and then this grows.
pub const SCHEMA_VERSION: u32 = 1;

/// A row of `cells.csv`, in the order of its columns. A missing value is an empty field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "every column is described in results/README.md, which a test compares")]
pub struct Row {
    // identity
    pub schema_version: u32,
    pub run_id: String,
    pub block: usize,
    pub order_index: usize,
    pub started_at: String,
    pub seed: u64,
    // server
    pub server: String,
    pub runtime: String,
    pub runtime_version: String,
    pub flavor: String,
    pub http_stack: String,
    pub processes: usize,
    pub worker_threads: Option<usize>,
    pub blocking_threads: Option<usize>,
    pub threads_seen: Option<u64>,
    // work
    pub route: String,
    pub interference: String,
    pub strategy: String,
    #[serde(rename = "loop")]
    pub loop_kind: String,
    pub requests: u64,
    pub concurrency: usize,
    pub keep_alive: bool,
    pub timeout_ms: u64,
    // fates
    pub scheduled: Option<u64>,
    pub ok: Option<u64>,
    pub bad_status: Option<u64>,
    pub bad_body: Option<u64>,
    pub err_connect: Option<u64>,
    pub err_read: Option<u64>,
    pub err_write: Option<u64>,
    pub timed_out: Option<u64>,
    pub connects: Option<u64>,
    // result
    pub elapsed_s: Option<f64>,
    pub throughput_rps: Option<f64>,
    pub service_mean_us: Option<f64>,
    pub service_p50_us: Option<f64>,
    pub service_p90_us: Option<f64>,
    pub service_p99_us: Option<f64>,
    pub service_p99_9_us: Option<f64>,
    pub service_max_us: Option<f64>,
    // cost
    pub server_cpu_us_per_request: Option<f64>,
    pub client_cpu_us_per_request: Option<f64>,
    pub server_peak_rss_bytes: Option<u64>,
    // belief
    pub ceiling_rps: Option<f64>,
    pub ceiling_by: String,
    pub error: String,
}

impl Row {
    /// Takes over what the client reported.
    ///
    /// # Errors
    /// The report's histogram is unreadable.
    pub fn set_report(&mut self, report: &Report) -> Result<(), String> {
        let Fates { scheduled, ok, bad_status, bad_body, err_connect, err_read, err_write, timed_out } =
            report.fates;
        self.scheduled = Some(scheduled);
        self.ok = Some(ok);
        self.bad_status = Some(bad_status);
        self.bad_body = Some(bad_body);
        self.err_connect = Some(err_connect);
        self.err_read = Some(err_read);
        self.err_write = Some(err_write);
        self.timed_out = Some(timed_out);
        self.connects = Some(report.connects);
        let seconds = report.elapsed.as_secs_f64();
        self.elapsed_s = Some(round(seconds, 6));
        // A wrong answer is no throughput.
        self.throughput_rps = (seconds > 0.0).then(|| round(ok as f64 / seconds, 3));
        self.client_cpu_us_per_request = per_request(report.client_cpu.as_secs_f64(), ok);
        self.service_mean_us = report.service_mean_ns.map(|ns| round(ns / 1e3, 3));
        self.service_max_us = report.service_max_ns.map(|ns| round(ns as f64 / 1e3, 3));
        let histogram = histogram::decode(&report.service_ns)?;
        let percentile = |p| histogram::percentile(&histogram, p).map(|ns| round(ns as f64 / 1e3, 3));
        self.service_p50_us = percentile(0.5);
        self.service_p90_us = percentile(0.9);
        self.service_p99_us = percentile(0.99);
        self.service_p99_9_us = percentile(0.999);
        Ok(())
    }

    /// Notes one more thing that went wrong.
    pub fn add_error(&mut self, error: &str) {
        if !self.error.is_empty() {
            self.error.push_str("; ");
        }
        self.error.push_str(error);
    }

    /// Makes every text safe to open in a spreadsheet: one line, and no formula.
    #[must_use]
    pub fn formula_safe(mut self) -> Row {
        for text in [
            &mut self.server,
            &mut self.runtime,
            &mut self.runtime_version,
            &mut self.flavor,
            &mut self.http_stack,
            &mut self.route,
            &mut self.error,
        ] {
            *text = safe_text(text);
        }
        self
    }
}

/// `seconds` of CPU time shared by `ok` requests, in µs; `None` without any.
pub fn per_request(seconds: f64, ok: u64) -> Option<f64> {
    (ok > 0).then(|| round(seconds * 1e6 / ok as f64, 3))
}

/// Rounds to `places` decimals: digits below the clock's resolution are noise in a file.
pub fn round(value: f64, places: i32) -> f64 {
    let factor = 10_f64.powi(places);
    (value * factor).round() / factor
}

/// Spreadsheets run a cell that begins with one of these as a formula.
fn safe_text(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = line.trim();
    if line.starts_with(['=', '+', '-', '@']) { format!("'{line}") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn texts_cannot_become_formulas_or_lines() {
        let row = Row { error: "=cmd()\nmore\tand more ".into(), flavor: "@x".into(), ..Row::default() };
        let safe = row.formula_safe();
        assert_eq!(safe.error, "'=cmd() more and more");
        assert_eq!(safe.flavor, "'@x");
        assert_eq!(safe_text("a=b"), "a=b");
    }

    #[test]
    fn only_right_answers_are_throughput() {
        let fates = Fates { scheduled: 10, ok: 5, bad_status: 5, ..Fates::default() };
        let report = Report {
            fates,
            elapsed: Duration::from_secs(2),
            client_cpu: Duration::from_micros(50),
            service_ns: histogram::encode(&[1_000; 5]).expect("encodes"),
            service_mean_ns: Some(1000.0),
            service_max_ns: Some(1000),
            ..Report::default()
        };
        let mut row = Row::default();
        row.set_report(&report).expect("readable");
        assert_eq!(row.throughput_rps, Some(2.5));
        assert_eq!(row.client_cpu_us_per_request, Some(10.0));
        assert_eq!((row.service_mean_us, row.service_p50_us), (Some(1.0), None));
    }

    #[test]
    fn nothing_answered_leaves_fields_empty() {
        let mut row = Row::default();
        let report = Report { service_ns: histogram::encode(&[]).expect("encodes"), ..Report::default() };
        row.set_report(&report).expect("readable");
        assert_eq!(
            (row.throughput_rps, row.service_mean_us, row.client_cpu_us_per_request),
            (None, None, None)
        );
    }

    #[test]
    fn every_column_is_described_in_the_results_readme() {
        let root = crate::root::find().expect("a clone");
        let readme = std::fs::read_to_string(root.join("results/README.md")).expect("results/README.md");
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.serialize(Row::default()).expect("serializes");
        let text = String::from_utf8(writer.into_inner().expect("flushes")).expect("UTF-8");
        for column in text.lines().next().expect("a header").split(',') {
            assert!(readme.contains(&format!("| `{column}` |")), "{column} is not described");
        }
    }
}
