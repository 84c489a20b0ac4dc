//! `howdah agent` in a folder of its own, with what it shows and keeps there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use howdah::api::client;
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, spawn};
use crate::binary;
use crate::process::{Guard, tail};
use crate::wait;

/// An agent and its folder.
#[derive(Debug)]
pub struct Agent {
    folder: TempDir,
    process: Option<Guard>,
}

impl Agent {
    /// A folder for an agent; nothing runs yet.
    ///
    /// # Panics
    /// The temporary folder is not writable.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), process: None }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the configuration; the state folder and a port of the system's choice are added.
    ///
    /// # Panics
    /// The disk refuses.
    pub fn configure(&self, text: &str) {
        let state = self.folder().join("state");
        let text = format!(
            "state_dir = \"{}\"\ntelemetry {{ listen = \"127.0.0.1:0\" }}\n{text}",
            state.display()
        );
        fs::write(self.folder().join("agent.hcl"), text).expect("a configuration file");
    }

    /// Starts it.
    ///
    /// # Panics
    /// It runs already, or there is no program.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let mut command = Command::new(binary::howdah());
        command.args(["agent", "--config"]).arg(self.folder().join("agent.hcl"));
        // What the machine's owner set is not part of the test.
        for name in ["CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN", "VAULT_ADDR", "VAULT_TOKEN"] {
            command.env_remove(name);
        }
        self.process = Some(spawn(&mut command, &self.log()));
    }

    /// Asks it to stop; its exit code.
    ///
    /// # Panics
    /// It does not stop.
    pub fn stop(&mut self) -> Option<i32> {
        let mut process = self.process.take()?;
        process.signal(Signal::SIGTERM);
        let status = process.wait(PATIENCE);
        status.unwrap_or_else(|| panic!("it does not stop: {}", self.tail())).code()
    }

    /// Its process, if it runs.
    pub fn process(&self) -> Option<i32> {
        self.process.as_ref().map(Guard::id)
    }

    /// Whether it ended by itself.
    pub fn ended(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.status().is_some())
    }

    fn log(&self) -> PathBuf {
        self.folder().join("agent.log")
    }

    /// All it logged.
    pub fn logged(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log()).unwrap_or_default()).into_owned()
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        tail(&self.log())
    }

    /// The folder through which a unit's files are read.
    pub fn conf(&self, unit: &str) -> PathBuf {
        self.folder().join("state/units").join(unit).join("conf")
    }

    /// What it shows of itself; `null` while nobody answers.
    pub fn status(&self) -> Value {
        let socket = self.folder().join("state/agent.sock");
        let told = client::ask(&socket, "GET", "/v1/status").unwrap_or_default();
        serde_json::from_str(&told).unwrap_or(Value::Null)
    }

    /// What it shows of a unit.
    pub fn unit(&self, name: &str) -> Value {
        let status = self.status();
        let units = status["units"].as_array().cloned().unwrap_or_default();
        units.into_iter().find(|unit| unit["name"] == name).unwrap_or(Value::Null)
    }

    /// Waits until `look` gives a value, as long as it runs.
    ///
    /// # Panics
    /// It ended, or nothing came.
    pub fn until<T>(&mut self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        wait::until(what, PATIENCE, || {
            assert!(!self.ended(), "the agent ended while waiting for {what}: {}", self.tail());
            look(self)
        })
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self::new()
    }
}
