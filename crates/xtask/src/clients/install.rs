//! Sets up what the suites of one language need, pinned by the lock files beside their sources.
//!
//! Everything goes into `target/clients/LANGUAGE`. A stamp, which is a hash of the lock files and of what
//! is compiled, says that it is there already.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Places;
use super::report::Verdict;
use super::suites::Suite;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Toolchain {
    Kcat,
    Python,
    Node,
    Java,
    Go,
    /// Spark's jars and programs of ours that run on them; the suite itself is Java's.
    Spark,
    /// The same for Flink.
    Flink,
}

/// Why a toolchain's suites cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    #[error("this machine has no `{tool}`")]
    Tool { tool: &'static str },
    #[error("set-up: {what}")]
    SetUp { what: String },
}

impl Missing {
    /// A tool that the machine lacks leaves its steps out; CI must have them all.
    pub fn verdict(&self) -> Verdict {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        match self {
            Self::Tool { .. } if !in_ci => Verdict::LeftOut(self.to_string()),
            Self::Tool { .. } | Self::SetUp { .. } => Verdict::Broken(self.to_string()),
        }
    }

    fn set_up(what: impl ToString) -> Self {
        Self::SetUp {
            what: what.to_string(),
        }
    }
}

/// A toolchain that is ready to run its suites.
pub struct Installed {
    toolchain: Toolchain,
}

impl Toolchain {
    /// The name of its directories, for sources and for what is made.
    fn directory(self) -> &'static str {
        match self {
            Self::Kcat => "kcat",
            Self::Python => "python",
            Self::Node => "node",
            Self::Java => "java",
            Self::Go => "go",
            Self::Spark => "spark",
            Self::Flink => "flink",
        }
    }

    /// The programs that the machine must have, each with an argument that makes it answer and end.
    fn tools(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Kcat => &[("kcat", "-V"), ("bash", "--version")],
            Self::Python => &[("python3", "--version")],
            Self::Node => &[("node", "--version"), ("npm", "--version")],
            Self::Java | Self::Spark | Self::Flink => &[("java", "-version"), ("mvn", "--version")],
            Self::Go => &[("go", "version")],
        }
    }

    /// Where the source of `program` lies below `clients`.
    pub fn source_of(self, program: &str) -> PathBuf {
        let directory = Path::new(self.directory());
        match self {
            Self::Kcat | Self::Python | Self::Node => directory.join(program),
            Self::Java | Self::Spark | Self::Flink => directory
                .join("src")
                .join("ottla")
                .join(format!("{program}.java")),
            Self::Go => directory.join(program).join("main.go"),
        }
    }
}

impl Installed {
    /// The command that runs a suite, to which the bootstrap address is still to be added.
    pub fn command(&self, suite: &Suite, places: &Places) -> Command {
        let source = places
            .root
            .join("clients")
            .join(self.toolchain.source_of(suite.program));
        let made = places.made(self.toolchain.directory());
        match self.toolchain {
            Toolchain::Kcat => with_argument("bash", source),
            Toolchain::Python => {
                let mut command = with_argument(made.join("bin").join("python"), source);
                command.env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
            Toolchain::Node => {
                let mut command = with_argument("node", source);
                command.env("NODE_PATH", made.join("node_modules"));
                command
            }
            Toolchain::Java | Toolchain::Spark | Toolchain::Flink => {
                java(places, &format!("ottla.{}", suite.program), SUITE_FLAGS)
            }
            Toolchain::Go => Command::new(made.join("bin").join(suite.program)),
        }
    }
}

/// The Python that the suites run on, with what `requirements.txt` names.
pub fn python(places: &Places) -> Command {
    let made = places.made(Toolchain::Python.directory());
    Command::new(made.join("bin").join("python"))
}

fn with_argument(program: impl Into<OsString>, argument: PathBuf) -> Command {
    let mut command = Command::new(program.into());
    command.arg(argument);
    command
}

/// Short programs: a small heap, and no time for the optimising compiler.
pub const SUITE_FLAGS: &[&str] = &["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// A Java virtual machine on `class`, with our classes, Kafka's and their dependencies.
pub fn java(places: &Places, class: &str, flags: &[&str]) -> Command {
    let mut command = Command::new("java");
    command.args(flags).args([
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        &class_path(places, Toolchain::Java),
        class,
    ]);
    command
}

/// Our classes of a Maven project, and what it depends on.
pub fn class_path(places: &Places, toolchain: Toolchain) -> String {
    let made = places.made(toolchain.directory());
    // Set-up wrote the file; if it is gone the virtual machine says which class it misses.
    let dependencies = fs::read_to_string(made.join("classpath")).unwrap_or_default();
    format!("{}:{}", made.join("classes").display(), dependencies.trim())
}

/// Whether the machine has the programs that a toolchain needs.
pub fn look_for(toolchain: Toolchain) -> Result<(), Missing> {
    for &(tool, argument) in toolchain.tools() {
        let mut command = Command::new(tool);
        command
            .arg(argument)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !command.status().is_ok_and(|status| status.success()) {
            return Err(Missing::Tool { tool });
        }
    }
    Ok(())
}

/// Makes sure that everything is there; shows what the package managers say.
pub fn set_up(toolchain: Toolchain, places: &Places) -> Result<Installed, Missing> {
    look_for(toolchain)?;
    if toolchain == Toolchain::Kcat {
        return Ok(Installed { toolchain });
    }
    let sources = places.sources(toolchain.directory());
    let made = places.made(toolchain.directory());
    let stamp = made.join("stamp");
    let hash = hash_of(toolchain, &sources).map_err(Missing::set_up)?;
    if fs::read_to_string(&stamp).is_ok_and(|found| found == hash) {
        return Ok(Installed { toolchain });
    }
    println!("== setting up {}", toolchain.directory());
    fs::create_dir_all(&made).map_err(Missing::set_up)?;
    match toolchain {
        Toolchain::Kcat => {}
        Toolchain::Python => set_up_python(&sources, &made)?,
        Toolchain::Node => set_up_node(&sources, &made)?,
        Toolchain::Java | Toolchain::Spark | Toolchain::Flink => set_up_java(&sources, &made)?,
        Toolchain::Go => set_up_go(&sources, &made)?,
    }
    fs::write(&stamp, hash).map_err(Missing::set_up)?;
    Ok(Installed { toolchain })
}

fn set_up_python(sources: &Path, made: &Path) -> Result<(), Missing> {
    must(Command::new("python3").args(["-m", "venv"]).arg(made))?;
    must(
        Command::new(made.join("bin").join("python"))
            .args([
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-deps",
                "--requirement",
            ])
            .arg(sources.join("requirements.txt")),
    )
}

fn set_up_node(sources: &Path, made: &Path) -> Result<(), Missing> {
    for file in ["package.json", "package-lock.json"] {
        fs::copy(sources.join(file), made.join(file)).map_err(Missing::set_up)?;
    }
    must(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(made),
    )
}

fn set_up_java(sources: &Path, made: &Path) -> Result<(), Missing> {
    must(
        Command::new("mvn")
            .args(["--batch-mode", "--no-transfer-progress", "--file"])
            .arg(sources.join("pom.xml"))
            .arg("compile")
            .arg("dependency:build-classpath")
            .arg(format!(
                "-Dmdep.outputFile={}",
                made.join("classpath").display()
            )),
    )
}

fn set_up_go(sources: &Path, made: &Path) -> Result<(), Missing> {
    let binaries = made.join("bin");
    fs::create_dir_all(&binaries).map_err(Missing::set_up)?;
    must(
        Command::new("go")
            .arg("build")
            .arg("-o")
            .arg(binaries)
            .arg("./...")
            .current_dir(sources),
    )
}

fn must(command: &mut Command) -> Result<(), Missing> {
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Missing::set_up(format!("{command:?}: {status}"))),
        Err(error) => Err(Missing::set_up(format!("{command:?}: {error}"))),
    }
}

/// A hash over what the set-up depends on: lock files, and the sources where they are compiled.
fn hash_of(toolchain: Toolchain, sources: &Path) -> io::Result<String> {
    let mut files = match toolchain {
        Toolchain::Kcat => Vec::new(),
        Toolchain::Python => vec![sources.join("requirements.txt")],
        Toolchain::Node => vec![sources.join("package-lock.json")],
        Toolchain::Java | Toolchain::Go | Toolchain::Spark | Toolchain::Flink => {
            files_below(sources)?
        }
    };
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(sources)
            .unwrap_or(&file)
            .hash(&mut hasher);
        fs::read(&file)?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn files_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
