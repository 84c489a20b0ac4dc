//! What a configured unit is for the driver.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::actuators::generations::Generations;
use crate::actuators::links;
use crate::actuators::process::Program;
use crate::config::{AgentConfig, UnitConfig, expand};
use crate::core::{Millis, Policy};
use crate::driver::Unit;

/// How long a program without a ready check must run before its configuration counts as good.
const GOOD_AFTER_MS: Millis = 1_000;

/// The driver's measure of time.
pub(super) fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

/// The folder of generations of a unit.
pub fn generations(config: &AgentConfig, unit: &UnitConfig) -> Generations {
    let link = unit.conf_dir(&config.state_dir);
    Generations::new(&unit.folder(&config.state_dir), link).keeping(unit.keep)
}

/// The units for the driver, in its order: those with a program first.
pub(super) fn units(config: &AgentConfig) -> Result<Vec<Unit>, String> {
    ordered(config).into_iter().map(|unit| driven(config, unit)).collect()
}

/// The units in the driver's order.
pub(super) fn ordered(config: &AgentConfig) -> Vec<&UnitConfig> {
    let mut units: Vec<&UnitConfig> = config.units.iter().collect();
    units.sort_by_key(|unit| unit.command.is_none());
    units
}

fn driven(config: &AgentConfig, unit: &UnitConfig) -> Result<Unit, String> {
    let folder = unit.folder(&config.state_dir);
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    let patience = unit.ready.as_ref().map_or(Duration::from_secs(30), |ready| ready.timeout);
    Ok(Unit {
        name: unit.name.clone(),
        generations: generations(config, unit),
        program: unit.command.as_ref().map(|words| program(config, unit, words)).transpose()?,
        policy: Policy {
            backoff_ms: millis(unit.restart.backoff),
            backoff_ms_max: millis(unit.restart.cap),
            backoff_ms_step: unit.restart.step.map(millis),
            reset_after_ms: millis(unit.restart.reset_after),
            failures_max: unit.restart.max_failures,
            stop_timeout_ms: millis(unit.stop.timeout),
            ready_patience_ms: millis(patience),
            stop_rank: u8::from(unit.role == "namenode"),
            trial_failures: unit.restart.max_failures.div_ceil(3),
            goes_back: unit.rollout.as_ref().is_none_or(|rollout| rollout.rollback),
            good_after_ms: good_after(unit),
            exhausts: true,
        },
    })
}

/// Words as a program of the unit: with its environment and as its user.
pub(super) fn program(
    config: &AgentConfig,
    unit: &UnitConfig,
    words: &[String],
) -> Result<Program, String> {
    let state = config.state_dir.display().to_string();
    let conf = unit.conf_dir(&config.state_dir).display().to_string();
    let late = [
        ("conf_dir", conf.as_str()),
        ("state_dir", state.as_str()),
        ("unit.name", unit.name.as_str()),
        ("unit.role", unit.role.as_str()),
    ];
    let mut words = words.iter().map(|word| expand(word, &late));
    Ok(Program {
        path: words.next().unwrap_or_default().into(),
        arguments: words.map(Into::into).collect(),
        env: unit.env.iter().map(|(name, value)| (name.clone(), expand(value, &late))).collect(),
        user: unit.user.as_deref().map(user_of).transpose()?,
        stop: unit.stop.signal,
        reload: unit.reload.clone(),
    })
}

/// Makes the links to the units' folders of files.
pub(super) fn place_links(config: &AgentConfig) -> Result<(), String> {
    let mut owners: BTreeMap<PathBuf, &str> = BTreeMap::new();
    for unit in &config.units {
        let target = unit.conf_dir(&config.state_dir);
        for link in &unit.links {
            let (state, name) = (config.state_dir.display().to_string(), &unit.name);
            let late = [("state_dir", state.as_str()), ("unit.name", name)];
            let link = PathBuf::from(expand(&link.display().to_string(), &late));
            if let Some(owner) = owners.insert(link.clone(), name) {
                let link = link.display();
                return Err(format!("{link} cannot link to the files of both {owner} and {name}"));
            }
            links::place(&link, &target)?;
        }
    }
    Ok(())
}

fn user_of(name: &str) -> Result<(u32, u32), String> {
    match nix::unistd::User::from_name(name) {
        Ok(Some(user)) => Ok((user.uid.as_raw(), user.gid.as_raw())),
        Ok(None) => Err(format!("there is no user {name}")),
        Err(error) => Err(format!("cannot look up the user {name}: {error}")),
    }
}

/// A unit whose changes go over the hosts is watched for as long as the rollout says.
fn good_after(unit: &UnitConfig) -> Millis {
    let soak = unit.rollout.as_ref().map_or(0, |rollout| millis(rollout.soak));
    soak.max(if unit.ready.is_some() { 0 } else { GOOD_AFTER_MS })
}
