//! What `-h` and `--help` show: which flags fit on the first screen, and the headings of all of them.

use clap::{Arg, Command};

/// What `-h` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  harness --server A,B --experiment ab     compare two servers, in a minute";

/// What `--help` ends with.
pub(super) const LONG: &str = "\
Examples:
  harness                                  every server, the default experiment
  harness --server A,B --experiment ab     compare two servers, in a minute
  harness --server A,B --until decided --at-most 10m
  harness --server A --route wait --strategy async --requests 1000
  harness --manifest runtime.toml          a server of your own
  harness --url http://127.0.0.1:8000/     one that is already running

Exit codes:
  0    done
  1    verify or selftest failed, or compare found a regression
  2    the command line is wrong, and nothing was started
  3    some requests failed, or --until, compare or selftest could not tell
  4    a server or the environment failed
  130  interrupted

`harness completions SHELL` prints completions for bash, zsh, fish and others,
`harness man` the manual page.";

/// The flags of a run that `--help` shows and `-h` does not, by their headings.
const HEADINGS: [(&str, &[&str]); 6] = [
    ("What is measured", &["strategy", "route", "interfere", "manifest", "yes_it_is_mine", "root"]),
    ("The load", &["requests", "duration", "warmup", "concurrency", "rate", "arrival", "timeout", "driver"]),
    ("Where", &["hosts", "placement", "server_cpus", "client_cpus"]),
    ("The servers", &["processes", "workers", "blocking_threads"]),
    ("How often", &["blocks", "blocks_of", "until", "at_most", "seed"]),
    ("What comes out", &["resume", "quiet", "details", "color"]),
];

/// Arranges the flags of a run.
pub(super) fn arranged(harness: Command) -> Command {
    harness.mut_args(arranged_flag).mut_subcommand("run", |run| run.mut_args(arranged_flag))
}

fn arranged_flag(arg: Arg) -> Arg {
    match HEADINGS.iter().find(|(_, flags)| flags.contains(&arg.get_id().as_str())) {
        Some((heading, _)) => arg.help_heading(*heading).hide_short_help(true),
        None => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;

    /// A terminal of the usual size.
    const COLUMNS: usize = 80;
    const LINES: usize = 24;

    /// The short help of every command that is shown, `harness` first.
    fn pages() -> Vec<(String, String)> {
        let mut all = command().term_width(COLUMNS);
        let mut pages = vec![("harness".to_owned(), all.render_help().to_string())];
        for shown in all.get_subcommands_mut().filter(|command| !command.is_hide_set()) {
            let page = shown.clone().term_width(COLUMNS).render_help().to_string();
            pages.push((shown.get_name().to_owned(), page));
        }
        pages
    }

    #[test]
    fn the_short_help_of_every_command_fits_on_a_screen() {
        for (name, page) in pages() {
            assert!(page.lines().count() <= LINES, "{name}: {} lines\n{page}", page.lines().count());
            let wide = page.lines().find(|line| line.chars().count() > COLUMNS);
            assert_eq!(wide, None, "{name}");
        }
    }

    #[test]
    fn the_long_help_has_every_flag_a_heading_for_it_examples_and_exit_codes() {
        let mut run = command();
        let long = run.render_long_help().to_string();
        for (heading, flags) in HEADINGS {
            assert!(long.contains(&format!("\n{heading}:\n")), "{heading}");
            for flag in flags {
                assert!(long.contains(&format!("--{}", flag.replace('_', "-"))), "--{flag}");
            }
        }
        assert!(long.contains("Examples:") && long.contains("Exit codes:"));
    }
}
