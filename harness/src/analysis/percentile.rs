//! Percentiles of response times, which may lie among requests that were shed or ran out of time.

use crate::record::row::Row;

/// Returns true if the percentile at `p` of `scheduled` requests lies among those `censored`: timed out or shed.
pub fn is_beyond(p: f64, scheduled: u64, censored: u64) -> bool {
    // Rounding must not decide: 1 of 100 is not beyond the 99th percentile.
    censored as f64 > (1.0 - p) * scheduled as f64 * (1.0 + 1e-9)
}

/// Returns the median over blocks of the percentile at `p`, which `of` finds in a row; `None` without one, and where
/// it is only known to be beyond the timeout.
///
/// A block whose percentile is beyond the timeout is larger than all others, whatever it is. Leaving it out
/// would make a server look the better, the more of its blocks were the worst. So rows whose errors are
/// nothing but such requests count here.
pub(super) fn median(rows: &[&Row], p: f64, of: fn(&Row) -> Option<f64>) -> Option<f64> {
    let measured = rows.iter().filter(|row| is_measured(row));
    let values: Vec<f64> = measured.filter_map(|row| of(row).or_else(|| beyond(row, p))).collect();
    stats::median(&values).filter(|value| value.is_finite())
}

/// Returns infinity where the percentile is known to be beyond the timeout.
fn beyond(row: &Row, p: f64) -> Option<f64> {
    let censored = row.timed_out? + row.shed.unwrap_or(0);
    is_beyond(p, row.scheduled?, censored).then_some(f64::INFINITY)
}

/// Returns true if every request of the row was either answered rightly or ran out of time.
fn is_measured(row: &Row) -> bool {
    let censored = row.timed_out.unwrap_or(0) + row.shed.unwrap_or(0);
    let all = || Some(row.ok? + censored == row.scheduled?);
    row.error.is_empty() || (row.verdict != "failed" && censored > 0 && all() == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(p99: Option<f64>, shed: u64) -> Row {
        Row {
            scheduled: Some(1000),
            ok: Some(1000 - shed),
            timed_out: Some(0),
            shed: Some(shed),
            response_p99_us: p99,
            error: if shed > 0 { "requests failed".into() } else { String::new() },
            ..Row::default()
        }
    }

    fn p99(rows: &[Row]) -> Option<f64> {
        let rows: Vec<&Row> = rows.iter().collect();
        median(&rows, 0.99, |row| row.response_p99_us)
    }

    #[test]
    fn a_block_beyond_the_timeout_is_the_largest() {
        assert_eq!(p99(&[row(Some(1.0), 0), row(Some(3.0), 2), row(None, 11)]), Some(3.0));
        assert_eq!(p99(&[row(Some(1.0), 0), row(None, 11), row(None, 11)]), None);
        // Ten of a thousand are the last percent itself, and too few samples say nothing at all.
        assert_eq!(p99(&[row(Some(1.0), 0), row(None, 10)]), Some(1.0));
    }

    #[test]
    fn what_went_wrong_otherwise_is_no_measurement() {
        let died = Row { error: "died".into(), ok: Some(0), ..row(Some(9.0), 0) };
        assert_eq!(p99(&[row(Some(1.0), 0), died]), Some(1.0));
    }
}
