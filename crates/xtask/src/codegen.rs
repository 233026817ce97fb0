//! `cargo xtask codegen`: Kafka's message schemas become Rust in `crates/protocol/src/generated`.
//!
//! The schemas are read from the jars that Apache Kafka publishes; only names, types, versions and
//! defaults are taken. Invariant: the same jars give the same files, byte for byte, so that
//! `--check` can tell whether the files in the tree are what the generator writes.

mod emit;
mod jars;
mod layout;
mod schema;
mod versions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use schema::SchemaError;

#[derive(clap::Args)]
pub struct Args {
    /// Fail if the files in the tree are not what would be generated; write nothing
    #[arg(long)]
    check: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    #[error("cannot run {program}: {source}")]
    Spawn {
        program: &'static str,
        source: io::Error,
    },
    #[error("{program} failed: {stderr}")]
    Tool {
        program: &'static str,
        stderr: String,
    },
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {source}", path = path.display())]
    Jar {
        path: PathBuf,
        source: zip::result::ZipError,
    },
    #[error("{schema}: {source}")]
    Schema { schema: String, source: SchemaError },
    #[error("{request} has no response in the schemas")]
    MissingResponse { request: String },
    #[error("stale or missing, run `cargo xtask codegen`: {}", .0.join(", "))]
    Stale(Vec<String>),
}

pub fn run(args: &Args) -> Result<(), CodegenError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let scratch = root.join("target/codegen");
    let schemas = jars::read_schemas(&scratch)?;
    let files = layout::render(&schemas)?;

    let fresh = scratch.join("generated");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(|source| file_error(&fresh, source))?;
    }
    write_files(&fresh, &files)?;
    format(&fresh.join("mod.rs"))?;

    let kept = root.join("crates/protocol/src/generated");
    if args.check {
        return compare(&fresh, &kept);
    }
    if kept.exists() {
        fs::remove_dir_all(&kept).map_err(|source| file_error(&kept, source))?;
    }
    write_files(&kept, &read_tree(&fresh)?)
}

fn compare(fresh: &Path, kept: &Path) -> Result<(), CodegenError> {
    let (fresh, kept) = (read_tree(fresh)?, read_tree(kept)?);
    let mut names: Vec<&String> = fresh.keys().chain(kept.keys()).collect();
    names.sort();
    names.dedup();
    let stale: Vec<String> = names
        .into_iter()
        .filter(|name| fresh.get(*name) != kept.get(*name))
        .cloned()
        .collect();
    if stale.is_empty() {
        Ok(())
    } else {
        Err(CodegenError::Stale(stale))
    }
}

fn format(root_module: &Path) -> Result<(), CodegenError> {
    run_tool(
        "rustfmt",
        Command::new("rustfmt")
            .args(["--edition", "2024"])
            .arg(root_module),
    )
}

fn run_tool(program: &'static str, command: &mut Command) -> Result<(), CodegenError> {
    let output = command
        .output()
        .map_err(|source| CodegenError::Spawn { program, source })?;
    if output.status.success() {
        return Ok(());
    }
    let text = if output.stderr.is_empty() {
        output.stdout
    } else {
        output.stderr
    };
    Err(CodegenError::Tool {
        program,
        stderr: String::from_utf8_lossy(&text).into_owned(),
    })
}

fn write_files(dir: &Path, files: &BTreeMap<String, String>) -> Result<(), CodegenError> {
    for (name, text) in files {
        let path = dir.join(name);
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent).map_err(|source| file_error(parent, source))?;
        fs::write(&path, text).map_err(|source| file_error(&path, source))?;
    }
    Ok(())
}

/// Every file below `dir`, by its path relative to it.
fn read_tree(dir: &Path) -> Result<BTreeMap<String, String>, CodegenError> {
    let mut files = BTreeMap::new();
    let mut pending = vec![dir.to_path_buf()];
    while let Some(current) = pending.pop() {
        let entries = fs::read_dir(&current).map_err(|source| file_error(&current, source))?;
        for entry in entries {
            let path = entry.map_err(|source| file_error(&current, source))?.path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).map_err(|source| file_error(&path, source))?;
            let name = path
                .strip_prefix(dir)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            files.insert(name, text);
        }
    }
    Ok(files)
}

fn file_error(path: &Path, source: io::Error) -> CodegenError {
    CodegenError::File {
        path: path.to_path_buf(),
        source,
    }
}
