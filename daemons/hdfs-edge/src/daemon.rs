//! What every daemon's process does alike: logging, the panic rule, stop signals, exit codes.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;
use std::sync::OnceLock;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::Config;
use crate::keys;

/// Exit code for what the user can put right: configuration, folders, ports.
pub const EXIT_USER: u8 = 2;

/// Exit code for what went wrong on its own.
pub const EXIT_FAILED: u8 = 1;

/// Why a daemon ended: one line for the user, and the process's exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Names what was tried, the object, and the remedy.
    pub message: String,
    /// [`EXIT_USER`] or [`EXIT_FAILED`].
    pub exit_code: u8,
}

impl Failure {
    /// A mistake the user can put right.
    pub fn user(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), exit_code: EXIT_USER }
    }

    /// Anything else.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), exit_code: EXIT_FAILED }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::user(error)
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("text or json is accepted".to_owned()),
        }
    }
}

/// The filter in force, changed by the web page `/logLevel` and by `howdah.log.level`.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging to standard error at the level of `RUST_LOG` (`info` without it). A second call
/// in the same process changes nothing.
pub fn init_logging(format: LogFormat) {
    let (filter, handle) = reload::Layer::new(default_filter());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        let _ = FILTER.set(handle);
    }
}

/// The filter of `RUST_LOG`, or `info`.
fn default_filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Logs as `howdah.log.level` says, or as `RUST_LOG` when it says nothing. What `/logLevel` changed
/// before is forgotten. Nothing happens when logging was never started.
pub fn log_as_configured(config: &Config) {
    let Some(handle) = FILTER.get() else { return };
    let text = config.text(&keys::HOWDAH_LOG_LEVEL);
    let filter = match text.is_empty() {
        true => Ok(default_filter()),
        false => EnvFilter::try_new(text).map_err(|error| error.to_string()),
    };
    let applied = filter.and_then(|filter| handle.reload(filter).map_err(|e| e.to_string()));
    if let Err(error) = applied {
        // The reader has checked the value, so this is a bug of ours; a log level is no reason to
        // end a daemon.
        tracing::error!(error, "the log level stays as it is");
    }
}

/// The filter in force, in `RUST_LOG`'s syntax.
pub fn log_filter() -> String {
    let current = FILTER.get().and_then(|handle| handle.with_current(ToString::to_string).ok());
    current.unwrap_or_else(|| "off".to_owned())
}

/// Adds a directive (`target=level` or `level`) to the filter in force.
///
/// # Errors
/// The text is no directive, or logging was never started.
pub fn change_log_filter(directive: &str) -> Result<(), String> {
    let handle = FILTER.get().ok_or("logging is off")?;
    let parsed = directive.parse().map_err(|_| format!("{directive:?} is no level"))?;
    let current = handle.with_current(ToString::to_string).map_err(|error| error.to_string())?;
    let filter = EnvFilter::try_new(current).map_err(|error| error.to_string())?;
    handle.reload(filter.add_directive(parsed)).map_err(|error| error.to_string())
}

/// Makes a panic of any thread end the process: a daemon that lost a thread would look alive and
/// do nothing. The message goes to standard error first.
pub fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// Waits for SIGTERM or SIGINT and names it. Must be called inside a runtime with I/O.
///
/// # Errors
/// The signal handlers could not be set.
pub async fn shutdown_signal() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
