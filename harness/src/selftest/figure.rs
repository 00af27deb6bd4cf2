//! One figure of a case: what it should be, what it was, and how far apart they may be.

use std::fmt;

/// What a figure is or should be.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number, in the figure's unit.
    Number(f64),
    /// A word, as a verdict is.
    Word(String),
    /// Nothing: what is not known, or must be absent.
    Empty,
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Number(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(number as f64)
    }
}

impl From<&str> for Value {
    fn from(word: &str) -> Value {
        Value::Word(word.to_owned())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Empty, Into::into)
    }
}

/// How far a figure may be from what is expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allowed {
    /// By a share of what is expected and so much more, in the figure's unit.
    Within(f64, f64),
    /// Not at all.
    Exact,
    /// It may be less.
    AtMost,
    /// It may be more.
    AtLeast,
}

/// What a host that is not quiet can do to a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sensitivity {
    /// Nothing: counts, fates, memory.
    Nothing,
    /// A percentile (0 to 1) of times that do not add up: it becomes longer if so many requests are delayed.
    Delay(f64),
    /// A time in a queue whose server is busy for this part of the time, where delays add up: it becomes longer by so
    /// many times what the server lacks, and without end if it lacks more than it has to spare.
    Queue {
        /// So many times.
        times: f64,
        /// The part of the time, below 1.
        load: f64,
    },
    /// It changes either way by at most so many times the part of a CPU that was taken.
    Share(f64),
    /// A verdict, which may become one on the host's doings.
    Verdict,
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name, and the column of `cells.csv` that it is, where it is one.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// What it should be.
    pub expected: Value,
    /// What it was.
    pub measured: Value,
    /// How far they may be apart.
    pub allowed: Allowed,
    /// What noise can do to it.
    pub sensitivity: Sensitivity,
}

impl Figure {
    /// A number within a share of what is expected, and so much more.
    pub fn near(
        name: impl Into<String>,
        unit: &'static str,
        expected: f64,
        measured: Option<f64>,
        share: f64,
        more: f64,
    ) -> Figure {
        Figure {
            name: name.into(),
            unit,
            expected: expected.into(),
            measured: measured.into(),
            allowed: Allowed::Within(share, more),
            sensitivity: Sensitivity::Nothing,
        }
    }

    /// Something that must be just so.
    pub fn exact(
        name: impl Into<String>,
        unit: &'static str,
        expected: impl Into<Value>,
        measured: impl Into<Value>,
    ) -> Figure {
        let (expected, measured) = (expected.into(), measured.into());
        let (allowed, sensitivity) = (Allowed::Exact, Sensitivity::Nothing);
        Figure { name: name.into(), unit, expected, measured, allowed, sensitivity }
    }

    /// A verdict.
    pub fn verdict(expected: &str, measured: impl Into<Value>) -> Figure {
        Figure::exact("verdict", "", expected, measured).sensitive(Sensitivity::Verdict)
    }

    /// The same figure, to which noise can do this.
    #[must_use]
    pub fn sensitive(self, sensitivity: Sensitivity) -> Figure {
        Figure { sensitivity, ..self }
    }

    /// How far a number may be from what is expected, in the figure's unit.
    pub(super) fn slack(&self, factor: f64) -> f64 {
        match (&self.expected, self.allowed) {
            (Value::Number(expected), Allowed::Within(share, more)) => {
                (share * expected.abs() + more) * factor
            }
            _ => 0.0,
        }
    }

    /// Whether it is as expected, with every tolerance `factor` times as wide.
    pub fn passes(&self, factor: f64) -> bool {
        match (&self.expected, &self.measured, self.allowed) {
            (Value::Number(expected), Value::Number(measured), allowed) => match allowed {
                Allowed::Within(..) => (measured - expected).abs() <= self.slack(factor),
                Allowed::Exact => (measured - expected).abs() < 1e-9,
                Allowed::AtMost => measured <= expected,
                Allowed::AtLeast => measured >= expected,
            },
            (expected, measured, _) => expected == measured,
        }
    }
}

impl Figure {
    pub(super) fn tolerance(&self, factor: f64) -> String {
        match self.allowed {
            Allowed::Exact => "exact".into(),
            Allowed::AtMost => "at most".into(),
            Allowed::AtLeast => "at least".into(),
            Allowed::Within(share, more) => {
                let share = (share > 0.0).then(|| format!("{}%", plain(share * factor * 100.0)));
                let more = (more > 0.0).then(|| format!("{} {}", plain(more * factor), self.unit));
                let parts: Vec<String> = [share, more].into_iter().flatten().collect();
                format!("± {}", parts.join(" + ").trim_end())
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => f.write_str(&plain(*number)),
            Value::Word(word) => f.write_str(word),
            Value::Empty => Ok(()),
        }
    }
}

/// A number with as many digits as can mean something: four significant ones, and all before the point.
fn plain(number: f64) -> String {
    let before = if number == 0.0 { 0 } else { number.abs().log10().floor() as i32 };
    let places = usize::try_from((3 - before).clamp(0, 6)).unwrap_or(0);
    let text = format!("{number:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_are_a_share_and_so_much_more() {
        let figure = Figure::near("p99", "ms", 100.0, Some(102.9), 0.02, 1.0);
        assert!(figure.passes(1.0));
        assert_eq!(figure.tolerance(1.0), "± 2% + 1 ms");
        assert!(!Figure { measured: 103.1.into(), ..figure.clone() }.passes(1.0));
        assert!(Figure { measured: 103.1.into(), ..figure.clone() }.passes(2.0));
        assert!(!Figure { measured: 96.9.into(), ..figure.clone() }.passes(1.0));
        assert!(!Figure { measured: Value::Empty, ..figure }.passes(1000.0));
    }

    #[test]
    fn what_must_be_exact_is_not_widened() {
        assert!(Figure::exact("ok", "", 5u64, 5u64).passes(100.0));
        assert!(!Figure::exact("ok", "", 5u64, 6u64).passes(100.0));
        assert!(!Figure::exact("verdict", "", "ok", "errors").passes(100.0));
        assert!(Figure::exact("response_p99_us", "", Value::Empty, None::<f64>).passes(1.0));
        let least = Figure { allowed: Allowed::AtLeast, ..Figure::exact("found", "", 17u64, 18u64) };
        assert!(least.passes(1.0));
        assert!(!Figure { measured: 16u64.into(), ..least }.passes(1.0));
    }

    #[test]
    fn numbers_have_the_digits_that_mean_something() {
        for (number, text) in [
            (0.0, "0"),
            (80.0, "80"),
            (79.985, "79.98"),
            (199.96, "200"),
            (0.0312, "0.0312"),
            (14_998.4, "14998"),
        ] {
            assert_eq!(plain(number), text);
        }
    }
}
