//! `--until decided`: which pairs are the question of a run, and what its looks at them saw.

use super::Analysis;
use super::metric::Metric;
use super::pairs::Pair;
use crate::experiment::model::Experiment;
use crate::judge::validity::Figure;
use crate::record::directory::read_run;
use crate::record::row::Row;
use serde::{Deserialize, Deserializer, Serialize};
use stats::difference::ALPHA;
use stats::looks;
use std::path::Path;
use std::time::Duration;

/// A run that goes on until its question is decided, as `run.json` keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Until {
    /// The most time for measuring, in seconds; the block under way is completed.
    pub at_most_s: Option<f64>,
    /// The error rate of each look, and of all that is said of the run: above 0, and [`ALPHA`] at the most.
    #[serde(deserialize_with = "error_rate")]
    pub alpha: f64,
    /// The time that measuring has taken, in seconds. Of a run that was killed, up to its last block.
    pub spent_s: f64,
    /// The looks so far.
    pub looks: Vec<Look>,
}

/// Reads an error rate: with another one no number of blocks would tell anything.
fn error_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let alpha = f64::deserialize(deserializer)?;
    let is_rate = alpha > 0.0 && alpha <= ALPHA;
    is_rate.then_some(alpha).ok_or_else(|| serde::de::Error::custom(format!("{alpha} is no error rate")))
}

/// What a look saw of the pairs of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The blocks that there were.
    pub blocks: usize,
    /// The pairs that were told apart, or shown to be within δ.
    pub decided: usize,
    /// The others. A pair that has no block with a value of both is not counted.
    pub undecided: usize,
}

impl Until {
    /// The beginning: nothing has been looked at.
    pub fn new(at_most: Option<Duration>) -> Until {
        let at_most_s = at_most.map(|time| time.as_secs_f64());
        Until { at_most_s, alpha: looks::ALPHA, spent_s: 0.0, looks: Vec::new() }
    }

    /// Looks at the `rows` of the first `blocks` blocks, and says how many blocks more it takes until the next
    /// look; `None` where everything is decided, or this was the last look. What has been looked at already is not
    /// looked at again.
    pub fn look(&mut self, rows: &[Row], blocks: usize, question: &Question<'_>) -> Option<usize> {
        if self.looks.last().is_none_or(|look| look.blocks != blocks) {
            let rows: Vec<Row> = rows.iter().filter(|row| row.block <= blocks).cloned().collect();
            let analysis = Analysis::at(&rows, &[], self.alpha);
            self.looks.push(Look::at(blocks, &question.pairs(&analysis)));
        }
        let next = looks::LOOKS.into_iter().find(|look| *look > blocks)?;
        let decided = self.looks.last().is_some_and(|look| look.is_decisive());
        (!decided).then_some(next - blocks)
    }
}

impl Look {
    fn at(blocks: usize, pairs: &[&Pair]) -> Look {
        let decided = pairs.iter().filter(|pair| pair.is_decided()).count();
        Look { blocks, decided, undecided: pairs.len() - decided }
    }

    /// Returns true if every pair is decided. Without a pair nothing is.
    pub fn is_decisive(self) -> bool {
        self.undecided == 0 && self.decided > 0
    }
}

/// The figures that a run is asked for.
#[derive(Debug)]
pub struct Question<'a> {
    /// Each of a load, or of all.
    figures: Vec<(Option<&'a str>, Metric)>,
    /// Whether the experiment asks for them: then they count on any loop.
    is_asked: bool,
}

impl<'a> Question<'a> {
    /// The experiment's own figures, as far as `pairs.csv` compares them. Without figures the throughput, the CPU
    /// time of a request and the latencies that it compares: service times on closed loops, response times on open ones.
    pub fn of(experiment: &'a Experiment) -> Question<'a> {
        let compared = || Metric::of_pairs().into_iter();
        let figure = |figure: &'a String| {
            let (load, column) = figure.rsplit_once('.').map_or((None, &**figure), |(l, c)| (Some(l), c));
            Some((load, compared().find(|metric| metric.column() == column)?))
        };
        let is_usual =
            |metric: &Metric| matches!(metric.figure(), Figure::Throughput | Figure::Cpu | Figure::Latency);
        Question {
            is_asked: !experiment.figures.is_empty(),
            figures: match experiment.figures.is_empty() {
                true => compared().filter(is_usual).map(|metric| (None, metric)).collect(),
                false => experiment.figures.iter().filter_map(figure).collect(),
            },
        }
    }

    /// Returns true if nothing that is asked for is compared.
    pub fn is_empty(&self) -> bool {
        self.figures.is_empty()
    }

    /// The pairs of an analysis that answer it; controls are none.
    pub fn pairs<'p>(&self, analysis: &'p Analysis) -> Vec<&'p Pair> {
        let is_asked = |pair: &&Pair| {
            let is_it = |(load, metric): &(Option<&str>, Metric)| {
                pair.metric == *metric && load.is_none_or(|l| pair.row.load == l)
            };
            !pair.is_control
                && (self.is_asked || pair.metric.is_usual_on(&pair.row.loop_kind))
                && self.figures.iter().any(is_it)
        };
        analysis.pairs.iter().filter(is_asked).collect()
    }
}

/// The error rate that statements on the run in `directory` keep: that of its looks, if it had a number of them.
pub fn alpha_of(directory: &Path) -> f64 {
    #[derive(Deserialize)]
    struct File {
        until: Option<Until>,
    }
    // Rows without a run.json are those of a run as any other.
    read_run::<File>(directory).ok().and_then(|file| file.until).map_or(ALPHA, |until| until.alpha)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::file;

    const QUESTION: &str =
        "question = 'q'\nblocks = 5\n[[load]]\nstrategy = 'closed-loop'\nroute = 'wait'\nduration_s = 1\n";

    fn experiment(figures: &str) -> Experiment {
        file::parse("x", &format!("{figures}\n{QUESTION}")).expect("valid")
    }

    /// Blocks of two servers and a control: the second is `ratio` times the first, in the blocks up to `quiet` give
    /// or take 0.5%, and in later ones or earlier ones 10%.
    fn rows(blocks: usize, ratio: f64, noisy_until: usize) -> Vec<Row> {
        let noise = |block: usize| {
            let size = if block <= noisy_until { 0.10 } else { 0.005 };
            (if block.is_multiple_of(2) { size } else { -size }) * (1.0 + 0.01 * block as f64)
        };
        let row = |server: &str, block: usize, value: f64| Row {
            server: server.into(),
            block,
            verdict: "ok".into(),
            throughput_rps: Some(value),
            server_peak_rss_bytes: Some((1000.0 * block as f64) as u64),
            ..Row::default()
        };
        let of_block = |block: usize| {
            [("a", 1.0), ("b", ratio * f64::exp(noise(block))), ("a.control", 1.0)]
                .map(|(server, level)| row(server, block, 100.0 * level))
        };
        (1..=blocks).flat_map(of_block).collect()
    }

    fn look(blocks: usize, decided: usize, undecided: usize) -> Look {
        Look { blocks, decided, undecided }
    }

    #[test]
    fn what_is_decided_at_the_first_look_ends_there() {
        let experiment = experiment("");
        for ratio in [1.1, 1.0] {
            let mut until = Until::new(None);
            assert_eq!(until.look(&rows(8, ratio, 0), 8, &Question::of(&experiment)), None);
            // Neither the control nor the memory, which nobody asked for.
            assert_eq!(until.looks, [look(8, 1, 0)]);
        }
    }

    #[test]
    fn what_is_not_decided_goes_on_to_the_next_look_and_with_the_last_it_ends() {
        let experiment = experiment("");
        let question = Question::of(&experiment);
        let (all, mut until) = (rows(27, 1.1, 27), Until::new(None));
        let more: Vec<_> =
            looks::LOOKS.into_iter().map(|blocks| until.look(&all, blocks, &question)).collect();
        assert_eq!(more, [Some(4), Some(6), Some(9), None]);
        let seen: Vec<usize> = until.looks.iter().map(|look| look.blocks).collect();
        assert_eq!(seen, looks::LOOKS);
        // Three noisy blocks of eight hide what twelve show.
        let (all, mut until) = (rows(12, 1.1, 3), Until::new(None));
        assert_eq!(until.look(&all, 8, &question), Some(4));
        assert_eq!(until.look(&all, 12, &question), None);
        assert_eq!(until.looks, [look(8, 0, 1), look(12, 1, 0)]);
        // Rows of the same blocks give the same, and a second look at them is none.
        let before = until.clone();
        until.look(&all, 12, &question);
        assert_eq!(until, before);
        let mut resumed = Until::new(None);
        resumed.look(&rows(8, 1.1, 3), 8, &question);
        resumed.look(&all, 12, &question);
        assert_eq!(resumed, before);
    }

    #[test]
    fn an_error_rate_by_which_nothing_could_be_told_is_refused() {
        let read = |alpha: &str| -> Result<Until, _> {
            let text = format!("{{\"at_most_s\":null,\"alpha\":{alpha},\"spent_s\":0.0,\"looks\":[]}}");
            serde_json::from_str(&text)
        };
        assert_eq!(read("0.0125").expect("that of a look"), Until::new(None));
        for wrong in ["0.0", "-1.0", "0.06", "5"] {
            let refusal = read(wrong).expect_err(wrong).to_string();
            assert!(refusal.contains("is no error rate"), "{refusal}");
        }
    }

    #[test]
    fn where_nothing_can_be_compared_nothing_is_decided() {
        let experiment = experiment("");
        let mut until = Until::new(None);
        assert_eq!(until.look(&[], 8, &Question::of(&experiment)), Some(4));
        assert_eq!(until.looks, [look(8, 0, 0)]);
        // Fewer blocks than the first look has decide nothing, however far apart the servers are.
        let mut until = Until::new(None);
        until.look(&rows(7, 3.0, 0), 7, &Question::of(&experiment));
        assert_eq!(until.looks, [look(7, 0, 1)]);
    }

    #[test]
    fn the_question_is_the_experiment_s_figures_or_the_usual_ones() {
        let usual = experiment("");
        let names = |experiment: &Experiment| -> Vec<&str> {
            Question::of(experiment).figures.iter().map(|(_, metric)| metric.column()).collect()
        };
        assert!(
            names(&usual).contains(&"throughput_rps") && names(&usual).contains(&"server_cpu_us_per_request")
        );
        assert!(
            names(&usual).contains(&"response_p99_us") && !names(&usual).contains(&"server_peak_rss_bytes")
        );
        let own = experiment("figures = ['closed-loop.server_peak_rss_bytes', 'shed']");
        let question = Question::of(&own);
        assert_eq!(question.figures, [(Some("closed-loop"), Metric::MEMORY)]);
        let rows: Vec<Row> =
            rows(8, 1.1, 0).into_iter().map(|row| Row { load: "closed-loop".into(), ..row }).collect();
        let analysis = Analysis::at(&rows, &[], looks::ALPHA);
        assert!(question.pairs(&analysis).iter().all(|pair| pair.metric == Metric::MEMORY));
        assert_eq!(question.pairs(&analysis).len(), 1);
        assert!(Question::of(&experiment("figures = ['shed']")).is_empty());
    }

    #[test]
    fn a_run_that_was_looked_at_keeps_the_error_rate_of_its_looks() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(alpha_of(folder.path()), ALPHA);
        let write = |until: Option<Until>| {
            let text = serde_json::json!({ "until": until, "seed": 1 }).to_string();
            std::fs::write(folder.path().join("run.json"), text).expect("written");
        };
        write(None);
        assert_eq!(alpha_of(folder.path()), ALPHA);
        write(Some(Until::new(Some(Duration::from_secs(90)))));
        assert_eq!(alpha_of(folder.path()), 0.0125);
        // What a run of seven blocks tells, one with looks does not.
        let verdicts = |alpha| {
            Analysis::at(&rows(7, 1.1, 0), &[], alpha).pairs.iter().map(Pair::is_decided).collect::<Vec<_>>()
        };
        assert!(verdicts(ALPHA).iter().all(|decided| *decided));
        assert!(verdicts(alpha_of(folder.path())).iter().any(|decided| !decided));
    }
}
