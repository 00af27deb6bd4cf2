//! The figures as a table, and what did not pass in one line each.

use super::judged::Judged;
use crate::report::drawing;
use anyhow::Result;
use std::time::Duration;

/// How the figures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal.
    Table,
    /// For docs/methodology.md.
    Markdown,
    /// For a program.
    Json,
    /// For a spreadsheet.
    Csv,
}

/// All figures.
///
/// # Errors
/// They cannot be written in this form; none is like that.
pub fn render(figures: &[Judged], format: Format) -> Result<String> {
    Ok(match format {
        Format::Json => serde_json::to_string_pretty(figures)? + "\n",
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            figures.iter().try_for_each(|figure| writer.serialize(figure))?;
            String::from_utf8(writer.into_inner()?)?
        }
        Format::Table => table(figures, drawing::Format::Table),
        Format::Markdown => table(figures, drawing::Format::Markdown),
    })
}

fn table(figures: &[Judged], format: drawing::Format) -> String {
    let header = ["case", "set-up", "strategy", "figure", "expected", "measured", "tolerance", ""];
    let mut rows = Vec::new();
    let mut before = String::new();
    for figure in figures {
        let strategy = format!("{} {}", figure.strategy, figure.driver);
        let trial = [figure.case.as_str(), figure.set_up.as_str(), strategy.trim_end()];
        // The same trial's next figure leaves them out.
        let repeated = before == trial.join("|");
        before = trial.join("|");
        let mut line: Vec<String> =
            trial.into_iter().map(|word| if repeated { String::new() } else { word.to_owned() }).collect();
        let with_unit = |value: &str| match value {
            "" => "–".to_owned(),
            value => format!("{value} {}", figure.unit).trim_end().to_owned(),
        };
        line.push(figure.figure.clone());
        line.push(with_unit(&figure.expected));
        line.push(with_unit(&figure.measured));
        line.push(figure.tolerance.clone());
        let word = match figure {
            Judged { passed: true, .. } => "pass",
            Judged { cannot_tell: true, .. } => "cannot tell",
            _ => "FAIL",
        };
        line.push(match figure.attempts {
            1 => word.to_owned(),
            n => format!("{word}, attempt {n}"),
        });
        rows.push(line);
    }
    drawing::drawn(header.map(str::to_owned).to_vec(), rows, 0..0, format)
}

/// How many figures passed, in what time, and each one that did not, in one line. Those that failed come last.
pub fn conclusion(figures: &[Judged], elapsed: Duration) -> String {
    let mut wrong: Vec<&Judged> = figures.iter().filter(|figure| !figure.passed).collect();
    wrong.sort_by_key(|figure| !figure.cannot_tell);
    let untold = wrong.iter().filter(|figure| figure.cannot_tell).count();
    let passed = figures.len() - wrong.len();
    let mut text =
        format!("{passed} of {} figures as expected, in {:.0} s", figures.len(), elapsed.as_secs_f64());
    if untold > 0 {
        text.push_str(&format!("; {untold} cannot be told on a host this noisy"));
    }
    text.push('\n');
    for figure in wrong {
        let word = if figure.cannot_tell { "CANNOT TELL" } else { "FAILED" };
        let strategy = format!("{} {}", figure.strategy, figure.driver);
        let measured = if figure.measured.is_empty() { "nothing" } else { &figure.measured };
        let expected = if figure.expected.is_empty() { "nothing" } else { &figure.expected };
        let unit = if figure.unit.is_empty() { String::new() } else { format!(" {}", figure.unit) };
        text.push_str(&format!(
            "{word} {} {} ({}): {} is {measured}{unit} and should be {expected}{unit} ({})",
            figure.case,
            strategy.trim_end(),
            figure.set_up,
            figure.figure,
            figure.tolerance,
        ));
        if !figure.disturbed.is_empty() {
            text.push_str(&format!("; the host was not quiet: {}", figure.disturbed));
        }
        text.push('\n');
    }
    text
}
