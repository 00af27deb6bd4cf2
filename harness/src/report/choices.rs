//! The table of `docs/choosing.md`: for each workload who is as good as the best, and what the others differ by.

use super::drawing::{Format, drawn};
use super::figures;
use super::words::{amount, place};
use crate::analysis::map::{Against, Map, MapColumn, Ratio, Standing};
use crate::analysis::metric::Metric;

/// Draws it: a line for each workload on which servers are compared with the best.
pub fn table(map: &Map, format: Format) -> String {
    let header = ["load", "best", "as good", "not told from it", "differ from it"].map(str::to_owned).into();
    let columns = map.workloads.iter().filter(|column| column.against == Against::Best);
    drawn(header, columns.filter_map(|column| line(column, format)).collect(), 0..0, format)
}

fn line(column: &MapColumn, format: Format) -> Option<Vec<String>> {
    let (best, _) = column.cells.iter().find(|(_, cell)| cell.standing == Standing::Reference)?;
    let mut apart: Vec<(Ratio, &str)> = Vec::new();
    let (mut alike, mut not_told) = (Vec::new(), Vec::new());
    for (server, cell) in &column.cells {
        match &cell.standing {
            Standing::Apart(ratio) => apart.push((*ratio, server)),
            Standing::Alike(_) => alike.push(server.as_str()),
            Standing::NotTold(_) => not_told.push(server.as_str()),
            Standing::Reference | Standing::Alone | Standing::Without(_) => {}
        }
    }
    // The nearest first, whether more is better or less.
    let distance = |ratio: Ratio| ratio.estimate.ln().abs();
    apart.sort_by(|a, b| distance(a.0).total_cmp(&distance(b.0)));
    let apart: Vec<String> =
        apart.iter().map(|(ratio, server)| format!("{server} {}", amount(column.metric, *ratio))).collect();
    let figure = match column.metric {
        Metric::CPU => "CPU per request".to_owned(),
        Metric::THROUGHPUT => "requests per second".to_owned(),
        metric => figures::name(metric),
    };
    let load = format!("{}{}{figure}", place(column), format.line_break());
    let names = |servers: &[&str]| servers.join(", ");
    Some(vec![load, best.clone(), names(&alike), names(&not_told), apart.join(format.line_break())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::map::MapCell;
    use crate::record::row::Row;
    use stats::bootstrap::Interval;
    use std::collections::BTreeMap;

    fn cell(value: f64, standing: Standing) -> MapCell {
        MapCell { value: Some(value), interval: None, blocks: 8, left_out: BTreeMap::new(), standing }
    }

    fn ratio(estimate: f64) -> Ratio {
        let interval = Some(Interval { low: estimate - 0.1, high: estimate + 0.1 });
        Ratio { estimate, interval, delta: 0.02 }
    }

    #[test]
    fn each_server_stands_where_the_pairs_put_it() {
        let row = Row { route: "/plaintext".into(), concurrency: 64, ..Row::default() };
        let cells = BTreeMap::from([
            ("may".to_owned(), cell(5.0, Standing::Reference)),
            ("smol".to_owned(), cell(12.0, Standing::Apart(ratio(2.4)))),
            ("threads".to_owned(), cell(6.5, Standing::Apart(ratio(1.3)))),
            ("tokio-multi".to_owned(), cell(5.0, Standing::Alike(ratio(1.0)))),
            ("async-std".to_owned(), cell(6.0, Standing::NotTold(None))),
            ("glommio".to_owned(), cell(1.0, Standing::Without("errors".into()))),
        ]);
        let of_best = MapColumn {
            row,
            metric: Metric::CPU,
            cells,
            against: Against::Best,
            told: None,
            bound_by: String::new(),
            ceiling: None,
        };
        let of_baseline = MapColumn { against: Against::Baseline, ..of_best.clone() };
        let map = Map { workloads: vec![of_best, of_baseline], ..Map::default() };
        let text = table(&map, Format::Markdown);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines.len(), 1, "a column of baselines has no best: {text}");
        let cells: Vec<&str> = lines[0].split('|').map(str::trim).collect();
        assert_eq!(cells[2..5], ["may", "tokio-multi", "async-std"]);
        assert_eq!(cells[5], "threads 30% more (20–40%)<br>smol 2.4 times (2.3–2.5)");
        assert!(cells[1].starts_with("/plaintext, 64 in flight<br>CPU"), "{text}");
    }
}
