//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! Who may use whom (`layers.toml`), a head comment on every file, no file that asks to be two, a map
//! (ARCHITECTURE.md) that names no file that is gone and every dependency that is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::toml_file;

/// A file longer than this asks to be two (STYLE.md, rule 8).
const FILE_LINES_MAX: usize = 800;

#[derive(Deserialize)]
struct Layers {
    layer: Vec<Layer>,
    beside: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Layer {
    crates: Vec<String>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    dependencies: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
struct Workspace {
    workspace: Manifest,
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Prints what is out of order; true when nothing is.
pub fn run(root: &Path) -> io::Result<bool> {
    let mut complaints = Vec::new();
    check_layers(root, &mut complaints)?;
    check_files(root, &mut complaints)?;
    check_map(root, &mut complaints)?;
    for complaint in &complaints {
        eprintln!("tidy: {complaint}");
    }
    Ok(complaints.is_empty())
}

fn check_layers(root: &Path, complaints: &mut Vec<String>) -> io::Result<()> {
    let layers: Layers = parse(&root.join("layers.toml"))?;
    let level = |name: &str| {
        layers
            .layer
            .iter()
            .position(|layer| layer.crates.iter().any(|known| known == name))
    };
    for directory in subdirectories(&root.join("crates"))? {
        let name = file_name(&directory);
        let Some(own) = level(&name) else {
            complaints.push(format!("crates/{name} is in no layer of layers.toml"));
            continue;
        };
        let manifest: Manifest = parse(&directory.join("Cargo.toml"))?;
        for dependency in manifest.dependencies.keys() {
            let Some(used) = dependency.strip_prefix("ottla-") else {
                continue;
            };
            let below = level(used).is_some_and(|level| level < own);
            let beside = layers
                .beside
                .get(&name)
                .is_some_and(|allowed| allowed.iter().any(|known| known == used));
            if !below && !beside {
                complaints.push(format!("crates/{name} may not use {used}: see layers.toml"));
            }
        }
    }
    Ok(())
}

fn check_files(root: &Path, complaints: &mut Vec<String>) -> io::Result<()> {
    for path in rust_files(&root.join("crates"))? {
        let text = fs::read_to_string(&path)?;
        let shown = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .display()
            .to_string();
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            complaints.push(format!(
                "{shown} has {lines} lines; {FILE_LINES_MAX} ask for two files"
            ));
        }
        let is_test = shown.contains("/tests");
        if !is_test && !text.starts_with("//!") {
            complaints.push(format!(
                "{shown} does not open with `//!` saying what it is for"
            ));
        }
    }
    Ok(())
}

/// Holds ARCHITECTURE.md against the files and the dependencies that are there.
fn check_map(root: &Path, complaints: &mut Vec<String>) -> io::Result<()> {
    let map = fs::read_to_string(root.join("ARCHITECTURE.md"))?;
    let files: Vec<String> = rust_files(&root.join("crates"))?
        .iter()
        .map(|path| path.to_string_lossy().replace("/src/", "/"))
        .collect();
    for named in named_files(&map) {
        let ending = format!("/{}", named.replace("/src/", "/"));
        if !files.iter().any(|file| file.ends_with(&ending)) {
            complaints.push(format!("ARCHITECTURE.md names {named}, which is not there"));
        }
    }
    let manifest: Workspace = parse(&root.join("Cargo.toml"))?;
    for dependency in manifest.workspace.dependencies.keys() {
        if !dependency.starts_with("ottla-") && !map.contains(dependency.as_str()) {
            complaints.push(format!(
                "ARCHITECTURE.md does not say what {dependency} is for"
            ));
        }
    }
    Ok(())
}

/// The Rust files that a text names between backticks, without those that stand for several (`{a,b}.rs`).
fn named_files(text: &str) -> impl Iterator<Item = &str> {
    let spans = text
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    spans.filter(|span| span.ends_with(".rs") && !span.contains(['{', ' ']))
}

fn rust_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            // Generated code follows its generator's rules.
            if file_name(&path) != "generated" {
                found.extend(rust_files(&path)?);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn subdirectories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn parse<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    toml_file::read(path).map_err(io::Error::other)
}

#[cfg(test)]
mod tests;
