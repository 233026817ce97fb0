//! Fetches Kafka's jars through Maven and reads the schemas inside.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use super::schema::{Message, Origin};
use super::{CodegenError, file_error, run_tool, schema};

/// The release whose schemas are spoken.
const KAFKA_VERSION: &str = "4.3.1";

const JARS: [(&str, Origin); 7] = [
    ("kafka-clients", Origin::Clients),
    ("kafka-metadata", Origin::Metadata),
    ("kafka-group-coordinator", Origin::GroupCoordinator),
    (
        "kafka-transaction-coordinator",
        Origin::TransactionCoordinator,
    ),
    ("kafka-share-coordinator", Origin::ShareCoordinator),
    ("kafka-raft", Origin::Raft),
    ("kafka-storage", Origin::Storage),
];

/// All schemas that have a version, sorted by name within each jar.
pub fn read_schemas(scratch: &Path) -> Result<Vec<Message>, CodegenError> {
    let mut schemas = Vec::new();
    for (artifact, origin) in JARS {
        let jar = scratch.join(format!("{artifact}-{KAFKA_VERSION}.jar"));
        if !jar.exists() {
            copy_from_maven(artifact, scratch)?;
        }
        schemas.extend(read_jar(&jar, origin)?);
    }
    Ok(schemas)
}

fn copy_from_maven(artifact: &str, into: &Path) -> Result<(), CodegenError> {
    run_tool(
        "mvn",
        Command::new("mvn")
            .args(["--quiet", "--batch-mode", "dependency:copy"])
            .arg(format!(
                "-Dartifact=org.apache.kafka:{artifact}:{KAFKA_VERSION}"
            ))
            .arg(format!("-DoutputDirectory={}", into.display()))
            // Without it Maven would look for a project in the current directory.
            .current_dir(std::env::temp_dir()),
    )
}

fn read_jar(path: &Path, origin: Origin) -> Result<Vec<Message>, CodegenError> {
    let jar_error = |source| CodegenError::Jar {
        path: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(|source| file_error(path, source))?;
    let mut archive = zip::ZipArchive::new(file).map_err(jar_error)?;

    let mut schemas = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(jar_error)?;
        let name = entry.name().map_err(jar_error)?.into_owned();
        if !is_schema(&name) {
            continue;
        }
        let mut text = String::new();
        entry
            .read_to_string(&mut text)
            .map_err(|source| file_error(path, source))?;
        let parsed = schema::parse(&text, origin).map_err(|source| CodegenError::Schema {
            schema: name,
            source,
        })?;
        schemas.extend(parsed);
    }
    schemas.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(schemas)
}

fn is_schema(entry: &str) -> bool {
    entry.ends_with(".json")
        && ["common/message/", "common/metadata/", "message/"]
            .iter()
            .any(|folder| {
                entry
                    .strip_prefix(folder)
                    .is_some_and(|rest| !rest.contains('/'))
            })
}
