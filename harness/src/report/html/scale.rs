//! Axes: how values are placed on them, and which values are named.

use plotters::coord::ranged1d::{BoldPoints, Ranged};
use plotters::coord::types::RangedCoordf64;

/// How an axis places its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Equal differences are equally far apart.
    Linear,
    /// Equal ratios are equally far apart.
    Log,
    /// For percentiles: 90%, 99% and 99.9% are equally far apart.
    Nines,
}

/// The percentiles that an axis of nines names.
const NAMED: [f64; 6] = [0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999];

impl Scale {
    /// Returns the place of a value on the axis.
    pub(super) fn place(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log => value.log10(),
            Scale::Nines => -(1.0 - value).log10(),
        }
    }

    /// Returns true if the axis has a place for the value.
    pub(super) fn has(self, value: f64) -> bool {
        self.place(value).is_finite()
    }

    /// Returns the values from `low` to `high` that the axis names, and their names.
    pub(super) fn ticks(self, low: f64, high: f64) -> Vec<(f64, String)> {
        let named = |values: Vec<f64>| values.into_iter().map(|value| (value, number(value))).collect();
        let even = || RangedCoordf64::from(low..high).key_points(BoldPoints(5));
        match self {
            Scale::Linear => named(even()),
            Scale::Log => {
                let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
                let several = |steps: &[f64]| -> Vec<f64> {
                    let values =
                        decades.clone().flat_map(|ten| steps.iter().map(move |step| step * 10_f64.powi(ten)));
                    values.filter(|value| (low..=high).contains(value)).collect()
                };
                // As many as can be read, and evenly spaced ones within less than a factor of five.
                let steps = [several(&[1.0, 2.0, 5.0]), several(&[1.0])];
                let few = steps.into_iter().find(|values| (3..=7).contains(&values.len()));
                named(few.unwrap_or_else(even))
            }
            Scale::Nines => NAMED
                .into_iter()
                .filter(|p| (low..=high).contains(p))
                .map(|p| (p, format!("p{}", number(p * 100.0))))
                .collect(),
        }
    }
}

/// Writes a number without digits that say nothing.
fn number(value: f64) -> String {
    let digits = (5 - value.abs().max(1e-9).log10().ceil() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(scale: Scale, low: f64, high: f64) -> Vec<String> {
        scale.ticks(low, high).into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn nines_are_equally_far_apart() {
        let place = |p| Scale::Nines.place(p);
        assert!((place(0.99) - 2.0 * place(0.9)).abs() < 1e-9);
        assert!((place(0.999) - 3.0 * place(0.9)).abs() < 1e-9);
        assert_eq!(names(Scale::Nines, 0.5, 0.999), ["p50", "p90", "p99", "p99.9"]);
        assert!(!Scale::Nines.has(1.0));
    }

    #[test]
    fn axes_name_a_few_round_values() {
        assert_eq!(names(Scale::Log, 40.0, 600.0), ["50", "100", "200", "500"]);
        assert_eq!(names(Scale::Log, 0.5, 9e4), ["1", "10", "100", "1000", "10000"]);
        let even = Scale::Linear.ticks(0.0, 10.0);
        assert!((3..=7).contains(&even.len()) && even[1].0 - even[0].0 == even[2].0 - even[1].0, "{even:?}");
        let near = Scale::Log.ticks(100.0, 108.0);
        assert!(near.len() > 2 && near.iter().all(|(value, _)| (100.0..=108.0).contains(value)), "{near:?}");
    }
}
