//! One replicate as one row of `cells.csv`. `results/README.md` describes every column.

use hdrhistogram::Histogram;
use load::histogram;
use load::protocol::{Latency, PartReport};
use serde::{Deserialize, Serialize};

/// The version of the columns. Columns are only ever added, and then this grows.
pub const SCHEMA_VERSION: u32 = 3;

/// A row of `cells.csv`, in the order of its columns. A missing value is an empty field; a column that a
/// file of an earlier version lacks is read as empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "every column is described in results/README.md, which a test compares")]
pub struct Row {
    // identity
    pub schema_version: u32,
    pub run_id: String,
    pub block: usize,
    pub attempt: usize,
    pub order_index: usize,
    pub started_at: String,
    pub seed: u64,
    pub experiment: String,
    pub workload_id: String,
    pub workload: String,
    pub workload_no: usize,
    pub group_id: String,
    pub load: String,
    pub phase: String,
    #[serde(skip)]
    pub factors: std::collections::BTreeMap<String, String>,
    // server
    pub server: String,
    pub role: String,
    pub runtime: String,
    pub runtime_version: String,
    pub flavor: String,
    pub http_stack: String,
    pub processes: usize,
    pub worker_threads: Option<usize>,
    pub blocking_threads: Option<usize>,
    pub server_cpus: String,
    pub threads_seen: Option<u64>,
    // work
    pub route: String,
    pub interference: String,
    pub strategy: String,
    #[serde(rename = "loop")]
    pub loop_kind: String,
    pub arrival: String,
    pub requests: Option<u64>,
    pub duration_s: Option<f64>,
    pub warmup_s: Option<f64>,
    pub concurrency: usize,
    pub connections: Option<usize>,
    pub keep_alive: bool,
    pub offered_rps: Option<f64>,
    pub phase_scale: Option<f64>,
    pub knee_rps: Option<f64>,
    pub search_passed: Option<bool>,
    pub timeout_ms: u64,
    pub placement: String,
    pub client_cpus: String,
    pub client_driver: String,
    // fates
    pub scheduled: Option<u64>,
    pub ok: Option<u64>,
    pub bad_status: Option<u64>,
    pub bad_body: Option<u64>,
    pub err_connect: Option<u64>,
    pub err_read: Option<u64>,
    pub err_write: Option<u64>,
    pub timed_out: Option<u64>,
    pub shed: Option<u64>,
    pub in_flight_at_end: Option<u64>,
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
    pub response_mean_us: Option<f64>,
    pub response_p50_us: Option<f64>,
    pub response_p90_us: Option<f64>,
    pub response_p99_us: Option<f64>,
    pub response_p99_9_us: Option<f64>,
    pub response_max_us: Option<f64>,
    pub lateness_p50_us: Option<f64>,
    pub lateness_p99_us: Option<f64>,
    pub lateness_max_us: Option<f64>,
    pub conn_wait_p50_us: Option<f64>,
    pub conn_wait_p99_us: Option<f64>,
    // cost
    pub server_cpu_us_per_request: Option<f64>,
    pub client_cpu_us_per_request: Option<f64>,
    pub client_spin_share: Option<f64>,
    pub server_peak_rss_bytes: Option<u64>,
    pub client_peak_rss_bytes: Option<u64>,
    pub server_ctx_switches_per_request: Option<f64>,
    // belief
    pub ceiling_rps: Option<f64>,
    pub ceiling_by: String,
    pub client_ceiling_rps: Option<f64>,
    pub bound_by: String,
    pub client_utilisation: Option<f64>,
    pub server_utilisation: Option<f64>,
    pub machine_utilisation: Option<f64>,
    pub in_flight_mean: Option<f64>,
    pub little_ratio: Option<f64>,
    pub half_throughput_ratio: Option<f64>,
    pub half_cpu_ratio: Option<f64>,
    pub host_steal_share: Option<f64>,
    pub host_other_share: Option<f64>,
    pub verdict: String,
    pub verdict_reason: String,
    pub error: String,
}

impl Row {
    /// Takes over what the client reported of a phase.
    ///
    /// # Errors
    /// The report's histogram is unreadable.
    pub fn set_report(&mut self, report: &PartReport) -> Result<(), String> {
        let fates = report.fates;
        self.scheduled = Some(fates.scheduled);
        self.ok = Some(fates.ok);
        self.bad_status = Some(fates.bad_status);
        self.bad_body = Some(fates.bad_body);
        self.err_connect = Some(fates.err_connect);
        self.err_read = Some(fates.err_read);
        self.err_write = Some(fates.err_write);
        self.timed_out = Some(fates.timed_out);
        self.shed = Some(fates.shed);
        self.in_flight_at_end = Some(fates.in_flight_at_end);
        self.connects = Some(report.connects);
        let seconds = report.elapsed.as_secs_f64();
        self.elapsed_s = Some(round(seconds, 6));
        let (completed, seconds) = counted(report);
        // A wrong answer is no throughput.
        self.throughput_rps = (seconds > 0.0).then(|| round(completed as f64 / seconds, 3));
        self.client_cpu_us_per_request = per_request(report.client_cpu.as_secs_f64(), completed);
        self.in_flight_mean = report.in_flight_mean.map(|n| round(n, 3));
        let censored = fates.censored();
        let service = Figures::of(&report.service, fates.timed_out)?;
        self.service_mean_us = service.mean;
        self.service_max_us = service.max;
        self.service_p50_us = service.percentile(0.5);
        self.service_p90_us = service.percentile(0.9);
        self.service_p99_us = service.percentile(0.99);
        self.service_p99_9_us = service.percentile(0.999);
        let Some(engine) = &report.engine else { return Ok(()) };
        self.client_driver = engine.driver.clone();
        let cpu = report.client_cpu.as_secs_f64();
        self.client_spin_share = (cpu > 0.0).then(|| round((engine.spin.as_secs_f64() / cpu).min(1.0), 4));
        if let Some(response) = &engine.response {
            let response = Figures::of(response, censored)?;
            self.response_mean_us = response.mean;
            self.response_max_us = response.max;
            self.response_p50_us = response.percentile(0.5);
            self.response_p90_us = response.percentile(0.9);
            self.response_p99_us = response.percentile(0.99);
            self.response_p99_9_us = response.percentile(0.999);
        }
        if let Some(lateness) = &engine.lateness {
            let lateness = Figures::of(lateness, 0)?;
            self.lateness_p50_us = lateness.percentile(0.5);
            self.lateness_p99_us = lateness.percentile(0.99);
            self.lateness_max_us = lateness.max;
        }
        if let Some(wait) = &engine.conn_wait {
            let wait = Figures::of(wait, fates.shed)?;
            self.conn_wait_p50_us = wait.percentile(0.5);
            self.conn_wait_p99_us = wait.percentile(0.99);
        }
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
            &mut self.verdict_reason,
            &mut self.error,
        ] {
            *text = safe_text(text);
        }
        self
    }
}

/// The requests that throughput and costs are divided by, and in how many seconds they were answered. The
/// load engine counts answers in the measured time, since its last requests are answered after it.
pub fn counted(report: &PartReport) -> (u64, f64) {
    match &report.engine {
        Some(engine) => {
            let completed = engine.halves.iter().map(|half| half.completed).sum();
            (completed, engine.halves.iter().map(|half| half.seconds).sum())
        }
        None => (report.fates.ok, report.elapsed.as_secs_f64()),
    }
}

/// A latency's figures in µs.
struct Figures {
    mean: Option<f64>,
    max: Option<f64>,
    histogram: Histogram<u64>,
    /// Requests that are only known to have taken longer than all the others.
    censored: u64,
}

impl Figures {
    fn of(latency: &Latency, censored: u64) -> Result<Figures, String> {
        Ok(Figures {
            mean: latency.mean_ns.map(|ns| round(ns / 1e3, 3)),
            max: latency.max_ns.map(|ns| round(ns as f64 / 1e3, 3)),
            histogram: histogram::decode(&latency.histogram)?,
            censored: censored + latency.out_of_range,
        })
    }

    fn percentile(&self, p: f64) -> Option<f64> {
        histogram::percentile(&self.histogram, self.censored, p).map(|ns| round(ns as f64 / 1e3, 3))
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
    use load::protocol::Fates;
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
        let report = PartReport {
            fates,
            elapsed: Duration::from_secs(2),
            client_cpu: Duration::from_micros(50),
            service: histogram::latency(&[1_000; 5]).expect("encodes"),
            ..PartReport::default()
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
        let report =
            PartReport { service: histogram::latency(&[]).expect("encodes"), ..PartReport::default() };
        row.set_report(&report).expect("readable");
        assert_eq!(
            (row.throughput_rps, row.service_mean_us, row.client_cpu_us_per_request),
            (None, None, None)
        );
    }

    #[test]
    fn every_column_is_described_in_the_results_readme() {
        crate::record::assert_columns_described(&Row::default());
    }
}
