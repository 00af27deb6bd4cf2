//! `harness serve`: one server in the foreground, for curl or any other client.

use crate::cli::args::ServeArgs;
use crate::exit::{Exit, usage};
use crate::experiment::catalog::Catalog;
use crate::experiment::root;
use crate::experiment::server::{Origin, Protocol, ServerDef};
use crate::run::build::program;
use anyhow::{Context as _, Result};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Builds what is missing and becomes the server: signals, exit code and output are the server's own.
///
/// # Errors
/// There is no such server, it does not build, or it cannot be started.
pub(super) fn run(args: &ServeArgs) -> Result<Exit> {
    let root = root::of(args.place.root.as_deref())?;
    let catalog = Catalog::read(root.as_deref(), &args.manifest)?;
    let def = catalog.find(&args.server)?;
    if let Some(missing) = def.missing() {
        return Err(usage!("{} is {missing}", def.name));
    }
    let built = program(root.as_deref(), &def)?;
    let mut command = command(&def, args, built.as_ref().map(|built| built.program.as_path()))?;
    Err(command.exec()).with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))
}

fn command(def: &ServerDef, args: &ServeArgs, program: Option<&std::path::Path>) -> Result<Command> {
    let fill = |word: &String| {
        word.replace("{dir}", &def.folder.to_string_lossy())
            .replace("{addr}", &args.addr.to_string())
            .replace("{host}", &args.addr.ip().to_string())
            .replace("{port}", &args.addr.port().to_string())
            .replace("{processes}", "1")
    };
    let mut words: Vec<String> = match (&def.origin, program) {
        (Origin::Package(_), Some(program)) => vec![program.to_string_lossy().into_owned()],
        (Origin::Package(package), None) => anyhow::bail!("{} was not built", package.name),
        (Origin::Command(words), _) => words.iter().map(fill).collect(),
    };
    words.extend(def.args.iter().map(fill));
    if def.protocol == Protocol::Contract {
        words.extend(["--addr".to_owned(), args.addr.to_string()]);
    } else if args.addr.port() == 0 {
        return Err(usage!("{} has to be told its port: give --addr 127.0.0.1:8000", def.name));
    }
    words.extend(args.arguments.iter().cloned());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    if let Origin::Command(_) = def.origin {
        command.current_dir(&def.folder);
    }
    Ok(command)
}
