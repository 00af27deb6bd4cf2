//! Builds the harness anew when an experiment is added, changed or removed: they are part of the program.

fn main() {
    println!("cargo::rerun-if-changed=experiments");
}
