//! A number of an experiment file: as it stands, or as an expression of what is known only once a server runs.

use exmex::{Express as _, FlatEx};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The names an expression may use, in the order of the alphabet.
pub const NAMES: [&str; 5] = ["cpus", "knee", "lead_in", "trial", "workers"];

/// A number or an expression. Two that mean the same number are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Quantity(String);

/// What expressions are about. A name without a value cannot be used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Known {
    /// Threads that run the server's tasks, in all its processes.
    pub workers: Option<usize>,
    /// CPUs that the server may use.
    pub cpus: Option<usize>,
    /// The highest rate, in requests per second, that a search found for the server.
    pub knee: Option<f64>,
    /// The rate, in requests per second, that a search tries.
    pub trial: Option<f64>,
    /// How long servers that take turns are loaded before each slice, in seconds.
    pub lead_in: Option<f64>,
}

impl Known {
    /// Values for all names, to check an expression before any server runs.
    pub const SAMPLE: Known = Known {
        workers: Some(1),
        cpus: Some(1),
        knee: Some(1000.0),
        trial: Some(1000.0),
        lead_in: Some(0.1),
    };

    fn of(&self, name: &str) -> Option<f64> {
        match name {
            "workers" => self.workers.map(|n| n as f64),
            "cpus" => self.cpus.map(|n| n as f64),
            "knee" => self.knee,
            "trial" => self.trial,
            "lead_in" => self.lead_in,
            _ => None,
        }
    }
}

impl Quantity {
    /// Parses `2000`, `0.8 * knee` or `2 * workers`.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn parse(text: &str) -> Result<Quantity, String> {
        let wrong = || format!("'{text}': give a number, or an expression of {}", NAMES.join(", "));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let expression = FlatEx::<f64>::parse(&text).map_err(|_| wrong())?;
        if let Some(name) = expression.var_names().iter().find(|name| !NAMES.contains(&name.as_str())) {
            return Err(format!(
                "'{text}': there is no '{name}': an expression may use {}",
                NAMES.join(", ")
            ));
        }
        if !expression.var_names().is_empty() {
            return Ok(Quantity(text));
        }
        match expression.eval(&[]) {
            Ok(number) if number.is_finite() => Ok(Quantity::from(number)),
            _ => Err(wrong()),
        }
    }

    /// The number, where it is one whatever the server.
    pub fn constant(&self) -> Option<f64> {
        self.0.parse().ok()
    }

    /// Whether its value depends on `name`.
    pub fn needs(&self, name: &str) -> bool {
        FlatEx::<f64>::parse(&self.0).is_ok_and(|expression| expression.var_names().iter().any(|n| n == name))
    }

    /// Its value.
    ///
    /// # Errors
    /// A name without a value, or a result that is no number.
    pub fn value(&self, known: &Known) -> Result<f64, String> {
        if let Some(number) = self.constant() {
            return Ok(number);
        }
        let expression = FlatEx::<f64>::parse(&self.0).map_err(|error| format!("'{self}': {error}"))?;
        let values = expression.var_names().iter().map(|name| known.of(name).ok_or(name));
        let values: Vec<f64> =
            values.collect::<Result<_, _>>().map_err(|name| format!("'{self}': {name} is not known here"))?;
        match expression.eval(&values) {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(format!("'{self}' has no value")),
        }
    }

    /// Its value as a count, rounded to the nearest whole number.
    ///
    /// # Errors
    /// As [`Quantity::value`], or a negative number.
    pub fn count(&self, known: &Known) -> Result<u64, String> {
        let value = self.value(known)?.round();
        match (0.0..=9e15).contains(&value) {
            true => Ok(value as u64),
            false => Err(format!("'{self}' is {value}, which is no count")),
        }
    }
}

impl From<f64> for Quantity {
    fn from(number: f64) -> Quantity {
        Quantity(number.to_string())
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Quantity, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a number, or an expression in quotes")]
        enum Written {
            Number(f64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) if number.is_finite() => Ok(Quantity::from(number)),
            Written::Number(_) => Err(serde::de::Error::custom("give a finite number")),
            Written::Text(text) => Quantity::parse(&text).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Quantity {
        Quantity::parse(text).expect(text)
    }

    #[test]
    fn numbers_that_mean_the_same_are_equal() {
        assert_eq!(parse("2000"), Quantity::from(2000.0));
        assert_eq!(parse("2 * 3"), parse("6.0"));
        assert_ne!(parse("workers"), parse("1"));
        assert_eq!(parse("2  *\tworkers"), parse("2 * workers"));
    }

    #[test]
    fn an_expression_has_a_value_where_its_names_have() {
        let known = Known { workers: Some(3), knee: Some(1000.0), ..Known::default() };
        assert_eq!(parse("2 * workers").count(&known), Ok(6));
        assert_eq!(parse("0.8 * knee").value(&known), Ok(800.0));
        assert_eq!(parse("knee / workers - 1").value(&known), Ok(1000.0 / 3.0 - 1.0));
        assert!(parse("cpus").value(&known).expect_err("unknown").contains("cpus is not known"));
        assert!(parse("workers - 4").count(&known).expect_err("negative").contains("no count"));
        assert!(parse("1 / (workers - 3)").value(&known).expect_err("infinite").contains("no value"));
        assert!(parse("2 * workers").needs("workers") && !parse("2 * workers").needs("knee"));
    }

    #[test]
    fn what_is_no_number_is_refused_in_one_line() {
        for text in ["", "2 *", "foo", "1/0", "workers +", "(2"] {
            let error = Quantity::parse(text).expect_err(text);
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(Quantity::parse("2 * wrokers").expect_err("a slip").contains("no 'wrokers'"));
    }
}
