//! The figures that servers are compared by: those columns of `cells.csv` that say how.

use crate::judge::validity::Figure;
use crate::record::column::{Column, Comparison, Kind, Loops, Record as _, Value};
use crate::record::row::Row;
use stats::difference::{Better, Difference};

/// A column of `cells.csv` that two servers can be compared by. Ordered as the columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metric(usize);

/// A name of a metric on the command line. A short name means one metric on a closed loop, and on an open one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricName {
    /// The short name, or a column's.
    pub name: &'static str,
    closed: Metric,
    open: Metric,
}

impl Metric {
    /// Right answers per second.
    pub const THROUGHPUT: Metric = Metric::at("throughput_rps");
    /// The median response time.
    pub const RESPONSE_P50: Metric = Metric::at("response_p50_us");
    /// The response time's 99th percentile.
    pub const RESPONSE_P99: Metric = Metric::at("response_p99_us");
    /// The median service time.
    pub const SERVICE_P50: Metric = Metric::at("service_p50_us");
    /// The service time's 99th percentile.
    pub const SERVICE_P99: Metric = Metric::at("service_p99_us");
    /// The server's CPU time per request.
    pub const CPU: Metric = Metric::at("server_cpu_us_per_request");
    /// The server's peak memory.
    pub const MEMORY: Metric = Metric::at("server_peak_rss_bytes");
    /// The server's context switches per request.
    pub const SWITCHES: Metric = Metric::at("server_ctx_switches_per_request");

    /// Returns the metric of a column. A wrong name does not compile.
    const fn at(name: &str) -> Metric {
        let mut place = 0;
        while !is_same(Row::COLUMNS[place].name, name) || Row::COLUMNS[place].metric.is_none() {
            place += 1;
        }
        Metric(place)
    }

    /// Returns every metric, in the order of the columns.
    pub fn all() -> impl Iterator<Item = Metric> {
        let is_metric = |place: &usize| Row::COLUMNS[*place].metric.is_some();
        (0..Row::COLUMNS.len()).filter(is_metric).map(Metric)
    }

    /// Returns the metrics of `pairs.csv`.
    pub fn of_pairs() -> Vec<Metric> {
        Metric::all().filter(|metric| metric.comparison().is_paired).collect()
    }

    pub(super) fn of_column(self) -> &'static Column<Row> {
        &Row::COLUMNS[self.0]
    }

    fn comparison(self) -> Comparison {
        self.of_column().metric.expect("the column of a metric says how it is compared")
    }

    /// Returns the kind of figure, which says what gates speak against it.
    pub fn figure(self) -> Figure {
        self.comparison().figure
    }

    /// Returns true for CPU and memory, of which nobody says that they are fast.
    fn is_cost(self) -> bool {
        matches!(self.figure(), Figure::Cpu | Figure::Memory)
    }

    /// Returns the name of the metric's column in `cells.csv`, with its unit.
    pub fn column(self) -> &'static str {
        self.of_column().name
    }

    /// Returns the metric's unit; empty for none.
    pub fn unit(self) -> &'static str {
        self.of_column().unit
    }

    /// Returns the value in a row, or in a row of a summary.
    pub fn of(self, row: &Row) -> Option<f64> {
        (self.of_column().number)(row)
    }

    /// Returns true if the metric is looked at on a loop, `open` or `closed`: an open one has response times for its
    /// service times.
    pub fn is_usual_on(self, loop_kind: &str) -> bool {
        match self.comparison().loops {
            Loops::Both => true,
            Loops::Open => loop_kind == "open",
            Loops::Closed => loop_kind != "open",
        }
    }

    /// Says which end of the metric is the good one.
    pub fn better(self) -> Better {
        self.comparison().better
    }

    /// Says a difference in words: `faster` and `slower` of rates and times, `lower` and `higher` of what a
    /// request costs, where nothing is fast.
    pub fn word(self, verdict: Difference) -> &'static str {
        match verdict {
            Difference::Lower if self.is_cost() => "lower",
            Difference::Higher if self.is_cost() => "higher",
            verdict => verdict.word(self.better()),
        }
    }
}

/// Returns true if two names are the same; `==` is not for constants.
const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut place = 0;
    while place < a.len() && place < b.len() && a[place] == b[place] {
        place += 1;
    }
    place == a.len() && place == b.len()
}

/// In a file, a metric is the name of its column.
impl Value for Metric {
    const KIND: Kind = Kind::Text;
    fn text(&self) -> String {
        self.column().to_owned()
    }
    fn read(text: &str) -> Option<Metric> {
        Metric::all().find(|metric| metric.column() == text)
    }
}

impl MetricName {
    /// Returns every name that can be asked for: the short ones, then the columns.
    pub fn all() -> Vec<MetricName> {
        let mut all: Vec<MetricName> = Vec::new();
        for metric in Metric::all() {
            let Comparison { name, loops, .. } = metric.comparison();
            match all.iter_mut().find(|known| known.name == name) {
                Some(known) if loops == Loops::Open => known.open = metric,
                Some(known) => known.closed = metric,
                None => all.push(MetricName { name, closed: metric, open: metric }),
            }
        }
        all.extend(Metric::all().map(|m| MetricName { name: m.column(), closed: m, open: m }));
        all
    }

    /// Finds a name.
    ///
    /// # Errors
    /// A usage error with the nearest names.
    pub fn find(name: &str) -> anyhow::Result<MetricName> {
        crate::experiment::suggest::find("metric", name, &MetricName::all(), |known| known.name).copied()
    }

    /// Returns the metric that the name means on a loop, `open` or `closed`: a closed loop has no response time.
    pub fn on(self, loop_kind: &str) -> Metric {
        if loop_kind == "open" { self.open } else { self.closed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_the_columns_that_say_so() {
        assert_eq!(Metric::all().count(), 15);
        assert_eq!(Metric::of_pairs().len(), 7);
        assert_eq!((Metric::MEMORY.column(), Metric::MEMORY.unit()), ("server_peak_rss_bytes", "bytes"));
        let row = Row { server_peak_rss_bytes: Some(4096), ..Row::default() };
        assert_eq!((Metric::MEMORY.of(&row), Metric::CPU.of(&row)), (Some(4096.0), None));
        assert!(Metric::all().all(|metric| Metric::read(&metric.text()) == Some(metric)));
    }

    #[test]
    fn a_short_name_means_what_the_loop_has() {
        let names: Vec<&str> = MetricName::all().iter().map(|known| known.name).collect();
        let short =
            ["threads", "throughput", "mean", "p50", "p90", "p99", "p99.9", "cpu", "memory", "switches"];
        assert_eq!(names[..10], short);
        let p99 = MetricName::find("p99").expect("known");
        assert_eq!((p99.on("open"), p99.on("closed")), (Metric::RESPONSE_P99, Metric::SERVICE_P99));
        assert!(p99.closed.is_usual_on("closed") && !p99.closed.is_usual_on("open"));
        assert!(p99.open.is_usual_on("open") && !p99.open.is_usual_on("closed"));
        assert!(Metric::CPU.is_usual_on("closed") && Metric::CPU.is_usual_on("open"));
        assert_eq!(MetricName::find("service_p99_us").expect("known").on("open"), Metric::SERVICE_P99);
        let refusal = MetricName::find("troughput").expect_err("unknown").to_string();
        assert!(refusal.starts_with("unknown metric 'troughput': did you mean throughput"), "{refusal}");
    }

    #[test]
    fn words_fit_the_metric() {
        assert_eq!(Metric::THROUGHPUT.word(Difference::Higher), "faster");
        assert_eq!(Metric::SERVICE_P99.word(Difference::Higher), "slower");
        assert_eq!(Metric::CPU.word(Difference::Higher), "higher");
        assert_eq!(Metric::MEMORY.word(Difference::Lower), "lower");
        assert_eq!(Metric::MEMORY.word(Difference::Equivalent), "equivalent");
    }
}
