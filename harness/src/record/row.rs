//! One replicate as one row of `cells.csv`: what the client's report says of it.

pub use super::cells::{Row, SCHEMA_VERSION};
pub use super::column::round;
use super::column::{Kind, Record as _};
use hdrhistogram::Histogram;
use load::histogram;
use load::protocol::{Latency, PartReport};

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

    /// Says what the client does: `async, 1000 by 100`, `open-loop, 500/s poisson, 256 connections`.
    pub fn work(&self) -> String {
        let mut words = vec![self.strategy.clone()];
        match self.requests {
            Some(requests) if self.strategy == "sequential" || self.concurrency as u64 == requests => {
                words.push(requests.to_string());
            }
            Some(requests) => words.push(format!("{requests} by {}", self.concurrency)),
            None => {
                if let Some(rate) = self.offered_rps {
                    words.push(format!("{rate}/s {}", self.arrival).trim().to_owned());
                }
                words.push(format!("{} connections", self.concurrency));
            }
        }
        words.join(", ")
    }

    /// Says how much was asked for: `1000 requests`, or `5 s`. Empty where that is not known.
    pub fn asked_for(&self) -> String {
        let requests = self.requests.map(|requests| format!("{requests} requests"));
        requests.or(self.duration_s.map(|seconds| format!("{seconds} s"))).unwrap_or_default()
    }

    /// Adds to the row's error.
    pub fn add_error(&mut self, error: &str) {
        if !self.error.is_empty() {
            self.error.push_str("; ");
        }
        self.error.push_str(error);
    }

    /// Makes every text safe to open in a spreadsheet: ASCII, one line, and no formula.
    #[must_use]
    pub fn formula_safe(mut self) -> Row {
        for column in Row::COLUMNS.iter().filter(|column| column.kind == Kind::Text) {
            let text = safe_text(&(column.get)(&self));
            // A text takes every text.
            _ = (column.set)(&mut self, &text);
        }
        self.factors.values_mut().for_each(|level| *level = safe_text(level));
        self
    }
}

/// The requests that throughput and costs are divided by, and in how many seconds they were answered. The
/// load engine counts answers in the measured time, since its last requests are answered after it.
pub fn counted(report: &PartReport) -> (u64, f64) {
    match &report.engine {
        Some(engine) => {
            let completed = engine.halves.iter().map(|half| half.completed).fold(0, u64::saturating_add);
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
            censored: censored.saturating_add(latency.out_of_range),
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

/// Returns the text on one line, in ASCII, and so that a spreadsheet does not run it as a formula: `µ` becomes
/// `\u{b5}`, since some spreadsheets guess the encoding.
fn safe_text(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line: String = line
        .trim()
        .chars()
        .map(|c| if c.is_ascii() { c.into() } else { c.escape_unicode().to_string() })
        .collect();
    if line.starts_with(['=', '+', '-', '@']) { format!("'{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use load::protocol::{EngineReport, Fates, Half};
    use std::time::Duration;

    #[test]
    fn texts_cannot_become_formulas_or_lines() {
        let row = Row { error: "=cmd()\nmore\tand more ".into(), flavor: "@x".into(), ..Row::default() };
        let safe = row.formula_safe();
        assert_eq!(safe.error, "'=cmd() more and more");
        assert_eq!(safe.flavor, "'@x");
        assert_eq!((&*safe_text("a=b"), &*safe_text("± 3")), ("a=b", "\\u{b1} 3"));
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
    fn numbers_that_make_no_sense_are_a_row_too() {
        let half = Half { completed: u64::MAX, ..Half::default() };
        let latency = Latency { out_of_range: u64::MAX, ..histogram::latency(&[5; 300]).expect("encodes") };
        let engine =
            EngineReport { halves: [half; 2], response: Some(latency.clone()), ..EngineReport::default() };
        let fates =
            Fates { timed_out: u64::MAX, shed: u64::MAX, bad_body: u64::MAX, ok: 1, ..Fates::default() };
        let report = PartReport { fates, service: latency, engine: Some(engine), ..PartReport::default() };
        let mut row = Row::default();
        row.set_report(&report).expect("readable");
        assert_eq!((fates.sum(), fates.failed(), fates.censored()), (u64::MAX, u64::MAX, u64::MAX));
        // More than half of the requests took longer than all that are known.
        assert_eq!((row.service_p50_us, row.response_p50_us), (None, None));
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
}
