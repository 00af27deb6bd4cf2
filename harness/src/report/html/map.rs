//! The map: servers down, workloads across, each cell with the figure that its workload is for.

use super::context::{Context, Unit, anchor, html, meaning, plain};
use crate::analysis::map::{Against, MapCell, MapColumn, Ratio, Standing};
use crate::report::answer::DEVIATES;
use crate::report::figures::{percent, ratio};
use crate::report::outlook::told_range;
use crate::report::theme::{BIN_NAMES, LIGHT, bin};
use crate::report::words::{difference, sentences, slight_difference};

/// Draws the map.
pub(super) fn draw(context: &Context<'_>) -> String {
    let map = &context.map;
    if map.workloads.is_empty() {
        return "<p>No row has a figure.</p>\n".to_owned();
    }
    let units: Vec<Unit> = map.workloads.iter().map(Unit::of_column).collect();
    let columns = || map.workloads.iter().zip(&units);
    let head: String = columns().map(|(column, unit)| header(column, unit)).collect();
    let body: String = map
        .servers
        .iter()
        .map(|server| {
            let cells: String = columns().map(|(column, unit)| cell(column, unit, server)).collect();
            let (name, place) = (html(server), context.place(server) % LIGHT.series.len());
            format!("<tr data-s=\"{name}\"><th scope=\"row\"><i class=\"dot\" style=\"color:var(--s{place})\"></i>{}</th>{cells}</tr>\n", html(&map.name(server)))
        })
        .collect();
    let foot = |name: &str, of: &dyn Fn(&MapColumn) -> String| {
        let cells: String = map
            .workloads
            .iter()
            .map(|column| {
                format!("<td data-w=\"{}\">{}</td>", html(&column.row.workload_id), html(&of(column)))
            })
            .collect();
        format!("<tr><th scope=\"row\">{name}</th>{cells}</tr>\n")
    };
    let could_tell =
        |column: &MapColumn| column.told.map_or("–".to_owned(), |(low, high)| told_range(low, high));
    let foot = foot("would have told", &could_tell) + &foot("bounded by", &|column| plain(&column.bound_by));
    let established: String =
        sentences(map).iter().map(|sentence| format!("<li>{}</li>\n", html(sentence))).collect();
    let established = match established.is_empty() {
        true => established,
        false => format!("<h3>What was established</h3>\n<ul>\n{established}</ul>\n"),
    };
    format!(
        "<section id=\"map\"><h2>The map</h2>\n{}<div class=\"scroll\" tabindex=\"-1\"><table class=\"map\">\n<thead><tr><th scope=\"col\">server</th>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n<tfoot>\n{foot}</tfoot></table></div>\n{established}</section>\n",
        legend(
            map.workloads.iter().any(|column| column.against == Against::Baseline),
            !map.deviating.is_empty()
        )
    )
}

fn legend(has_levels: bool, has_deviating: bool) -> String {
    let bins: String = BIN_NAMES
        .iter()
        .enumerate()
        .map(|(n, name)| format!("<li><i class=\"c{n}\"></i>{name}</li>"))
        .collect();
    let levels = match has_levels {
        true => {
            " Where levels of a factor or phases are compared, <b>=</b> and <b>·</b> speak of the same server at the baseline, the bold column."
        }
        false => "",
    };
    let deviates = if has_deviating { format!(" {DEVIATES}.") } else { String::new() };
    format!(
        "<p>Of each workload the one figure that it is for: the median over the blocks. Colour: how many times the best of its column. Point at a cell, or go there with Tab and the arrow keys, for its interval and what was established.</p>\n\
         <ul class=\"legend\">{bins}<li><b>bold</b> the best</li><li><b>=</b> shown to be within δ of the best</li>\
         <li><b class=\"not-told\">·</b> not told apart from the best</li><li><b class=\"without\">why</b> no valid figure</li></ul>\n<p class=\"note\">Would have told: the least difference that the blocks would have established four times in five, from the quietest pair to the noisiest.{levels}{deviates}</p>\n"
    )
}

fn header(column: &MapColumn, unit: &Unit) -> String {
    let row = &column.row;
    let mut lines = vec![format!("<b>{}</b>", html(&row.route))];
    if !row.interference.is_empty() {
        lines.push(format!("+ {}", html(&row.interference)));
    }
    if row.processes > 1 {
        lines.push(format!("{} processes", row.processes));
    }
    lines.push(html(&row.work()));
    // The route stands there already.
    lines.extend(
        row.factors
            .iter()
            .filter(|(name, _)| *name != "route")
            .map(|(name, level)| html(&format!("{name} = {level}"))),
    );
    lines.extend((!row.phase.is_empty()).then(|| html(&row.phase)));
    format!(
        "<th scope=\"col\" data-w=\"{}\"><a href=\"#{}\" title=\"{}\">{}</a><button type=\"button\" class=\"sort\" title=\"sort the servers by it\">{}</button></th>",
        html(&row.workload_id),
        anchor(row),
        html(&row.workload),
        lines.join("<br>"),
        html(&unit.title)
    )
}

fn cell(column: &MapColumn, unit: &Unit, server: &str) -> String {
    let id = html(&column.row.workload_id);
    let Some(cell) = column.cells.get(server) else {
        return format!("<td data-w=\"{id}\" class=\"without\">–<span class=\"tip\">not run</span></td>");
    };
    let tip = html(&words(column, server, cell, unit));
    let Some(value) = cell.value else {
        let reason = match &cell.standing {
            Standing::Without(reason) => html(reason),
            _ => "–".to_owned(),
        };
        return format!(
            "<td data-w=\"{id}\" class=\"without\" tabindex=\"0\"><span class=\"cut\">{reason}</span><span class=\"tip\">{tip}</span></td>"
        );
    };
    let times = column.times_best(value).unwrap_or(1.0);
    let bin = bin(times);
    let (class, mark) = match cell.standing {
        Standing::Reference => ("best", ""),
        Standing::Alike(_) => ("alike", "<b class=\"mark\"> =</b>"),
        Standing::NotTold(_) => ("not-told", "<b class=\"mark\"> ·</b>"),
        Standing::Apart(_) | Standing::Alone | Standing::Without(_) => ("apart", ""),
    };
    format!(
        "<td data-w=\"{id}\" data-v=\"{value}\" class=\"c{bin} {class}\" tabindex=\"0\">{}{mark}<span class=\"tip\">{tip}</span></td>",
        unit.words(value)
    )
}

/// What is known of a cell, in a few words.
fn words(column: &MapColumn, server: &str, cell: &MapCell, unit: &Unit) -> String {
    let mut text = String::new();
    if let Some(value) = cell.value {
        text = format!("{}: {}", unit.title, unit.words(value));
        if let Some(interval) = cell.interval {
            text.push_str(&format!(" [{}–{}]", unit.words(interval.low), unit.words(interval.high)));
        }
        text.push_str(&format!(", {} block{}; ", cell.blocks, if cell.blocks == 1 { "" } else { "s" }));
    }
    let other = match column.against {
        Against::Best => column.best().map_or("the best".to_owned(), |best| format!("the best, {}", best.0)),
        Against::Baseline => "the same server at the baseline".to_owned(),
    };
    let than = match column.against {
        Against::Best => column.best().map_or_else(String::new, |best| best.0.to_owned()),
        Against::Baseline => "at the baseline".to_owned(),
    };
    let of = |r: &Ratio| ratio(r.estimate, r.interval);
    text + &match &cell.standing {
        Standing::Reference if column.against == Against::Best => "the best of its column".to_owned(),
        Standing::Reference => "the baseline".to_owned(),
        Standing::Apart(ratio) => difference(column.metric, server, *ratio, &than),
        Standing::Alike(ratio) => format!("within {} of {other}: {} times", percent(ratio.delta), of(ratio)),
        Standing::NotTold(None) => format!("not told apart from {other}"),
        Standing::NotTold(Some(ratio)) => slight_difference(column.metric, server, *ratio, &than),
        Standing::Alone => "nothing to compare it with".to_owned(),
        Standing::Without(reason) => format!("no valid figure: {reason}"),
    }
}

/// Says what a workload's figure is, with a link to its meaning.
pub(super) fn figure_link(column: &MapColumn, unit: &Unit) -> String {
    meaning(column.metric.column(), &unit.title)
}
