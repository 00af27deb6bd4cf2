//! What is on disk after a run that was cut short, or beside another.

use super::*;

/// A disk that takes `room` bytes.
struct Disk {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.room - self.bytes.len());
        if n == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Truncate for Disk {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.bytes.truncate(usize::try_from(length).map_err(io::Error::other)?);
        Ok(())
    }
}

fn row(n: usize) -> Row {
    Row {
        block: n,
        workload_id: "w".into(),
        server: "smol".into(),
        error: "a, \"b\"".into(),
        ..Row::default()
    }
}

#[test]
fn a_full_disk_leaves_whole_rows() {
    let mut whole = CellsFile::new(Disk { bytes: Vec::new(), room: usize::MAX }, &[]).expect("room");
    let header = whole.file.bytes.len();
    whole.append(&[row(1)]).expect("room");
    let size = whole.file.bytes.len();
    let line = size - header;
    for room in [size, size + 1, size + line, size + line + 1] {
        let mut cells = CellsFile::new(Disk { bytes: Vec::new(), room }, &[]).expect("room");
        cells.append(&[row(1)]).expect("room for one");
        // Of two rows of a replicate none is written if there is room for one only.
        let error = cells.append(&[row(2), row(2)]).expect_err("no room for more");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(csv::read(&cells.file.bytes).expect("valid CSV"), [row(1)]);
    }
}

#[test]
fn rows_come_back_as_they_were_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run");
    let mut directory = Directory::create(&path, &[]).expect("new");
    let full = Row { ok: Some(3), elapsed_s: Some(0.125), keep_alive: true, ..row(1) };
    directory.append(&[full.clone(), row(2)]).expect("room");
    assert_eq!(read_cells(&path).expect("readable"), [full, row(2)]);
    assert!(Directory::create(&path, &[]).expect_err("exists").to_string().contains("never overwritten"));
}

#[test]
fn a_run_is_begun_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run");
    let mut directory = Directory::begin(&path, &[], &7).expect("new");
    directory.append(&[row(1)]).expect("room");
    assert_eq!((directory.path(), read_run::<u8>(&path).expect("there")), (&*path, 7));
    assert_eq!(read_cells(&path).expect("readable"), [row(1)]);
    let refusal = Directory::begin(&path, &[], &8).expect_err("exists").to_string();
    assert!(refusal.contains("run exists already: results are never overwritten"), "{refusal}");
    assert_eq!(read_run::<u8>(&path).expect("there"), 7);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left");
}

#[test]
fn a_half_written_row_is_cut_off_wherever_it_was_cut() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run");
    let mut directory = Directory::create(&path, &[]).expect("new");
    directory.append(&[row(1)]).expect("room");
    let whole = fs::read(path.join(CELLS)).expect("there");
    assert!(Directory::reopen(&path, &[]).expect_err("locked").to_string().contains("still goes on"));
    directory.append(&[row(2)]).expect("room");
    drop(directory);
    let both = fs::read(path.join(CELLS)).expect("there");
    // A prime stride, and the ends of the lines.
    let ends = [whole.len() - 1, whole.len(), whole.len() + 1, both.len() - 1];
    for length in (0..both.len()).step_by(97).chain(ends) {
        fs::write(path.join(CELLS), &both[..length]).expect("written");
        let (mut directory, rows) = Directory::reopen(&path, &[]).expect("continued");
        let expected = if length >= whole.len() { vec![row(1)] } else { Vec::new() };
        assert_eq!(rows, expected, "{length}");
        directory.append(&[row(3)]).expect("room");
        drop(directory);
        assert_eq!(read_cells(&path).expect("readable").last(), Some(&row(3)), "{length}");
    }
}

#[test]
fn a_file_with_other_columns_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run");
    drop(Directory::create(&path, &["k".to_owned()]).expect("new"));
    let other_factors = fs::read(path.join(CELLS)).expect("there");
    for text in [other_factors.as_slice(), b"a,b\n1,2\n3", b"precious", b"schema_version,precious\n1"] {
        fs::write(path.join(CELLS), text).expect("written");
        let refusal = Directory::reopen(&path, &[]).expect_err("another's").to_string();
        assert!(refusal.contains("other columns") && refusal.lines().count() == 1, "{refusal}");
        assert_eq!(fs::read(path.join(CELLS)).expect("there"), text);
    }
    fs::write(path.join(CELLS), &other_factors).expect("written");
    assert!(Directory::reopen(&path, &["k".to_owned()]).is_ok());
}

#[test]
fn rows_are_cut_off_where_they_are_told_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run");
    let mut directory = Directory::create(&path, &[]).expect("new");
    directory.append(&[row(1), row(2), row(3)]).expect("room");
    for (keep, left) in [(4, vec![1, 2, 3]), (2, vec![1, 2]), (0, vec![])] {
        directory.keep(keep).expect("cut");
        directory.append(&[row(9)]).expect("room");
        let blocks: Vec<usize> = read_cells(&path).expect("readable").iter().map(|r| r.block).collect();
        assert_eq!(blocks, [left, vec![9]].concat());
        directory.keep(blocks.len() - 1).expect("cut");
    }
}

#[test]
fn a_row_s_histograms_are_named_after_it() {
    let row = Row {
        block: 3,
        attempt: 2,
        order_index: 14,
        server: "[::1]:80".into(),
        strategy: "async".into(),
        ..Row::default()
    };
    assert_eq!(histograms_name(&row), "3-2-14-___1__80-async.hlog");
    let named = |load: &str, phase: &str| {
        histograms_name(&Row { load: load.into(), phase: phase.into(), ..row.clone() })
    };
    assert_eq!(named("probe", "burst"), "3-2-14-___1__80-async-probe-burst.hlog");
    assert_ne!(named("probe", ""), named("", "probe"));
    let folder = tempfile::tempdir().expect("a folder");
    let directory = Directory::create(&folder.path().join("run"), &[]).expect("new");
    let service = load::histogram::latency(&[7]).expect("encodes");
    directory.write_histograms(&row, &PartReport { service, ..PartReport::default() }).expect("room");
    let path = directory.path().join(HISTOGRAMS).join(histograms_name(&row));
    assert_eq!(interval_log::read(&path).expect("a log").len(), 1);
}
