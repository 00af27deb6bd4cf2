//! Service times as HdrHistograms with three significant figures.

use crate::protocol::Latency;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};

/// A percentile is stated only where this many samples lie above it.
const SAMPLES_ABOVE: f64 = 100.0;

/// A histogram of `values` as base64 text (HdrHistogram's V2 format, deflated).
///
/// # Errors
/// A value is beyond what a histogram can hold.
pub fn encode(values: &[u64]) -> Result<String, String> {
    let mut histogram = Histogram::<u64>::new(3).map_err(|error| error.to_string())?;
    for value in values {
        histogram.record(*value).map_err(|error| error.to_string())?;
    }
    to_text(&histogram)
}

/// A histogram as base64 text (HdrHistogram's V2 format, deflated).
///
/// # Errors
/// It cannot be written so; no histogram of times is like that.
pub fn to_text(histogram: &Histogram<u64>) -> Result<String, String> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).map_err(|error| error.to_string())?;
    Ok(BASE64_STANDARD.encode(bytes))
}

/// The latency that has these samples, in nanoseconds.
///
/// # Errors
/// A value is beyond what a histogram can hold.
pub fn latency(values: &[u64]) -> Result<Latency, String> {
    let sum: f64 = values.iter().map(|ns| *ns as f64).sum();
    Ok(Latency {
        histogram: encode(values)?,
        mean_ns: (!values.is_empty()).then(|| sum / values.len() as f64),
        max_ns: values.iter().max().copied(),
        out_of_range: 0,
    })
}

/// The histogram in `text`.
///
/// # Errors
/// The text is not what [`encode`] writes.
pub fn decode(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|error| error.to_string())?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| error.to_string())
}

/// The value below which the share `p` of the samples lies; `None` where fewer than 100 lie above it,
/// since it would then say more about luck than about the server. `censored` further samples are only
/// known to be larger than all others: a percentile that lies among them is not known either.
pub fn percentile(histogram: &Histogram<u64>, censored: u64, p: f64) -> Option<u64> {
    let known = histogram.len();
    let all = (known + censored) as f64;
    // A hundredth of a sample makes up for (1 − p) not being exact in binary.
    if all * (1.0 - p) + 0.01 < SAMPLES_ABOVE || all * p > known as f64 {
        return None;
    }
    Some(histogram.value_at_quantile(all * p / known as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back() {
        let values: Vec<u64> = (1..=1000).map(|n| n * 1000).collect();
        let histogram = decode(&encode(&values).expect("encodes")).expect("decodes");
        assert_eq!(histogram.len(), 1000);
        let p50 = percentile(&histogram, 0, 0.5).expect("500 above");
        assert!((499_000..=501_000).contains(&p50), "{p50}");
        assert!(decode("nonsense").is_err());
    }

    #[test]
    fn a_percentile_needs_a_hundred_samples_above_it() {
        let of = |n: u64| decode(&encode(&vec![5; n as usize]).expect("encodes")).expect("decodes");
        assert_eq!(percentile(&of(199), 0, 0.5), None);
        assert_eq!(percentile(&of(200), 0, 0.5), Some(5));
        assert_eq!(percentile(&of(999), 0, 0.9), None);
        assert_eq!(percentile(&of(1000), 0, 0.9), Some(5));
        assert_eq!(percentile(&of(10_000), 0, 0.99), Some(5));
        assert_eq!(percentile(&of(0), 0, 0.5), None);
    }

    #[test]
    fn censored_samples_are_the_largest() {
        let values: Vec<u64> = (1..=1000).collect();
        let histogram = decode(&encode(&values).expect("encodes")).expect("decodes");
        // 1000 known of 2000: the median is the largest known one, and the rest is not known.
        assert_eq!(percentile(&histogram, 1000, 0.5), Some(1000));
        assert_eq!(percentile(&histogram, 1000, 0.25), Some(500));
        assert_eq!(percentile(&histogram, 1000, 0.9), None);
    }
}
