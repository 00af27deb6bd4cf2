//! The factors of an experiment file: their levels, and the fields that their names stand in.

use super::quantity::NAMES;
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// More combinations than that are a slip of the finger: each is measured in every block.
const MAX_COMBINATIONS: usize = 1000;

/// The factors of a file, in its order. A level that is a table sets several names in step.
pub(super) struct Factors(Vec<(String, Vec<BTreeMap<String, Value>>)>);

impl Factors {
    pub(super) fn of(table: &Table) -> Result<Factors, String> {
        let mut factors: Vec<(String, Vec<BTreeMap<String, Value>>)> = Vec::new();
        for (name, levels) in table {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if !name.chars().all(plain) || NAMES.contains(&name.as_str()) {
                return Err(format!(
                    "factors.{name}: use small letters, digits and '_', and none of {}",
                    NAMES.join(", ")
                ));
            }
            let wrong = || format!("factors.{name}: give a list of levels, as in [1, \"2 * workers\"]");
            let levels = levels.as_array().filter(|levels| !levels.is_empty()).ok_or_else(wrong)?;
            let level = |level: &Value| match level {
                Value::Table(names) => Ok(names
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect::<BTreeMap<_, _>>()),
                Value::Array(_) | Value::Datetime(_) => Err(wrong()),
                single => Ok(BTreeMap::from([(name.clone(), single.clone())])),
            };
            let levels = levels.iter().map(level).collect::<Result<Vec<_>, _>>()?;
            if levels.iter().any(|level| level.keys().ne(levels[0].keys())) {
                return Err(format!("factors.{name}: every level sets the same names"));
            }
            factors.push((name.clone(), levels));
        }
        let mut names: Vec<&str> =
            factors.iter().flat_map(|(_, levels)| levels[0].keys().map(String::as_str)).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("factors: '{}' is set twice", twice[0]));
        }
        Ok(Factors(factors))
    }

    /// Every name that a level sets.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|(_, levels)| levels[0].keys().map(String::as_str))
    }

    /// The levels of a name, as written.
    pub(super) fn levels(&self, name: &str) -> Option<Vec<String>> {
        let (_, levels) = self.0.iter().find(|(_, levels)| levels[0].contains_key(name))?;
        Some(levels.iter().filter_map(|level| level.get(name)).map(shown).collect())
    }

    /// Every combination of the levels that `table` uses; one without any where it uses none.
    ///
    /// # Errors
    /// There are more than a run could measure.
    pub(super) fn combinations(
        &self,
        table: &Table,
        used: &mut BTreeSet<String>,
    ) -> Result<Vec<BTreeMap<String, Value>>, String> {
        let mut names = BTreeSet::new();
        mentions(&Value::Table(table.clone()), &mut names);
        let mut combinations = vec![BTreeMap::new()];
        for (_, levels) in &self.0 {
            let its: Vec<&String> = levels[0].keys().filter(|name| names.contains(*name)).collect();
            if its.is_empty() {
                continue;
            }
            used.extend(levels[0].keys().cloned());
            if combinations.len() * levels.len() > MAX_COMBINATIONS {
                return Err(format!("factors: give at most {MAX_COMBINATIONS} combinations of levels"));
            }
            let extended = combinations.iter().flat_map(|known| {
                levels.iter().map(|level| {
                    let mut more = known.clone();
                    more.extend(level.clone());
                    more
                })
            });
            combinations = extended.collect();
        }
        Ok(combinations)
    }
}

/// The names in braces anywhere in `value`.
fn mentions(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let after = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
            names.extend(after.map(|(name, _)| name.to_owned()));
        }
        Value::Array(items) => items.iter().for_each(|item| mentions(item, names)),
        Value::Table(table) => table.iter().for_each(|(_, item)| mentions(item, names)),
        _ => {}
    }
}

/// The value with every name in braces replaced by its level: a text that is nothing else becomes the level
/// itself.
pub(super) fn filled(value: &Value, levels: &BTreeMap<String, Value>) -> Value {
    match value {
        Value::String(text) => {
            let whole = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            if let Some(level) = whole.and_then(|name| levels.get(name)) {
                return level.clone();
            }
            let replaced = levels.iter().fold(text.clone(), |text, (name, level)| {
                text.replace(&format!("{{{name}}}"), &shown(level))
            });
            Value::String(replaced)
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| filled(item, levels)).collect()),
        Value::Table(table) => {
            Value::Table(table.iter().map(|(name, item)| (name.clone(), filled(item, levels))).collect())
        }
        other => other.clone(),
    }
}

/// A level as it stands in a column.
pub(super) fn shown(level: &Value) -> String {
    match level {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
