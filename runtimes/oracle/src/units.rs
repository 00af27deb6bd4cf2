//! Durations and sizes as they are written on a command line: `2ms`, `1.5s`, `64MiB`.

use std::time::Duration;

/// The longest duration an argument takes.
const LONGEST: Duration = Duration::from_secs(3600);
/// The most memory an argument takes, in bytes.
const MOST: usize = 16 << 30;

/// A number and its unit: `ns`, `us`, `ms` or `s`. A bare `0` needs none.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let per_second = [("ns", 1e9), ("us", 1e6), ("µs", 1e6), ("ms", 1e3), ("s", 1.0), ("", f64::INFINITY)];
    let refuse = || format!("'{text}' is no duration: write 50us, 2ms or 1.5s, up to 3600s");
    let (number, scale) = split(text, &per_second).ok_or_else(refuse)?;
    let seconds = if scale.is_infinite() && number == 0.0 { 0.0 } else { number / scale };
    if scale.is_infinite() && number != 0.0 {
        return Err(refuse());
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|d| *d <= LONGEST).ok_or_else(refuse)
}

/// A number of bytes, with `KiB`, `MiB` or `GiB` or without.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let units = [("KiB", 1024.0), ("MiB", 1048576.0), ("GiB", 1073741824.0), ("", 1.0)];
    let refuse = || format!("'{text}' is no size: write 4096, 16KiB or 64MiB, up to 16GiB");
    let (number, scale) = split(text, &units).ok_or_else(refuse)?;
    let bytes = number * scale;
    if bytes <= MOST as f64 && bytes.fract() == 0.0 { Ok(bytes as usize) } else { Err(refuse()) }
}

/// The number before the first unit that `text` ends with, and that unit's scale.
fn split(text: &str, units: &[(&str, f64)]) -> Option<(f64, f64)> {
    let (number, scale) = units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, *scale)))?;
    let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    Some((number.parse().ok().filter(|_| plain)?, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, nanos) in [
            ("2ms", 2_000_000),
            ("50us", 50_000),
            ("50µs", 50_000),
            ("1.5s", 1_500_000_000),
            ("7ns", 7),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for text in ["", "2", "ms", "-1s", "+1s", "1e3s", "inf", "infs", "NaN", "3601s", "1 s", "2m"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_whole_bytes() {
        for (text, bytes) in
            [("64MiB", 64 << 20), ("16KiB", 16 << 10), ("4096", 4096), ("1.5KiB", 1536), ("0", 0)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "-1", "0.3", "64MB", "17GiB", "1e3"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
