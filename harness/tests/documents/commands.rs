//! Every command of a document is accepted: its flags, and the servers, routes and experiments that it names.

use clap::FromArgMatches as _;
use clap::error::ErrorKind;
use harness::cli::args::RunArgs;
use harness::experiment::{file, root, selection};
use std::fs;
use std::path::{Path, PathBuf};

/// Programs of every system, which documents use beside the project's own.
const ORDINARY: [&str; 11] =
    ["apt-get", "cat", "cp", "curl", "duckdb", "kill", "mkdir", "cd", "git", "rustup", "sbatch"];

/// A command of a document.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Where it stands: the document from the root, and the line.
    pub(crate) at: String,
    /// As it stands there, with its further lines and its here-document.
    pub(crate) text: String,
    /// In the text: it may be the command's name alone.
    is_mention: bool,
}

impl Shown {
    /// True if a name in it stands for one that the reader puts there, as in `results/<run>`.
    pub(crate) fn has_placeholder(&self) -> bool {
        let first = self.text.split("<<").next().unwrap_or_default();
        let is_name = |word: &String| word.chars().all(|c| c.is_ascii_uppercase());
        first.contains(['<', '…'])
            || ["path/to", "foo"].iter().any(|name| first.contains(name))
            || self.words().iter().any(is_name)
    }

    /// True for a mention such as `` `harness report` ``, which lacks what the command needs.
    pub(crate) fn is_name_alone(&self) -> bool {
        let parsed = |words: Vec<String>| harness::cli::command().try_get_matches_from(words);
        self.is_mention && self.programs().into_iter().any(|words| parsed(words).is_err())
    }

    /// The words of its first line and of those that continue it.
    fn words(&self) -> Vec<String> {
        let mut line = String::new();
        for part in self.text.lines() {
            line += part.strip_suffix('\\').unwrap_or(part);
            if !part.ends_with('\\') {
                break;
            }
        }
        shlex::split(&line).unwrap_or_else(|| panic!("{}: no shell reads {line}", self.at))
    }

    /// The words of each program that it starts, without redirections.
    pub(crate) fn programs(&self) -> Vec<Vec<String>> {
        let words = self.words();
        let programs = words.split(|word| ["&&", "&", "|", ";"].contains(&word.as_str()));
        let without = |program: &[String]| -> Vec<String> {
            program.iter().take_while(|word| !word.starts_with(['>', '<'])).cloned().collect()
        };
        programs.map(without).filter(|program| !program.is_empty()).collect()
    }
}

/// The documents that people read, from the root.
pub(crate) fn documents() -> Vec<PathBuf> {
    let root = root::find().expect("a clone");
    let mut found: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "runtimes/README.md", "results/README.md"]
        .into_iter()
        .map(PathBuf::from)
        .collect();
    for folder in ["docs", "docs/experiments", "docs/reports"] {
        let entries = fs::read_dir(root.join(folder)).expect(folder);
        let names = entries.map(|entry| Path::new(folder).join(entry.expect("an entry").file_name()));
        found.extend(names.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    found.sort();
    found
}

/// The commands in a document's `sh` blocks, in their order.
pub(crate) fn in_blocks(document: &Path) -> Vec<Shown> {
    let text = fs::read_to_string(root::find().expect("a clone").join(document)).expect("readable");
    let (mut shown, mut language): (Vec<Shown>, Option<&str>) = (Vec::new(), None);
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(after) = line.strip_prefix("```") {
            language = if language.is_some() { None } else { Some(after) };
        } else if language == Some("sh") && !line.trim().is_empty() && !line.starts_with('#') {
            let mut text = line.to_owned();
            while text.ends_with('\\') {
                text = format!("{text}\n{}", lines.next().expect("a further line").1);
            }
            if line.contains("<<'EOF'") {
                let body = lines.by_ref().map(|(_, line)| line);
                for line in body {
                    text = format!("{text}\n{line}");
                    if line == "EOF" {
                        break;
                    }
                }
            }
            shown.push(Shown {
                at: format!("{}:{}", document.display(), number + 1),
                text,
                is_mention: false,
            });
        }
    }
    shown
}

/// The commands that stand in the text of a document: `` `harness list` ``.
pub(crate) fn in_text(document: &Path) -> Vec<Shown> {
    let text = fs::read_to_string(root::find().expect("a clone").join(document)).expect("readable");
    let outside = text.split("```").step_by(2).collect::<String>();
    let spans = outside.split('`').skip(1).step_by(2);
    let commands = spans.filter(|span| span.starts_with("harness ") || span.starts_with("scripts/"));
    commands
        .map(|span| Shown {
            at: document.display().to_string(),
            text: span.replace('\n', " "),
            is_mention: true,
        })
        .collect()
}

/// Returns what is wrong with a program and its arguments.
fn problem(program: &[String], shown: &Shown) -> Result<(), String> {
    let root = root::find().expect("a clone");
    let (name, arguments) = program.split_first().ok_or("no program")?;
    match name.as_str() {
        "harness" => accepted(program, shown),
        script if script.contains('/') => {
            if !root.join(script).is_file() {
                return Err(format!("there is no {script}"));
            }
            match script {
                "scripts/run_matrix.sh" => {
                    let mut words = vec!["harness".to_owned(), "run".to_owned()];
                    words.extend_from_slice(arguments);
                    accepted(&words, shown)
                }
                "scripts/experiment.sh" if !shown.has_placeholder() => arguments
                    .first()
                    .map_or(Ok(()), |name| file::find(name).map(drop))
                    .map_err(|e| e.to_string()),
                _ => Ok(()),
            }
        }
        "cargo" => {
            let lock = fs::read_to_string(root.join("Cargo.lock")).expect("readable");
            let is_flag = |word: &str| word == "--package" || word == "-p";
            let packages = arguments.windows(2).filter(|pair| is_flag(&pair[0])).map(|pair| &pair[1]);
            let unknown =
                packages.into_iter().find(|package| !lock.contains(&format!("name = \"{package}\"")));
            unknown.map_or(Ok(()), |package| Err(format!("there is no package {package}")))
        }
        ordinary if ORDINARY.contains(&ordinary) => Ok(()),
        other => Err(format!("{other}: no program that documents use")),
    }
}

/// Parses a command line of the harness and, for a run whose names are the project's, resolves them.
fn accepted(words: &[String], shown: &Shown) -> Result<(), String> {
    let matches = match harness::cli::command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => return Ok(()),
        Err(error) if shown.is_mention && error.kind() == ErrorKind::MissingRequiredArgument => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let run = match matches.subcommand() {
        None => &matches,
        Some(("run", matches)) => matches,
        Some(_) => return Ok(()),
    };
    let args = RunArgs::from_arg_matches(run).map_err(|error| error.to_string())?;
    // Files of the reader's own, which the document makes.
    let has_own = args.request.experiment.as_ref().is_some_and(|name| name.ends_with(".toml"))
        || !args.request.manifest.is_empty();
    if shown.has_placeholder() || args.resume.is_some() || has_own {
        return Ok(());
    }
    let root = root::find().ok();
    selection::select(root.as_deref(), &args.request).map(drop).map_err(|error| error.to_string())
}

#[test]
fn every_command_of_the_documents_is_accepted() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for document in documents() {
        for shown in in_blocks(&document).into_iter().chain(in_text(&document)) {
            for program in shown.programs() {
                seen += 1;
                let checked = problem(&program, &shown);
                wrong.extend(checked.err().map(|why| format!("{}: {}: {why}", shown.at, program.join(" "))));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 20, "the documents show commands: {seen}");
}

#[test]
fn a_command_that_no_longer_works_is_found() {
    let of = |text: &str| {
        let shown = Shown { at: "here".into(), text: text.into(), is_mention: false };
        shown.programs().iter().try_for_each(|program| problem(program, &shown))
    };
    for right in [
        "harness --server smol --route fib/20   # a comment",
        "harness compare results/<run>:smol results/<run>:may --fail-on 'cpu>+5%'",
        "mkdir -p /tmp/x && cat > /tmp/x/y <<'EOF'\nharness --nosuch\nEOF",
        "scripts/run_matrix.sh --server smol \\\n  --blocks 5",
        "harness serve --server smol &",
    ] {
        assert_eq!(of(right), Ok(()), "{right}");
    }
    for wrong in [
        "harness --sever smol",
        "harness --server smoll",
        "harness --server smol --experiment nosuch",
        "harness --server smol --route nosuch",
        "harness --server smol --strategy sequential --rate 5",
        "harness bench",
        "scripts/nosuch.sh",
        "scripts/run_matrix.sh --nosuch",
        "cargo build --package rt-nosuch",
        "mkdir x && harness --nosuch",
        "frobnicate",
    ] {
        assert!(of(wrong).is_err(), "{wrong}");
    }
}
