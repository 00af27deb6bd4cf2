//! Bakes three facts into every binary: the hash of this contract, so that a stale server is refused, the versions in
//! the lockfile, so that a server can say which runtime it really runs, and the compiler flags.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let lockfile = here.join("../../Cargo.lock");
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=transcripts");
    println!("cargo:rerun-if-changed={}", lockfile.display());

    let mut files = Vec::new();
    for folder in ["src", "transcripts"] {
        collect(&here.join(folder), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in &files {
        // The name and the length frame each file, so that moving text between files changes the hash.
        let name = file.strip_prefix(&here).expect("collected below here");
        let bytes = fs::read(file)?;
        hash.update(name.to_string_lossy().as_bytes());
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
    }
    let hex = hash.finalize().iter().take(8).fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes everything");
        hex
    });
    println!("cargo:rustc-env=CONTRACT_HASH={hex}");
    // Cargo parts them by this byte, since a flag may have spaces.
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().replace('\x1f', " ");
    println!("cargo:rustc-env=CONTRACT_RUSTFLAGS={flags}");
    fs::write(out.join("locked.rs"), locked(&lockfile)?)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// The lockfile's packages as the text of a Rust slice of (name, version).
fn locked(lockfile: &Path) -> io::Result<String> {
    let text = fs::read_to_string(lockfile)?;
    let table: toml::Table = text.parse().map_err(io::Error::other)?;
    let mut rows = String::from("&[\n");
    for package in table.get("package").and_then(|p| p.as_array()).into_iter().flatten() {
        let field = |name| package.get(name).and_then(|v| v.as_str()).unwrap_or_default();
        writeln!(rows, "    ({:?}, {:?}),", field("name"), field("version")).map_err(io::Error::other)?;
    }
    rows.push(']');
    Ok(rows)
}
