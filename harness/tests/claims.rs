//! What documents say of servers follows from `pairs.csv` of a committed run, to the number.
//!
//! `results/*/claims.toml` lists the sentences, each with the row that it is about. CONTRIBUTING.md shows its form.

use harness::experiment::root;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A row of `pairs.csv`: its values by their columns.
type Row = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    claim: Vec<Claim>,
}

/// A part of a sentence, and the pairs that it is about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    /// The document, from the root.
    #[serde(rename = "in")]
    document: PathBuf,
    /// The words, as they stand there.
    words: String,
    /// The values of columns that choose the rows. `server` and `against` may be the other way round there.
    #[serde(rename = "where")]
    chosen: BTreeMap<String, toml::Value>,
    /// What every chosen row says.
    verdict: String,
    /// How many rows are chosen.
    #[serde(default = "one")]
    rows: usize,
}

fn one() -> usize {
    1
}

/// A pair's figures, of `server` against `against` as the claim names them.
struct Figures {
    ratio: f64,
    /// The 95% interval, where there is one.
    interval: Option<(f64, f64)>,
    /// The 90% interval, where there is one: equivalence is judged by it.
    narrow: Option<(f64, f64)>,
    delta: f64,
    verdict: String,
}

/// A number as it is written: `31`, `2.3`, `28–34`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Written {
    value: f64,
    digits: usize,
}

impl Written {
    fn read(text: &str) -> Option<Written> {
        let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
        let value = text.parse().ok().filter(|_| plain && text.starts_with(|c: char| c.is_ascii_digit()))?;
        Some(Written { value, digits: text.split_once('.').map_or(0, |(_, digits)| digits.len()) })
    }

    /// Whether it is `exact`, rounded to the written digits.
    fn is(self, exact: f64) -> bool {
        (self.value - exact).abs() <= 0.5 * 0.1_f64.powi(self.digits as i32) + 1e-9
    }
}

/// What a word of a claim says.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    /// `31%`, and the word behind it.
    Percent(Written, String),
    /// `28–34%`.
    Percents(Written, Written),
    /// `2.3 times`.
    Times(Written),
    /// `2.2–2.4`.
    Factors(Written, Written),
    /// `5000/s`, `64`: a number that the row has in some column.
    Given(Written),
    /// `/fib/20`.
    Route(String),
}

/// The numbers and routes in a claim's words.
fn said(words: &str) -> Result<Vec<Said>, String> {
    let quoted = |c: char| "()[]`*\",.;:".contains(c);
    let tokens: Vec<&str> = words.split_whitespace().map(|token| token.trim_matches(quoted)).collect();
    let mut found = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let next = tokens.get(place + 1).copied().unwrap_or_default();
        if token.starts_with('/') {
            found.push(Said::Route((*token).to_owned()));
            continue;
        }
        // A digit within a name, as in p99, is no number.
        if !token.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let read = |text: &str| Written::read(text).ok_or_else(|| format!("'{token}' is no number"));
        let number = token.strip_suffix('%').unwrap_or(token);
        let is_percent = number != *token;
        found.push(match number.split_once('–') {
            Some((low, high)) if is_percent => Said::Percents(read(low)?, read(high)?),
            Some((low, high)) => Said::Factors(read(low)?, read(high)?),
            None if is_percent => Said::Percent(read(number)?, next.to_owned()),
            None if next == "times" => Said::Times(read(number)?),
            None => Said::Given(read(number.strip_suffix("/s").unwrap_or(number))?),
        });
    }
    Ok(found)
}

/// Checks the numbers of a claim's words against one row.
fn check_numbers(said: &[Said], row: &Row, figures: &Figures) -> Result<(), String> {
    let (mut has_ratio, mut has_interval, mut has_bound) = (false, false, false);
    let percent = |ratio: f64| 100.0 * (ratio - 1.0).abs();
    let told = !matches!(figures.verdict.as_str(), "equivalent" | "inconclusive");
    for what in said {
        let is_right = match what {
            Said::Route(route) => row.get("route") == Some(route),
            Said::Given(number) => {
                row.values().filter_map(|value| value.parse::<f64>().ok()).any(|value| value == number.value)
            }
            Said::Percent(bound, next) if next == "of" && figures.verdict == "equivalent" => {
                has_bound = true;
                let (low, high) = figures.narrow.ok_or("the row has no 90% interval")?;
                let distance = percent(high).max(percent(1.0 / low));
                bound.value >= distance && (bound.is(100.0 * figures.delta) || bound.is(distance.ceil()))
            }
            Said::Percent(number, next) => {
                has_ratio = true;
                let is_more = match next.as_str() {
                    "more" | "higher" | "longer" => true,
                    "less" | "fewer" | "lower" | "shorter" => false,
                    _ => return Err(format!("{}%: say more or less right behind it", number.value)),
                };
                is_more == (figures.ratio > 1.0) && number.is(percent(figures.ratio))
            }
            Said::Times(number) => {
                has_ratio = true;
                number.is(figures.ratio)
            }
            Said::Percents(low, high) | Said::Factors(low, high) => {
                has_interval = true;
                let (mut from, mut to) = figures.interval.ok_or("the row has no 95% interval")?;
                if matches!(what, Said::Percents(..)) {
                    if from < 1.0 && to > 1.0 {
                        return Err("the interval includes 1: write it as '1.02 times (0.97–1.08)'".into());
                    }
                    (from, to) = (percent(from).min(percent(to)), percent(from).max(percent(to)));
                }
                low.is(from) && high.is(to)
            }
        };
        if !is_right {
            let (low, high) = figures.interval.unwrap_or((f64::NAN, f64::NAN));
            let pair = format!("{:.4} [{low:.4}, {high:.4}], δ {:.4}", figures.ratio, figures.delta);
            return Err(format!("the row does not say {what:?}: it has {pair}"));
        }
    }
    match figures.verdict.as_str() {
        _ if told && !(has_ratio && has_interval) => Err("a difference is said with its interval".into()),
        "equivalent" if !has_bound => Err("what is equivalent is 'within N% of' each other".into()),
        _ => Ok(()),
    }
}

/// What is said of B against A where A against B is said to be `verdict`.
fn mirrored(verdict: &str) -> &str {
    match verdict {
        "faster" => "slower",
        "slower" => "faster",
        "higher" => "lower",
        "lower" => "higher",
        same => same,
    }
}

fn figures(row: &Row, is_mirrored: bool) -> Result<Figures, String> {
    let number = |column: &str| row.get(column).and_then(|value| value.parse::<f64>().ok());
    let needed = |column: &str| number(column).ok_or_else(|| format!("the row has no {column}"));
    let interval = |low: &str, high: &str| match (number(low), number(high)) {
        (Some(low), Some(high)) if is_mirrored => Some((1.0 / high, 1.0 / low)),
        (low, high) => low.zip(high),
    };
    let ratio = needed("ratio")?;
    let verdict = row.get("verdict").map(String::as_str).unwrap_or_default();
    Ok(Figures {
        ratio: if is_mirrored { 1.0 / ratio } else { ratio },
        interval: interval("interval_95_low", "interval_95_high"),
        narrow: interval("interval_90_low", "interval_90_high"),
        delta: needed("delta")?,
        verdict: if is_mirrored { mirrored(verdict) } else { verdict }.to_owned(),
    })
}

impl Claim {
    fn chosen(&self, column: &str) -> Option<&str> {
        self.chosen.get(column).and_then(toml::Value::as_str)
    }

    /// Whether the row, or its mirror image, has the values that the claim names.
    fn chooses(&self, row: &Row, is_mirrored: bool) -> bool {
        self.chosen.iter().all(|(column, wanted)| {
            let column = match column.as_str() {
                "server" if is_mirrored => "against",
                "against" if is_mirrored => "server",
                other => other,
            };
            let value = row.get(column).map(String::as_str).unwrap_or_default();
            match wanted {
                toml::Value::String(text) => text == value,
                toml::Value::Boolean(truth) => truth.to_string() == value,
                number => number.to_string().parse::<f64>().is_ok_and(|wanted| value.parse() == Ok(wanted)),
            }
        })
    }

    /// Checks the claim against the rows of its run and its document's text.
    fn check(&self, rows: &[Row], document: &str) -> Result<(), String> {
        let words = one_line(&self.words);
        let blocks = blocks(document);
        let block =
            blocks.iter().find(|block| block.contains(&words)).ok_or("the words do not stand there")?;
        let servers: Vec<&str> =
            ["server", "against"].into_iter().filter_map(|column| self.chosen(column)).collect();
        if let Some(name) = servers.iter().find(|name| !block.contains(**name)) {
            return Err(format!("the paragraph does not name {name}"));
        }
        if !servers.is_empty() && !servers.iter().any(|name| words.contains(name)) {
            return Err("the words name neither server".into());
        }
        if let Some(column) = self.chosen.keys().find(|name| rows.iter().any(|row| !row.contains_key(*name)))
        {
            return Err(format!("pairs.csv has no column {column}"));
        }
        // A server on a level of a factor stands against itself: there is one way round.
        let one_way = servers.is_empty() || servers.windows(2).all(|pair| pair[0] == pair[1]);
        let ways: &[bool] = if one_way { &[false] } else { &[false, true] };
        let both = rows.iter().flat_map(|row| ways.iter().map(move |way| (row, *way)));
        let found: Vec<(&Row, bool)> = both.filter(|(row, way)| self.chooses(row, *way)).collect();
        if found.len() != self.rows {
            return Err(format!("{} rows have these values, not {}", found.len(), self.rows));
        }
        let said = said(&words)?;
        if self.verdict == "inconclusive" && !words.contains("not told apart") {
            return Err("what is inconclusive is 'not told apart'".into());
        }
        for (row, way) in found {
            let figures = figures(row, way)?;
            if figures.verdict != self.verdict {
                let value = |column: &str| row.get(column).map(String::as_str).unwrap_or_default();
                let (server, against) = (value("server"), value("against"));
                return Err(format!("{server} against {against} is {}", figures.verdict));
            }
            check_numbers(&said, row, &figures)?;
        }
        Ok(())
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The paragraphs and list items of a document, each in one line.
fn blocks(document: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in document.lines() {
        if line.trim().is_empty() || line.starts_with("- ") || line.starts_with('|') {
            blocks.push(String::new());
        }
        let block = blocks.last_mut().expect("there is one");
        block.push_str(line);
        block.push('\n');
    }
    blocks.iter().map(|block| one_line(block)).collect()
}

/// The claims beside every run that has some, with the run's directory.
fn claims(root: &Path) -> Vec<(PathBuf, Vec<Claim>)> {
    let runs = fs::read_dir(root.join("results")).expect("results");
    let mut found = Vec::new();
    for run in runs.map(|entry| entry.expect("an entry").path()) {
        let Ok(text) = fs::read_to_string(run.join("claims.toml")) else { continue };
        let file: File = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", run.display()));
        found.push((run, file.claim));
    }
    found
}

#[test]
fn every_claim_follows_from_a_row_of_its_run() {
    let root = root::find().expect("a clone");
    let mut wrong = Vec::new();
    let claims = claims(&root);
    assert!(!claims.is_empty(), "no run has a claims.toml");
    for (run, claims) in claims {
        let mut reader = csv::Reader::from_path(run.join("pairs.csv")).expect("pairs.csv");
        let rows: Vec<Row> = reader.deserialize().collect::<Result<_, _>>().expect("rows");
        for claim in claims {
            let path = &claim.document;
            let text = fs::read_to_string(root.join(path)).unwrap_or_default();
            if let Err(problem) = claim.check(&rows, &text) {
                wrong.push(format!("{}: '{}': {problem}", path.display(), claim.words));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readme_compares_servers_only_where_it_is_spliced() {
    let root = root::find().expect("a clone");
    let readme = fs::read_to_string(root.join("README.md")).expect("README.md");
    // What stands between marks is made by a command: `documents::measured` holds it to that.
    let (mut written, mut rest) = (String::new(), readme.as_str());
    while let Some((before, after)) = rest.split_once("<!-- measured ") {
        written += before;
        rest = after.split_once("<!-- end of measured -->").expect("a mark at the end").1;
    }
    written += rest;
    for sign in ["% more", "% less", "% fewer", " times (", " faster", " slower than"] {
        assert!(!written.contains(sign), "a comparison by hand: '{sign}'");
    }
}

mod made_up_rows {
    use super::*;

    /// `slow` against `fast` and two others; a third pair was not told apart, a fourth is equivalent.
    fn rows() -> Vec<Row> {
        let row = |server: &str, against: &str, figures: [&str; 6], verdict: &str| -> Row {
            let columns =
                ["ratio", "interval_95_low", "interval_95_high", "interval_90_low", "interval_90_high"];
            let named = columns.into_iter().chain(["delta"]).zip(figures);
            let known = [("route", "/fib/20"), ("concurrency", "64"), ("offered_rps", "2000.0")];
            let of = [("server", server), ("against", against), ("verdict", verdict), ("metric", "cpu")];
            let all = named.chain(known).chain(of);
            all.map(|(column, value)| (column.to_owned(), value.to_owned())).collect()
        };
        vec![
            row("slow", "fast", ["1.312", "1.28", "1.344", "1.29", "1.33", "0.02"], "higher"),
            row("fast", "slowest", ["0.44", "0.42", "0.46", "0.43", "0.45", "0.02"], "lower"),
            row("a", "b", ["1.02", "0.97", "1.08", "0.98", "1.07", "0.02"], "inconclusive"),
            row("c", "d", ["1.003", "0.99", "1.012", "0.992", "1.011", "0.02"], "equivalent"),
        ]
    }

    fn check(server: &str, against: &str, verdict: &str, words: &str) -> Result<(), String> {
        let claim: Claim = toml::from_str(&format!(
            "in = 'x.md'\nwords = '''{words}'''\nverdict = '{verdict}'\n\
             where = {{ metric = 'cpu', server = '{server}', against = '{against}' }}"
        ))
        .expect("a claim");
        claim.check(&rows(), &format!("Something else.\n\n{words}\nand so on.\n"))
    }

    #[test]
    fn a_sentence_with_the_row_s_numbers_is_right() {
        for (server, against, verdict, words) in [
            ("slow", "fast", "higher", "slow takes 31% more CPU (28–34%) than fast"),
            ("slow", "fast", "higher", "at 2000/s, `/fib/20` takes slow 31.2% more (28.0–34.4%) than fast"),
            (
                "slow",
                "fast",
                "higher",
                "slow takes **1.3 times** (1.28–1.34) that of fast, with\n64 connections",
            ),
            ("fast", "slow", "lower", "fast takes 24% less (22–26%) than slow"),
            ("fast", "slowest", "lower", "fast takes 56% less (54–58%) than slowest"),
            ("slowest", "fast", "higher", "slowest takes 2.3 times (2.2–2.4) that of fast"),
            ("a", "b", "inconclusive", "a and b were not told apart"),
            ("a", "b", "inconclusive", "a has 1.02 times (0.97–1.08) that of b: not told apart"),
            ("c", "d", "equivalent", "c and d are within 2% of each other"),
        ] {
            assert_eq!(check(server, against, verdict, words), Ok(()), "{words}");
        }
    }

    #[test]
    fn a_sentence_that_says_anything_else_is_wrong() {
        for (server, against, verdict, words, said) in [
            ("slow", "fast", "higher", "slow takes 32% more (28–34%) than fast", "does not say"),
            ("slow", "fast", "higher", "slow takes 31% more (27–34%) than fast", "does not say"),
            ("slow", "fast", "higher", "slow takes 31% less (28–34%) than fast", "does not say"),
            ("slow", "fast", "higher", "slow takes 31% (28–34%) over fast", "more or less"),
            ("slow", "fast", "higher", "slow takes 31% more than fast", "with its interval"),
            ("slow", "fast", "higher", "slow takes more than fast", "with its interval"),
            ("slow", "fast", "higher", "on /wait slow takes 31% more (28–34%) than fast", "does not say"),
            ("slow", "fast", "higher", "with 65 slow takes 31% more (28–34%) than fast", "does not say"),
            ("slow", "fast", "lower", "slow takes 31% more (28–34%) than fast", "is higher"),
            ("fast", "slow", "higher", "slow takes 31% more (28–34%) than fast", "is lower"),
            ("slow", "fast", "higher", "slow takes 31% more (28–34%) than the other", "does not name fast"),
            ("slow", "slowest", "higher", "slow takes 31% more (28–34%) than slowest", "0 rows"),
            ("slowest", "fast", "higher", "slowest takes 2.4 times (2.2–2.4) that of fast", "does not say"),
            ("a", "b", "inconclusive", "a and b do the same", "not told apart"),
            ("a", "b", "inconclusive", "a has 2% more (3–8%) than b: not told apart", "includes 1"),
            ("c", "d", "equivalent", "c and d are within 1% of each other", "does not say"),
            ("c", "d", "equivalent", "c and d are within 5% of each other", "does not say"),
            ("c", "d", "equivalent", "c and d are alike", "within N%"),
        ] {
            let problem = check(server, against, verdict, words).expect_err(words);
            assert!(problem.contains(said), "{words}: {problem}");
        }
    }

    #[test]
    fn words_that_stand_nowhere_and_columns_that_are_none_are_wrong() {
        let claim = |chosen: &str, rows: usize| -> Claim {
            let text = format!(
                "in = 'x.md'\nwords = 'not told apart'\nverdict = 'inconclusive'\nrows = {rows}\nwhere = {chosen}"
            );
            toml::from_str(&text).expect("a claim")
        };
        let rows = rows();
        let of_a = claim("{ interval_95_low = 0.97 }", 1);
        assert_eq!(of_a.check(&rows, "they were not told\n  apart."), Ok(()));
        assert!(of_a.check(&rows, "they were told apart").expect_err("no words").contains("do not stand"));
        assert!(of_a.check(&rows, "not told\n\napart").expect_err("two paragraphs").contains("do not stand"));
        let none = claim("{ servr = 'a' }", 1);
        assert!(none.check(&rows, "not told apart").expect_err("a slip").contains("no column servr"));
        // Of several rows each has to say it.
        let all = claim("{ metric = 'cpu' }", 4);
        assert!(all.check(&rows, "not told apart").expect_err("one differs").contains("is higher"));
        let three = claim("{ metric = 'cpu' }", 3);
        assert!(three.check(&rows, "not told apart").expect_err("four").contains("4 rows"));
    }

    #[test]
    fn names_with_digits_are_no_numbers() {
        assert_eq!(said("the p99 of tokio1").expect("nothing"), []);
        assert!(said("2026-11-24").is_err());
        let range = said("(28–34%)").expect("a range");
        let whole = |value| Written { value, digits: 0 };
        assert_eq!(range, [Said::Percents(whole(28.0), whole(34.0))]);
    }
}
