//! Copies the built console into the build folder, or puts a page there that says how to build it.
//!
//! Embedding a copy lets the Rust tests run before the web build has, and makes a missing
//! console a page that says what to do, not a compile error.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

const NOT_BUILT: &str = include_str!("src/not_built.html");

#[expect(
    clippy::disallowed_methods,
    reason = "Cargo tells build scripts where to work in this way"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let built = manifest.join("../../../web/dist");
    let embedded = PathBuf::from(env::var("OUT_DIR")?).join("console");

    // Cargo watches a folder only when it exists; a missing one would rebuild this crate each time.
    fs::create_dir_all(&built)?;
    println!("cargo::rerun-if-changed={}", built.display());
    println!("cargo::rerun-if-changed=src/not_built.html");

    if embedded.exists() {
        fs::remove_dir_all(&embedded)?;
    }
    fs::create_dir_all(&embedded)?;
    if built.join("index.html").is_file() {
        copy_folder(&built, &embedded)?;
    } else {
        fs::write(embedded.join("index.html"), NOT_BUILT)?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
