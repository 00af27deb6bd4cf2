//! Columns as data: each column of a CSV file is described once, and everything else follows from that.

use crate::judge::validity::Figure;
use stats::difference::Better;

/// The type of a column's values, whatever they are. A missing value of any type is an empty field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One line.
    Text,
    /// A whole number, 0 or more.
    Count,
    /// A number with a decimal point.
    Number,
    /// `true` or `false`.
    Truth,
    /// A point in time in UTC, as spreadsheets read it: `2026-11-24 15:00:30.521`.
    Time,
}

impl Kind {
    /// The name that `results/README.md` calls the type by.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Count => "count",
            Kind::Number => "number",
            Kind::Truth => "true/false",
            Kind::Time => "time",
        }
    }

    /// The name that a Frictionless table schema calls the type by.
    pub fn schema_type(self) -> &'static str {
        match self {
            Kind::Text => "string",
            Kind::Count => "integer",
            Kind::Number => "number",
            Kind::Truth => "boolean",
            Kind::Time => "datetime",
        }
    }
}

/// A way to sum up the values that a column has in the blocks of one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Over {
    /// The value is the same in the whole run: shown as it is, also in `pairs.csv`.
    Run,
    /// The value is the same in all cells of a workload: shown as it is, also in `pairs.csv`.
    Workload,
    /// The value is the same in all blocks of a cell: shown as it is.
    Cell,
    /// The median over the blocks without an error.
    Median,
    /// The median of this percentile, where a block beyond the timeout is the largest.
    Percentile(f64),
    /// The smallest value of a block without an error.
    Min,
    /// The largest value of a block without an error.
    Max,
    /// The two ends of the median's 95% interval.
    Interval,
    /// The sum over all blocks.
    Sum,
    /// What `analysis::summary` says of all blocks.
    Told,
}

/// A metric: what it means that one server's value is larger than another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// The short name that a command line calls the metric by.
    pub name: &'static str,
    /// The loops that the short name means this column on.
    pub loops: Loops,
    /// Which end of the metric is the good one.
    pub better: Better,
    /// Which gates speak against it.
    pub figure: Figure,
    /// Whether `pairs.csv` compares the metric.
    pub is_paired: bool,
}

/// The loops that a short name means a column on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loops {
    /// Closed ones.
    Closed,
    /// Open ones.
    Open,
    /// All.
    Both,
}

impl Comparison {
    /// The same metric, in `pairs.csv`.
    pub(super) const fn in_pairs(self) -> Comparison {
        Comparison { is_paired: true, ..self }
    }
}

/// A rate, of which more is faster.
pub(super) const fn rate(name: &'static str) -> Comparison {
    Comparison {
        name,
        loops: Loops::Both,
        better: Better::Higher,
        figure: Figure::Throughput,
        is_paired: false,
    }
}

/// A time, of which less is faster.
pub(super) const fn time(name: &'static str, loops: Loops) -> Comparison {
    Comparison { name, loops, better: Better::Lower, figure: Figure::Latency, is_paired: false }
}

/// CPU or memory, of which less is better.
pub(super) const fn cost(name: &'static str, figure: Figure) -> Comparison {
    Comparison { figure, ..time(name, Loops::Both) }
}

/// What is known of a column of the record `R`.
#[derive(Debug)]
pub struct Column<R: 'static> {
    /// The name in the header, with its unit.
    pub name: &'static str,
    /// The unit; empty for none.
    pub unit: &'static str,
    /// The type.
    pub kind: Kind,
    /// How blocks are summed up; empty for a column that `summary.csv` leaves out.
    pub over: &'static [Over],
    /// How servers are compared by the column; `None` for a column that is no metric.
    pub metric: Option<Comparison>,
    /// The meaning in plain words.
    pub meaning: &'static str,
    /// The value as a field of the file.
    pub get: fn(&R) -> String,
    /// Takes a field of the file over. An error says what it should have been.
    pub set: fn(&mut R, &str) -> Result<(), String>,
    /// The value of a number; `None` where it is missing.
    pub number: fn(&R) -> Option<f64>,
}

impl<R> Column<R> {
    /// Sets a number, rounded to three decimals where the column has decimals.
    pub fn set_number(&self, record: &mut R, value: f64) {
        let text = if self.kind == Kind::Count { format!("{value:.0}") } else { round(value, 3).text() };
        // A column of numbers takes every number.
        _ = (self.set)(record, &text);
    }
}

/// A struct whose fields are columns.
pub trait Record: Sized + 'static {
    /// The columns, in the order of the file.
    const COLUMNS: &'static [Column<Self>];
}

/// A value of a column.
pub trait Value: Sized {
    /// The column's type.
    const KIND: Kind;
    /// The field of the file.
    fn text(&self) -> String;
    /// Reads a field that [`Value::text`] wrote.
    fn read(text: &str) -> Option<Self>;
    /// The value, if it is a number.
    fn number(&self) -> Option<f64> {
        None
    }
}

impl Value for String {
    const KIND: Kind = Kind::Text;
    fn text(&self) -> String {
        self.clone()
    }
    fn read(text: &str) -> Option<String> {
        Some(text.to_owned())
    }
}

impl Value for bool {
    const KIND: Kind = Kind::Truth;
    fn text(&self) -> String {
        self.to_string()
    }
    fn read(text: &str) -> Option<bool> {
        text.parse().ok()
    }
}

impl Value for f64 {
    const KIND: Kind = Kind::Number;
    /// Always with a point: a column of numbers is no column of counts, whatever its values are.
    fn text(&self) -> String {
        if self.is_finite() { format!("{self:?}") } else { String::new() }
    }
    /// No infinity, and nothing that is no number: neither is ever written.
    fn read(text: &str) -> Option<f64> {
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }
    fn number(&self) -> Option<f64> {
        Some(*self)
    }
}

/// How [`Kind::Time`] is written. Spreadsheets take the `T` and the `Z` of ISO 8601 for text.
const TIME: &str = "%Y-%m-%d %H:%M:%S%.3f";

impl Value for jiff::Timestamp {
    const KIND: Kind = Kind::Time;
    fn text(&self) -> String {
        self.strftime(TIME).to_string()
    }
    fn read(text: &str) -> Option<jiff::Timestamp> {
        let utc = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", text).ok()?;
        utc.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    }
}

macro_rules! counts {
    ($($count:ty),*) => { $(
        impl Value for $count {
            const KIND: Kind = Kind::Count;
            fn text(&self) -> String {
                self.to_string()
            }
            fn read(text: &str) -> Option<$count> {
                text.parse().ok()
            }
            fn number(&self) -> Option<f64> {
                // Exact up to 2⁵³.
                Some(*self as f64)
            }
        }
    )* };
}
counts!(u32, u64, usize);

impl<V: Value> Value for Option<V> {
    const KIND: Kind = V::KIND;
    fn text(&self) -> String {
        self.as_ref().map_or_else(String::new, V::text)
    }
    fn read(text: &str) -> Option<Option<V>> {
        if text.is_empty() { Some(None) } else { V::read(text).map(Some) }
    }
    fn number(&self) -> Option<f64> {
        self.as_ref()?.number()
    }
}

/// Rounds to `places` decimals: digits below the clock's resolution are noise in a file.
pub fn round(value: f64, places: i32) -> f64 {
    let factor = 10_f64.powi(places);
    (value * factor).round() / factor
}

/// Defines a struct and the table of its columns, from one entry a column:
/// `field (as "name"): Type, "unit", &[how blocks are summed up] (, metric) => "meaning";`
macro_rules! columns {
    (
        $(#[$attribute:meta])*
        pub struct $record:ident {
            $($field:ident $(as $name:literal)?: $type:ty, $unit:literal, $over:expr $(, $metric:expr)? => $meaning:literal;)*
        }
        with { $($(#[$other_attribute:meta])* $other:ident: $other_type:ty,)* }
    ) => {
        $(#[$attribute])*
        pub struct $record {
            $(#[doc = $meaning] pub $field: $type,)*
            $($(#[$other_attribute])* pub $other: $other_type,)*
        }

        impl $crate::record::column::Record for $record {
            const COLUMNS: &'static [$crate::record::column::Column<$record>] = &[$(
                $crate::record::column::Column {
                    name: $crate::record::column::columns!(@name $field $($name)?),
                    unit: $unit,
                    kind: <$type as $crate::record::column::Value>::KIND,
                    over: $over,
                    metric: $crate::record::column::columns!(@metric $($metric)?),
                    meaning: $meaning,
                    get: |record| $crate::record::column::Value::text(&record.$field),
                    set: |record, text| match <$type as $crate::record::column::Value>::read(text) {
                        Some(value) => {
                            record.$field = value;
                            Ok(())
                        }
                        None => Err(format!(
                            "'{text}' is no {}",
                            <$type as $crate::record::column::Value>::KIND.name()
                        )),
                    },
                    number: |record| $crate::record::column::Value::number(&record.$field),
                },
            )*];
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $name:literal) => { $name };
    (@metric) => { None };
    (@metric $metric:expr) => { Some($metric) };
}
pub(crate) use columns;
