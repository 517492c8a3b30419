//! Rules that the compiler does not check: who may use whom, and how files are named and opened.

use anyhow::Context as _;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Rules {
    layers: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    edges: Vec<Edge>,
    #[serde(default)]
    only: Vec<Only>,
    #[serde(default)]
    pure: Vec<Pure>,
}

#[derive(Deserialize)]
struct Edge {
    from: String,
    to: String,
}

#[derive(Deserialize)]
struct Only {
    #[serde(rename = "crate")]
    name: String,
    by: Vec<String>,
    reason: String,
}

#[derive(Deserialize)]
struct Pure {
    crates: Vec<String>,
    without: Vec<String>,
    reason: String,
}

struct Package {
    name: String,
    layer: String,
    folder: PathBuf,
    /// Names of dependencies that are not for tests.
    uses: BTreeSet<String>,
}

/// File names that say nothing about what is in the file.
const EMPTY_NAMES: [&str; 8] =
    ["utils", "util", "common", "helpers", "helper", "misc", "manager", "core"];
/// A file longer than this is two files.
const LONGEST_FILE: usize = 900;

pub fn run(root: &Path) -> anyhow::Result<()> {
    let rules: Rules = toml::from_str(&fs::read_to_string(root.join("layers.toml"))?)
        .context("layers.toml is valid")?;
    let packages = read_packages(root)?;
    let mut faults = Vec::new();
    check_edges(&rules, &packages, &mut faults);
    check_only(&rules, &packages, &mut faults);
    check_pure(&rules, &packages, &mut faults);
    let mut files = 0;
    for package in &packages {
        for file in rust_files(&package.folder)? {
            files += 1;
            check_file(root, &file, &mut faults)?;
        }
    }
    check_changelog(root, &mut faults)?;
    anyhow::ensure!(faults.is_empty(), "{} faults\n  {}", faults.len(), faults.join("\n  "));
    println!("tidy: {} crates and {files} files follow the rules", packages.len());
    Ok(())
}

fn read_packages(root: &Path) -> anyhow::Result<Vec<Package>> {
    let mut folders = vec![root.join("crates/pelton"), root.join("xtask")];
    for layer in fs::read_dir(root.join("crates"))? {
        let layer = layer?.path();
        if !layer.is_dir() || layer.ends_with("pelton") {
            continue;
        }
        for package in fs::read_dir(layer)? {
            let package = package?.path();
            if package.join("Cargo.toml").exists() {
                folders.push(package);
            }
        }
    }
    folders.sort();
    folders.into_iter().map(|folder| read_package(root, folder)).collect()
}

fn read_package(root: &Path, folder: PathBuf) -> anyhow::Result<Package> {
    let file = folder.join("Cargo.toml");
    let manifest: toml::Table = toml::from_str(&fs::read_to_string(&file)?)
        .with_context(|| format!("{} is valid", file.display()))?;
    let name = manifest["package"]["name"].as_str().context("a package has a name")?.to_owned();
    let uses = manifest
        .get("dependencies")
        .and_then(toml::Value::as_table)
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default();
    let relative = folder.strip_prefix(root)?;
    let layer = match relative.strip_prefix("crates") {
        Ok(inside) => inside.iter().next().context("a layer")?.to_string_lossy().into_owned(),
        Err(_) => "xtask".into(),
    };
    Ok(Package { name, layer, folder, uses })
}

fn check_edges(rules: &Rules, packages: &[Package], faults: &mut Vec<String>) {
    let layer_of: BTreeMap<&str, &str> =
        packages.iter().map(|package| (package.name.as_str(), package.layer.as_str())).collect();
    for package in packages {
        if package.layer == "xtask" {
            continue;
        }
        let Some(allowed) = rules.layers.get(&package.layer) else {
            faults.push(format!("crates/{} is not a layer of layers.toml", package.layer));
            continue;
        };
        for used in &package.uses {
            let Some(&layer) = layer_of.get(used.as_str()) else { continue };
            let stated =
                rules.edges.iter().any(|edge| edge.from == package.name && &edge.to == used);
            if layer != package.layer && !allowed.iter().any(|one| one == layer) && !stated {
                faults.push(format!(
                    "{} ({}) uses {used} ({layer}): layers.toml has no such edge",
                    package.name, package.layer
                ));
            }
        }
    }
}

fn check_only(rules: &Rules, packages: &[Package], faults: &mut Vec<String>) {
    for rule in &rules.only {
        for package in packages {
            if package.uses.contains(&rule.name) && !rule.by.contains(&package.name) {
                faults.push(format!("{} uses {}: {}", package.name, rule.name, rule.reason));
            }
        }
    }
}

fn check_pure(rules: &Rules, packages: &[Package], faults: &mut Vec<String>) {
    for rule in &rules.pure {
        for package in packages.iter().filter(|package| rule.crates.contains(&package.name)) {
            for used in package.uses.iter().filter(|used| rule.without.contains(used)) {
                faults.push(format!("{} uses {used}: {}", package.name, rule.reason));
            }
        }
    }
}

fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn check_file(root: &Path, file: &Path, faults: &mut Vec<String>) -> anyhow::Result<()> {
    let text = fs::read_to_string(file)?;
    let shown = file.strip_prefix(root)?.display().to_string();
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if EMPTY_NAMES.contains(&stem.as_str()) {
        faults.push(format!("{shown}: name the file for what it does"));
    }
    let is_test = shown.contains("/tests/") || stem == "tests";
    if !is_test && !text.starts_with("//!") {
        faults.push(format!("{shown}: a file opens with `//!` that says why it exists"));
    }
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        faults.push(format!("{shown}: {lines} lines; a file over {LONGEST_FILE} is two files"));
    }
    for (number, line) in text.lines().enumerate() {
        if line.contains("TODO") || line.contains("FIXME") {
            if file.ends_with("xtask/src/tidy.rs") {
                continue;
            }
            faults.push(format!("{shown}:{}: finish it, or say in an issue", number + 1));
        }
    }
    Ok(())
}

/// A fragment is `changelog/NAME.KIND.md`.
fn check_changelog(root: &Path, faults: &mut Vec<String>) -> anyhow::Result<()> {
    const KINDS: [&str; 5] = ["added", "changed", "fixed", "removed", "security"];
    for entry in fs::read_dir(root.join("changelog"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        let parts: Vec<&str> = name.split('.').collect();
        if !matches!(parts.as_slice(), [_, kind, "md"] if KINDS.contains(kind)) {
            faults.push(format!("changelog/{name}: name it NAME.KIND.md, KIND one of {KINDS:?}"));
        }
    }
    Ok(())
}
