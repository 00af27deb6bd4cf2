//! What documents show is valid: their files here, their commands in `commands` and, run, in `scripts`.

mod commands;
mod measured;
mod scripts;

use harness::experiment::{file, root};
use std::fs;

/// The code blocks of a document that begin with ```` ```toml ````.
fn toml_blocks(document: &str) -> Vec<String> {
    let path = root::find().expect("a clone").join(document);
    let text = fs::read_to_string(path).expect(document);
    let after = text.split("```toml\n").skip(1);
    after.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_hosts_of_the_documents_are_valid() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    for block in toml_blocks("docs/hosts.md") {
        fs::write(file.path(), &block).expect("written");
        let hosts = harness::experiment::hosts::read(file.path()).expect("valid");
        assert_eq!(hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
    assert_eq!(toml_blocks("docs/hosts.md").len(), 1);
}

#[test]
fn the_experiments_of_the_documents_are_valid() {
    let blocks = toml_blocks("docs/experiments.md");
    let whole: Vec<&String> = blocks.iter().filter(|block| block.contains("question")).collect();
    let read = |text: &str| file::parse("example", text).expect(text);
    assert_eq!(whole.len(), 2, "one with phases, one with a search");

    let phased = read(whole[0]);
    let rows = phased.workloads.iter().map(|planned| planned.workload.parts().len());
    assert_eq!((phased.workloads.len(), rows.sum::<usize>()), (5, 10), "as the text says");
    let last = &phased.workloads[3].workload;
    let part = *last.parts().last().expect("two phases");
    assert_eq!(
        last.label(part),
        "/asyncwait?ms=5, open-loop, 200/s poisson, 256 connections, + fib/27@1, burst"
    );

    let searched = read(whole[1]);
    assert!(searched.workloads.iter().all(|planned| planned.search == Some(0)));
}
