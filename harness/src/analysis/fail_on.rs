//! `--fail-on "p99>+5%"`: a bound on a difference, and whether the data put it beyond.

use crate::analysis::comparison::Compared;
use crate::analysis::metric::MetricName;
use crate::exit::{Exit, usage};
use anyhow::Result;

/// The largest or least ratio of B to A that is allowed, of a figure that has a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The expression, as it was given.
    pub text: String,
    /// The figure's name, as it was given.
    pub name: String,
    is_above: bool,
    /// The largest, or the least, ratio that is allowed.
    ratio: f64,
}

/// A limit on a figure of `cells.csv`.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The limit.
    pub limit: Limit,
    /// The figure.
    pub asked: MetricName,
}

/// What the data say of a bound, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// The whole interval is on the good side of the bound.
    Kept,
    /// The interval includes the bound, or there is no interval.
    Unknown,
    /// The difference is established, and the whole interval beyond it.
    Broken,
}

impl Finding {
    /// Returns the exit code of the finding.
    pub fn exit(self) -> Exit {
        match self {
            Finding::Kept => Exit::Done,
            Finding::Unknown => Exit::Invalid,
            Finding::Broken => Exit::Difference,
        }
    }
}

impl Limit {
    /// Reads `NAME>+N%` or `NAME<-N%`.
    ///
    /// # Errors
    /// A usage error that says what is wrong with the expression.
    pub fn parse(text: &str) -> Result<Limit> {
        let form = "give a metric, > or <, and a percentage with its sign, as in p99>+5% or throughput<-5%";
        let Some(at) = text.find(['<', '>']) else { return Err(usage!("--fail-on '{text}': {form}")) };
        let (name, rest) = text.split_at(at);
        let number = rest[1..].trim();
        let percent =
            number.strip_suffix('%').map(str::trim).filter(|n| n.starts_with(['+', '-']) || *n == "0");
        match percent.and_then(|percent| percent.parse::<f64>().ok()) {
            Some(percent) if percent > -100.0 && percent.is_finite() => Ok(Limit {
                text: text.to_owned(),
                name: name.trim().to_owned(),
                is_above: rest.starts_with('>'),
                ratio: 1.0 + percent / 100.0,
            }),
            _ => Err(usage!("--fail-on '{text}': {form}")),
        }
    }

    /// Says where the ratios from `low` to `high` are; `established` says that there is a difference at all.
    pub fn find(&self, low: f64, high: f64, established: bool) -> Finding {
        let (beyond, within) = match self.is_above {
            true => (low > self.ratio, high <= self.ratio),
            false => (high < self.ratio, low >= self.ratio),
        };
        match (within, beyond && established) {
            (true, _) => Finding::Kept,
            (false, true) => Finding::Broken,
            (false, false) => Finding::Unknown,
        }
    }
}

impl Bound {
    /// Reads `METRIC>+N%` or `METRIC<-N%`.
    ///
    /// # Errors
    /// As of [`Limit::parse`], and for an unknown metric.
    pub fn parse(text: &str) -> Result<Bound> {
        let limit = Limit::parse(text)?;
        Ok(Bound { asked: MetricName::find(&limit.name)?, limit })
    }

    /// Says whether one comparison is beyond the bound.
    fn find(&self, compared: &Compared<'_>) -> Finding {
        let (Some(p), Some(interval)) = (compared.pair.p_step_down, compared.pair.interval()) else {
            return Finding::Unknown;
        };
        self.limit.find(interval.low, interval.high, p < compared.pair.alpha)
    }

    /// Returns the comparisons of the bound's metric, each with what the data say of it.
    pub fn find_all<'a, 'r>(&self, compared: &'a [Compared<'r>]) -> Vec<(Finding, &'a Compared<'r>)> {
        let of = |c: &&Compared<'_>| c.pair.metric == self.asked.on(c.cell.loop_kind());
        compared.iter().filter(of).map(|one| (self.find(one), one)).collect()
    }
}

/// Returns the worst finding; unknown if there is none.
pub fn worst(found: &[(Finding, &Compared<'_>)]) -> Finding {
    found.iter().map(|(finding, _)| *finding).max().unwrap_or(Finding::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::comparison::{common, compare};
    use crate::analysis::pairs::delta_of;
    use crate::record::row::Row;
    use stats::difference::ALPHA;

    fn rows(blocks: usize, level: f64) -> Vec<Row> {
        // Each block moves both by the same, and each side a little by itself.
        let own = |block: usize| if level > 1.0 { 1.0 + 0.004 * (block % 3) as f64 } else { 1.004 };
        let row = |block: usize| Row {
            block,
            server: "s".into(),
            verdict: "ok".into(),
            service_p99_us: Some(level * own(block) * (100.0 + (block * 7 % 5) as f64)),
            ..Row::default()
        };
        (1..=blocks).map(row).collect()
    }

    fn found(text: &str, blocks: usize, ratio: f64) -> Finding {
        let (a, b) = (rows(blocks, 1.0), rows(blocks, ratio));
        let cells = common(&a, &b, false);
        let bound = Bound::parse(text).expect("valid");
        let compared = compare(&cells, |_| vec![bound.asked], |_| delta_of([].into_iter()), ALPHA);
        worst(&bound.find_all(&compared))
    }

    #[test]
    fn a_bound_is_kept_broken_or_unknown() {
        assert_eq!(found("p99>+5%", 12, 1.10), Finding::Broken);
        assert_eq!(found("p99>+5%", 12, 0.90), Finding::Kept);
        assert_eq!(found("p99>+5%", 12, 1.0), Finding::Kept);
        assert_eq!(found("p99>+5%", 12, 1.05), Finding::Unknown);
        assert_eq!(found("p99 < -5%", 12, 0.90), Finding::Broken);
        assert_eq!(found("p99<-5%", 12, 1.10), Finding::Kept);
        // Too few for an interval, and no such figure.
        assert_eq!(found("p99>+5%", 3, 2.0), Finding::Unknown);
        assert_eq!(found("throughput<-5%", 12, 1.0), Finding::Unknown);
        // The least number of blocks that can tell, of one cell.
        assert_eq!(found("p99>+5%", 6, 1.10), Finding::Broken);
    }

    #[test]
    fn what_is_no_bound_is_refused() {
        for wrong in ["p99", "p99>5%", "p99>+5", "p99=+5%", "p99>+x%", "p99<-100%", "p99>+inf%", ">+5%"] {
            assert!(Bound::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Bound::parse("p98>+5%").expect_err("unknown").to_string().contains("did you mean p9"));
        assert_eq!(Bound::parse("throughput<-5%").expect("valid").limit.ratio, 0.95);
        assert_eq!(Bound::parse("cpu>0%").expect("valid").limit.ratio, 1.0);
        assert!(Finding::Broken > Finding::Unknown && Finding::Unknown > Finding::Kept);
    }
}
