//! `harness list`: what there is.

use crate::cli::args::{ListArgs, ListFormat};
use crate::exit::Exit;
use crate::experiment::catalog::Catalog;
use crate::experiment::file;
use crate::experiment::root::{self, NO_CHECKOUT};
use crate::experiment::server::{Role, ServerDef};
use anyhow::Result;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use contract::route::ROUTES;
use load::Strategy;
use serde_json::json;
use std::io::Write as _;
use strum::VariantArray as _;

/// Lists it.
///
/// # Errors
/// A manifest or an experiment is wrong.
pub(super) fn run(args: &ListArgs) -> Result<Exit> {
    let root = root::of(args.place.root.as_deref())?;
    let catalog = Catalog::read(root.as_deref(), &args.manifest)?;
    let experiments = file::all()?;
    if root.is_none() {
        eprintln!("note: {NO_CHECKOUT}");
    }
    let text = if args.format == ListFormat::Json {
        let servers: Vec<_> = catalog
            .servers
            .iter()
            .map(|server| {
                json!({
                    "name": server.name,
                    "summary": server.summary,
                    "family": server.family,
                    "only_named": server.only_named,
                    "status": server.status.name(),
                    "contestant": server.role == Role::Contestant,
                    "has": server.has,
                    "routes": server.routes.iter().map(|route| &route.name).collect::<Vec<_>>(),
                    "deviations": server.deviations.len(),
                    "missing": server.missing(),
                })
            })
            .collect();
        let strategies: Vec<_> =
            Strategy::VARIANTS.iter().map(|s| json!({ "name": s.name(), "summary": s.summary() })).collect();
        let routes: Vec<_> = ROUTES
            .iter()
            .map(|r| json!({ "name": r.name, "path": r.template, "summary": r.summary }))
            .collect();
        let experiments: Vec<_> = experiments
            .iter()
            .map(|e| {
                let workloads = e.workloads.iter().map(|planned| &planned.workload);
                let labels: Vec<String> =
                    workloads.flat_map(|w| w.parts().into_iter().map(|part| w.label(part))).collect();
                json!({
                    "name": e.name,
                    "question": e.question,
                    "asked_in": e.asked_in,
                    "blocks": e.blocks,
                    "factors": e.factors,
                    "workloads": labels,
                })
            })
            .collect();
        let all = json!({
            "servers": servers, "strategies": strategies, "routes": routes, "experiments": experiments,
        });
        format!("{}\n", serde_json::to_string_pretty(&all)?)
    } else {
        // Where the first of its family stands.
        let mut servers: Vec<&ServerDef> = catalog.servers.iter().collect();
        let place = |family: &str| catalog.servers.iter().position(|server| server.family == family);
        servers.sort_by_key(|server| place(&server.family));
        let mut family = "";
        let rows = servers.into_iter().map(|server| {
            let mut notes = vec![server.summary.clone()];
            notes.retain(|summary| !summary.is_empty());
            match server.role {
                Role::Contestant | Role::Control => {}
                Role::Ceiling => notes.push("not a contestant".into()),
                Role::Oracle => notes.push("an oracle, run only where it is named".into()),
            }
            let routes: Vec<&str> = server
                .has
                .iter()
                .map(String::as_str)
                .chain(server.routes.iter().map(|route| route.name.as_str()))
                .collect();
            if server.has.len() < ROUTES.len() || !server.routes.is_empty() {
                notes.push(format!("has {}", routes.join(", ")));
            }
            notes.extend(server.missing());
            if server.only_named {
                notes.push("only where it is named".into());
            }
            let first = server.family != family;
            family = &server.family;
            [if first { family } else { "" }.to_owned(), server.name.clone(), notes.join("; ")]
        });
        let servers = section("servers", rows);
        let strategies = Strategy::VARIANTS.iter().map(|s| [s.name().to_owned(), s.summary().to_owned()]);
        let routes = ROUTES.iter().map(|r| [r.template.to_owned(), r.summary.to_owned()]);
        let experiments = experiments.iter().map(|e| [e.name.clone(), e.question.clone()]);
        [
            servers,
            section("strategies", strategies),
            section("routes", routes),
            section("experiments", experiments),
        ]
        .join("\n")
    };
    // A closed stdout is not an error.
    _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(Exit::Done)
}

fn section<const N: usize>(title: &str, rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for mut row in rows {
        row[0].insert(0, ' ');
        table.add_row(row);
    }
    format!("{title}\n{}\n", table.trim_fmt())
}
