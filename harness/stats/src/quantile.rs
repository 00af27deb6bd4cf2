//! A quantile of a few values, for bootstrap intervals and for the spread of A/A ratios.
//!
//! It is type 7, as numpy and R have it by default; statrs has type 8 only, which would not agree with the
//! packages that the intervals are checked against.

/// The quantile at `p` of `values`, in their unit: linear between the order statistics around (n − 1) p
/// (type 7 of Hyndman and Fan 1996).
///
/// `None` without values, with one that is no number, or with a `p` outside 0 to 1.
pub fn quantile(values: &[f64], p: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    of_sorted(&sorted, p)
}

/// As [`quantile`], of values in ascending order.
pub fn of_sorted(sorted: &[f64], p: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&p) || sorted.iter().any(|value| value.is_nan()) {
        return None;
    }
    let position = p * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    // Equal neighbours need no interpolation, and infinite ones do not stand it.
    if low == high {
        return Some(low);
    }
    Some(low + (high - low) * position.fract())
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_lie_between_order_statistics() {
        let values = [40.0, 10.0, 30.0, 20.0];
        assert_eq!(quantile(&values, 0.0), Some(10.0));
        assert_eq!(quantile(&values, 0.5), Some(25.0));
        assert_eq!(quantile(&values, 0.25), Some(17.5));
        assert_eq!(quantile(&values, 1.0), Some(40.0));
        assert_eq!(quantile(&[7.0], 0.95), Some(7.0));
    }

    #[test]
    fn what_has_no_quantile_has_none() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[1.0, f64::NAN], 0.5), None);
        for p in [-0.1, 1.1, f64::NAN] {
            assert_eq!(quantile(&[1.0, 2.0], p), None);
        }
    }
}
