//! Real Hadoop in a cache folder: the jars that `pom.xml` names, fetched by Maven with its
//! ordinary settings, and our Java drivers compiled against them.
//!
//! The cache is made once, in a temporary folder that is renamed when complete, under a lock, so
//! that test runs may race and a broken run leaves nothing half done. Later runs need no network.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::fcntl::{Flock, FlockArg};

use crate::{binary, root};

/// The release that judges us.
pub const VERSION: &str = "3.4.2";

/// Files of the test sources that the tests need on the class path.
const RESOURCES: [&str; 3] = ["contract/hdfs.xml", "editsStored", "editsStored.xml"];

/// A complete cache.
#[derive(Debug)]
pub struct Hadoop {
    /// Compiled drivers and resources; in front of the jars, so that shadows win.
    pub classes: PathBuf,
    jars: Vec<PathBuf>,
}

/// Real Hadoop, or why it is not to be had; made by the first who asks.
///
/// # Errors
/// Java or Maven are missing, or Maven cannot fetch.
pub fn get() -> Result<&'static Hadoop, String> {
    static HADOOP: OnceLock<Result<Hadoop, String>> = OnceLock::new();
    HADOOP.get_or_init(prepare).as_ref().map_err(Clone::clone)
}

/// Real Hadoop for a test; without it the test is skipped loudly, or fails with `CI=true`.
///
/// # Panics
/// With `CI=true`.
pub fn for_test(test: &str) -> Option<&'static Hadoop> {
    match get() {
        Ok(hadoop) => Some(hadoop),
        Err(reason) => {
            crate::skip(test, &reason);
            None
        }
    }
}

impl Hadoop {
    /// A class path with a configuration folder in front.
    pub fn class_path(&self, conf: &Path) -> String {
        let own = [conf, &self.classes].map(|path| path.display().to_string());
        let jars = self.jars.iter().map(|path| path.display().to_string());
        own.into_iter().chain(jars).collect::<Vec<_>>().join(":")
    }
}

fn cache() -> PathBuf {
    match std::env::var_os("HOWDAH_TEST_CACHE") {
        Some(folder) => folder.into(),
        None => binary::target_dir().join(format!("hadoop-{VERSION}")),
    }
}

fn prepare() -> Result<Hadoop, String> {
    let cache = cache();
    fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let lock = cache.join("lock");
    let lock = File::create(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, e)| e.to_string())?;
    ["java", "javac"].into_iter().try_for_each(check)?;
    let pom = root().join("tests/pom.xml");
    let jars = cache.join(format!("jars-{:016x}", digest(std::slice::from_ref(&pom))?));
    if !jars.exists() {
        check("mvn")?;
        fill(&jars, |folder| fetch(&pom, folder))?;
    }
    let mut list = list(&jars, "jar")?;
    list.sort();
    let mut sources = list_deep(&root().join("tests/java"))?;
    sources.sort();
    let classes = cache.join(format!("classes-{:016x}", digest(&sources)?));
    if !classes.exists() {
        fill(&classes, |folder| compile(&sources, &list, folder))?;
    }
    Ok(Hadoop { classes, jars: list })
}

/// A tool that must run.
fn check(tool: &str) -> Result<(), String> {
    run(Command::new(tool).arg("-version")).map_err(|reason| {
        format!("real Hadoop needs a JDK and Maven, and {tool} does not run: {reason}")
    })
}

/// Makes a folder whole or not at all.
fn fill(folder: &Path, make: impl Fn(&Path) -> Result<(), String>) -> Result<(), String> {
    let temporary = folder.with_extension("part");
    let _ = fs::remove_dir_all(&temporary);
    let say = |error: std::io::Error| format!("{}: {error}", temporary.display());
    fs::create_dir_all(&temporary).map_err(say)?;
    make(&temporary)?;
    fs::rename(&temporary, folder).map_err(say)
}

fn fetch(pom: &Path, folder: &Path) -> Result<(), String> {
    eprintln!("fetching Hadoop {VERSION} with Maven, once");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-f"]).arg(pom).arg("dependency:copy-dependencies");
    maven.arg(format!("-DoutputDirectory={}", folder.display()));
    run(&mut maven)
}

fn compile(sources: &[PathBuf], jars: &[PathBuf], folder: &Path) -> Result<(), String> {
    let path: Vec<_> = jars.iter().map(|jar| jar.display().to_string()).collect();
    let java = sources.iter().filter(|path| path.extension().is_some_and(|e| e == "java"));
    let mut javac = Command::new("javac");
    javac.args(["-nowarn", "-cp"]).arg(path.join(":")).arg("-d").arg(folder).args(java);
    run(&mut javac)?;
    let properties = root().join("tests/java/log4j.properties");
    fs::copy(&properties, folder.join("log4j.properties")).map_err(|e| e.to_string())?;
    let is_sources = |jar: &&PathBuf| jar.to_string_lossy().ends_with("-test-sources.jar");
    for jar in jars.iter().filter(is_sources) {
        // The JDK's own archiver; a name that the jar lacks is not an error.
        let mut unpack = Command::new("jar");
        run(unpack.current_dir(folder).arg("xf").arg(jar).args(RESOURCES))?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} failed ({}):\n{out}{err}", output.status))
}

fn digest(files: &[PathBuf]) -> Result<u64, String> {
    let mut hasher = DefaultHasher::new();
    RESOURCES.hash(&mut hasher);
    for file in files {
        let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        bytes.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

fn list(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, String> {
    let mut files = list_deep(folder)?;
    files.retain(|path| path.extension().is_some_and(|e| e == extension));
    Ok(files)
}

fn list_deep(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let say = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(say)? {
        let path = entry.map_err(say)?.path();
        if path.is_dir() {
            files.extend(list_deep(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
