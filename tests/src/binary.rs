//! Where the `howdah` program is, built once by cargo with the profile of the running test.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The folder cargo builds into.
pub fn target_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("the running test has a path");
    let tag = |folder: &&std::path::Path| folder.join("CACHEDIR.TAG").exists();
    match exe.ancestors().find(tag) {
        Some(folder) => folder.to_owned(),
        // A copied target folder may lack the tag: `<target>/<profile>/deps/<test>`.
        None => exe.ancestors().nth(3).unwrap_or(&exe).to_owned(),
    }
}

/// The path of the program. `HOWDAH_BIN` names another one.
///
/// # Panics
/// When it cannot be built.
pub fn howdah() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(build).clone()
}

fn build() -> PathBuf {
    if let Some(path) = std::env::var_os("HOWDAH_BIN") {
        return path.into();
    }
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let folder = if cfg!(debug_assertions) { "debug" } else { "release" };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The whole workspace, so that features are the ones of the test build and nothing that is
    // built already is built again.
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--workspace", "--bins", "--profile", profile])
        .current_dir(crate::root())
        .env("CARGO_TARGET_DIR", target_dir())
        .output()
        .expect("cargo starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo build of howdah failed:\n{complaint}");
    let path = target_dir().join(folder).join("howdah");
    assert!(path.exists(), "{} was not built", path.display());
    path
}
