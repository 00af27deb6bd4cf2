//! The `x-process-time` header as strings that live for ever, since may_minihttp takes no others.
//!
//! A string for every value would leak memory at every request. So values are cut to three
//! digits, which leaves a few thousand, each made when it is first wanted. Never rounded up: the handler would say
//! that it took longer than its client waited.

use contract::reply::ProcessTime;
use std::sync::OnceLock;
use std::time::Duration;

/// Below this many nanoseconds a value is exact.
const EXACT: usize = 1000;
/// Powers of ten above that, up to 999 s: more than any route takes.
const DECADES: usize = 9;
/// Values of three digits in each.
const STEPS: usize = 900;
/// Less than half a MiB when every string is made.
static HEADERS: [OnceLock<&str>; EXACT + DECADES * STEPS] = [const { OnceLock::new() }; _];

/// The header's line, with the value cut to three digits.
pub(crate) fn header(elapsed: Duration) -> &'static str {
    let (index, nanos) = cut(elapsed);
    // No coroutine can be switched inside: it would block the thread that others wait on.
    HEADERS[index]
        .get_or_init(|| format!("x-process-time: {}", ProcessTime::new(Duration::from_nanos(nanos))).leak())
}

/// The place in the table, and the value there in nanoseconds.
fn cut(elapsed: Duration) -> (usize, u64) {
    let longest = 999 * 10_u64.pow(DECADES as u32);
    let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(longest).min(longest);
    let Some(decade) = nanos.checked_ilog10().and_then(|log| log.checked_sub(2)).filter(|d| *d > 0) else {
        return (nanos as usize, nanos);
    };
    let digits = nanos / 10_u64.pow(decade);
    let index = EXACT + (decade as usize - 1) * STEPS + (digits as usize - 100);
    (index, digits * 10_u64.pow(decade))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_three_digits() {
        for (nanos, line) in [
            (0, "0.000000000"),
            (7, "0.000000007"),
            (999, "0.000000999"),
            (1_009, "0.000001000"),
            (1_010, "0.000001010"),
            (9_999, "0.000009990"),
            (10_000, "0.000010000"),
            (50_123_456, "0.050100000"),
            (59_999_999_999, "59.900000000"),
            (998_999_999_999, "998.000000000"),
            (u64::MAX, "999.000000000"),
        ] {
            let header = header(Duration::from_nanos(nanos));
            assert_eq!(header.strip_prefix("x-process-time: "), Some(line), "{nanos}");
        }
    }

    #[test]
    fn a_place_has_one_value_and_all_are_in_the_table() {
        let mut values = vec![None; HEADERS.len()];
        let mut nanos = 0_u64;
        while nanos < 2_000_000_000_000 {
            let (index, value) = cut(Duration::from_nanos(nanos));
            assert_eq!(*values[index].get_or_insert(value), value, "{nanos}");
            nanos += 1 + nanos / 1500;
        }
    }
}
