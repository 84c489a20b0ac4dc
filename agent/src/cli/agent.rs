//! The agent's verbs: run it, look at it, steer it.
//!
//! `validate`, `render`, `diff`, `generations` and `history` work without a running agent;
//! `status`, `rollback`, `restart`, `freeze` and `thaw` ask the one whose socket the configuration
//! names.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use hdfs_edge::daemon::Failure;
use serde_json::json;

use crate::api::client;
use crate::config::{self, AgentConfig, Scope};
use crate::engine::diff;
use crate::run::{self, history, vault};
use crate::sources::consul::Put;

/// Between two looks at a unit that restarts.
const POLL: Duration = Duration::from_millis(50);

/// `diff` found changes.
const EXIT_CHANGES: i32 = 2;

/// What every verb takes.
#[derive(Debug, Args, Clone)]
pub(super) struct Common {
    /// Configuration file or folder; may be given again
    #[arg(long, value_name = "FILE or DIR", default_value = "/etc/howdah")]
    config: Vec<PathBuf>,
    /// Only this unit; may be given again
    #[arg(long, value_name = "NAME")]
    unit: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Common {
    fn options(&self) -> run::Options {
        run::Options { config: self.config.clone(), units: self.unit.clone() }
    }

    fn load(&self) -> Result<AgentConfig, Failure> {
        run::load(&self.options()).map_err(Failure::user)
    }

    fn ask(&self, method: &str, target: &str) -> Result<String, Failure> {
        client::ask(&self.load()?.socket, method, target).map_err(Failure::failed)
    }
}

#[derive(Debug, Args)]
pub(super) struct RenderArguments {
    #[command(flatten)]
    common: Common,
    /// Write the files into DIR/UNIT/ instead of printing their names
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Render and end; taken for clarity, since it always does
    #[arg(long)]
    once: bool,
}

#[derive(Debug, Args)]
pub(super) struct UnitArguments {
    #[command(flatten)]
    common: Common,
    /// The unit
    #[arg(value_name = "UNIT")]
    name: String,
    /// The generation to go back to [default: the one before]
    #[arg(value_name = "N")]
    number: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct FreezeArguments {
    #[command(flatten)]
    common: Common,
    /// Every agent of the cluster, by a key in Consul
    #[arg(long)]
    cluster: bool,
    /// What to show as the reason, with --cluster
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct RestartArguments {
    #[command(flatten)]
    common: Common,
    /// The units; every one that runs a program with --rolling and none named
    #[arg(value_name = "UNIT")]
    names: Vec<String>,
    /// One after another: the next when the last one is ready again
    #[arg(long)]
    rolling: bool,
    /// How long a unit may take to be ready again, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
}

#[derive(Debug, Args)]
pub(super) struct HistoryArguments {
    #[command(flatten)]
    common: Common,
    /// Only changes of this key
    #[arg(long, value_name = "K")]
    key: Option<String>,
}

pub(super) fn agent(common: &Common) -> Result<(), Failure> {
    run::run(&common.options())
}

/// 0 when the configuration could be used, else 2.
pub(super) fn validate(common: &Common) -> i32 {
    let loaded = config::load(&common.config, &Scope::of_process());
    let problems: Vec<String> = match &loaded {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    };
    if common.json {
        println!("{}", json!({ "valid": problems.is_empty(), "problems": problems }));
    } else if let Ok(config) = &loaded {
        for note in &config.notes {
            eprintln!("howdah: {note}");
        }
        println!("valid: {} units, {} layers", config.units.len(), config.layers.len());
    } else {
        for problem in &problems {
            eprintln!("howdah: {problem}");
        }
    }
    if problems.is_empty() { 0 } else { super::EXIT_USER }
}

fn rendered(
    config: &AgentConfig,
) -> Result<Vec<(config::UnitConfig, crate::engine::Rendered)>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    runtime.block_on(run::render_once(config)).map_err(Failure::failed)
}

pub(super) fn render(arguments: &RenderArguments) -> Result<(), Failure> {
    let config = arguments.common.load()?;
    let all = rendered(&config)?;
    let mut refused = Vec::new();
    for (unit, rendered) in &all {
        for warning in &rendered.warnings {
            eprintln!("howdah: {warning}");
        }
        if !rendered.usable() {
            refused.push(format!("{}: {}", unit.name, rendered.refusal()));
            continue;
        }
        if let Some(folder) = &arguments.to {
            let folder = folder.join(&unit.name);
            let failed = |error: std::io::Error| {
                Failure::failed(format!("cannot write {}: {error}", folder.display()))
            };
            std::fs::create_dir_all(&folder).map_err(failed)?;
            let link = folder.join("conf");
            crate::actuators::generations::Generations::new(&folder, link)
                .commit(&rendered.files)
                .map_err(Failure::failed)?;
        }
        if arguments.common.json {
            let files: Vec<_> = rendered
                .files
                .iter()
                .map(|(name, file)| {
                    let (bytes, mode) = (file.content.bytes().len(), format!("{:04o}", file.mode));
                    json!({ "name": name, "bytes": bytes, "secret": file.secret, "mode": mode })
                })
                .collect();
            println!("{}", json!({ "unit": unit.name, "index": rendered.index, "files": files }));
        } else {
            for (name, file) in rendered.files.iter() {
                let secret = if file.secret { " secret" } else { "" };
                let length = file.content.bytes().len();
                println!("{}/{name} {:04o} {length} bytes{secret}", unit.name, file.mode);
            }
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(Failure::user(refused.join("\n"))) }
}

/// 0 no change, 2 changes, 1 error.
pub(super) fn diff(common: &Common) -> i32 {
    match try_diff(common) {
        Ok(false) => 0,
        Ok(true) => EXIT_CHANGES,
        Err(failure) => {
            eprintln!("howdah: {}", failure.message);
            1
        }
    }
}

fn try_diff(common: &Common) -> Result<bool, Failure> {
    let config = common.load()?;
    let mut changes = false;
    for (unit, rendered) in rendered(&config)? {
        if !rendered.usable() {
            return Err(Failure::failed(format!("{}: {}", unit.name, rendered.refusal())));
        }
        let generations = run::generations(&config, &unit);
        let current = generations.current();
        let old = match current {
            Some(number) => generations.files(number).map_err(Failure::failed)?,
            None => crate::engine::Files::new(),
        };
        let text = diff::diff(&old, &rendered.files);
        if text.is_empty() {
            continue;
        }
        changes = true;
        let marks = crate::engine::change::marks(&unit, &rendered.files);
        let before = current.and_then(|number| generations.meta(number));
        let action = before.map_or("start".to_owned(), |meta| {
            format!("{:?}", meta.marks().to(marks)).to_lowercase()
        });
        if common.json {
            println!("{}", json!({ "unit": unit.name, "action": action, "diff": text }));
        } else {
            println!("# {}: {action}\n{text}", unit.name);
        }
    }
    Ok(changes)
}

pub(super) fn status(common: &Common) -> Result<(), Failure> {
    let answer = common.ask("GET", "/v1/status")?;
    if common.json {
        println!("{answer}");
        return Ok(());
    }
    let status: serde_json::Value = serde_json::from_str(&answer).map_err(Failure::failed)?;
    for (name, error) in status["sources"].as_object().into_iter().flatten() {
        println!("source {name}: {}", error.as_str().unwrap_or("ok"));
    }
    if status["vault"].is_object() {
        println!("{}", vault::line(&status["vault"]));
    }
    if status["frozen"] == true {
        println!("frozen: nothing new is taken; howdah thaw resumes");
    }
    if let Some(reason) = status["cluster_frozen"].as_str() {
        println!("the cluster is frozen: {reason}; howdah thaw --cluster resumes");
    }
    for unit in status["units"].as_array().into_iter().flatten() {
        let text = |field: &str| unit[field].as_str().map(str::to_owned);
        let name = text("name").unwrap_or_default();
        let generation = match unit["generation"].as_u64() {
            Some(number) => format!("generation {number}"),
            None => "no generation yet".to_owned(),
        };
        let ready = match (unit["ready"] == true, unit["state"].as_str()) {
            (true, None) => "ready".to_owned(),
            (true, Some(state)) => format!("ready, {state}"),
            (false, _) => "not ready".to_owned(),
        };
        match (unit["program"] == true, unit["pid"].as_i64()) {
            (false, _) => println!("{name}: files only, {generation}"),
            (true, Some(pid)) => println!("{name}: {ready}, {generation}, process {pid}"),
            (true, None) => println!("{name}: {ready}, {generation}, no process"),
        }
        if let Some(number) = unit["rolled_back_to"].as_u64() {
            println!("  rolled back to generation {number}");
        }
        if let Some(launch) = text("launch") {
            println!("  not started: {launch}");
        }
        if let Some(rollout) = text("rollout") {
            println!("  rollout: {rollout}");
        }
        if let Some(drift) = text("drift") {
            println!("  files were changed by somebody else: {drift}");
        }
        if unit["last_good_in_use"] == true {
            println!("  runs with its last good generation: the sources did not answer");
        }
        if let Some(reason) = text("refused") {
            println!("  its newest configuration is refused: {reason}");
        }
        for warning in unit["warnings"].as_array().into_iter().flatten() {
            println!("  {}", warning.as_str().unwrap_or_default());
        }
    }
    Ok(())
}

pub(super) fn generations(common: &Common) -> Result<(), Failure> {
    let config = common.load()?;
    for unit in &config.units {
        let generations = run::generations(&config, unit);
        let (current, good) = (generations.current(), generations.good());
        for number in generations.numbers() {
            let meta = generations.meta(number).unwrap_or_default();
            let (in_force, is_good) = (Some(number) == current, Some(number) == good);
            if common.json {
                let line = json!({
                    "unit": unit.name, "generation": number, "index": meta.index,
                    "time": meta.time, "action": meta.reason, "in_force": in_force,
                    "good": is_good,
                });
                println!("{line}");
                continue;
            }
            let marks = [(in_force, " in force"), (is_good, " good")];
            let marks: String =
                marks.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
            let (name, index, action) = (&unit.name, meta.index, &meta.reason);
            println!("{name} {number} index {index} {action}{marks}");
        }
        for told in generations.drift() {
            eprintln!("howdah: {}: {told}", unit.name);
        }
    }
    Ok(())
}

pub(super) fn rollback(arguments: &UnitArguments) -> Result<(), Failure> {
    let to = arguments.number.map(|number| format!("&to={number}")).unwrap_or_default();
    let target = format!("/v1/rollback?unit={}{to}", arguments.name);
    arguments.common.ask("POST", &target).map(drop)
}

/// Asks for the restarts; with `--rolling` follows each until its unit is ready again.
pub(super) fn restart(arguments: &RestartArguments) -> Result<(), Failure> {
    let common = &arguments.common;
    let config = common.load()?;
    let mut names = arguments.names.clone();
    if names.is_empty() && arguments.rolling {
        let running = config.units.iter().filter(|unit| unit.command.is_some());
        names = running.map(|unit| unit.name.clone()).collect();
    }
    if names.is_empty() {
        return Err(Failure::user("restart needs a UNIT, or --rolling for all of them"));
    }
    for name in names {
        let before = unit_status(common, &name)?;
        common.ask("POST", &format!("/v1/restart?unit={name}"))?;
        if arguments.rolling {
            let took = ready_again(common, &name, &before, arguments.timeout)?;
            match common.json {
                true => println!("{}", json!({ "unit": name, "seconds": took.as_secs_f64() })),
                false => println!("{name}: ready again after {:.1} s", took.as_secs_f64()),
            }
        }
    }
    Ok(())
}

fn unit_status(common: &Common, name: &str) -> Result<serde_json::Value, Failure> {
    let status = common.ask("GET", "/v1/status")?;
    let status: serde_json::Value = serde_json::from_str(&status).map_err(Failure::failed)?;
    let mut units = status["units"].as_array().into_iter().flatten();
    let found = units.find(|unit| unit["name"] == name);
    found.cloned().ok_or_else(|| Failure::user(format!("there is no unit {name}")))
}

/// Waits for one more start of the unit, and for it to be ready.
fn ready_again(
    common: &Common,
    name: &str,
    before: &serde_json::Value,
    timeout: u64,
) -> Result<Duration, Failure> {
    let start = Instant::now();
    loop {
        let now = unit_status(common, name)?;
        if now["starts"].as_u64() > before["starts"].as_u64() && now["ready"] == true {
            return Ok(start.elapsed());
        }
        if start.elapsed() > Duration::from_secs(timeout) {
            let message = format!("{name} is not ready after {timeout} s; see howdah status");
            return Err(Failure::failed(message));
        }
        std::thread::sleep(POLL);
    }
}

/// Of this agent by its socket; of all by the key in the store.
pub(super) fn freeze(arguments: &FreezeArguments, frozen: bool) -> Result<(), Failure> {
    let common = &arguments.common;
    if !arguments.cluster {
        return common.ask("POST", if frozen { "/v1/freeze" } else { "/v1/thaw" }).map(drop);
    }
    let config = common.load()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let key = config.freeze_key();
    runtime.block_on(async {
        let consul = run::consul_of(&config).map_err(Failure::user)?;
        let reason = arguments.reason.as_deref().unwrap_or("by an operator");
        let done = match frozen {
            true => consul.kv_put(&key, reason.as_bytes(), 0, Put::Always).await,
            false => consul.kv_delete(&key, None).await,
        };
        done.map(drop).map_err(Failure::failed)
    })
}

pub(super) fn history(arguments: &HistoryArguments) -> Result<(), Failure> {
    let config = arguments.common.load()?;
    let lines = history::read(&config.state_dir, arguments.key.as_deref());
    for line in lines.map_err(Failure::failed)? {
        if arguments.common.json {
            println!("{line}");
            continue;
        }
        let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        let (time, unit, event) = (text("time"), text("unit"), text("event"));
        let mut rest = [text("action"), text("reason"), text("how")].concat();
        if let Some(author) = line["author"].as_str() {
            rest.push_str(&format!(" by {author}"));
        }
        println!("{time} {unit} {event} {rest}\n{}", text("diff"));
    }
    Ok(())
}
