//! What a job of this repository must be: one function for each rule, each telling file and line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hcl::Value;
use hdfs_edge::keys;
use howdah::config::{self, AgentConfig, Scope};

use super::spec::{Node, Problem, RUNTIME, Spec, references};

/// A rule.
pub(super) type Lint = fn(&Spec) -> Vec<Problem>;

/// All rules for one job.
pub(super) const LINTS: [Lint; 12] = [
    variables_are_described,
    references_are_declared,
    names_carry_the_prefix,
    ports_are_static,
    no_second_owner_of_services,
    programs_run_without_containers,
    stopping_leaves_the_agent_time,
    restarts_never_give_up,
    updates_go_one_by_one,
    nothing_restarts_by_a_template,
    the_agent_takes_its_configuration,
    settings_are_known,
];

/// All that is wrong with a job, in order of lines.
pub(super) fn lint(spec: &Spec) -> Vec<Problem> {
    let mut problems: Vec<_> = LINTS.iter().flat_map(|lint| lint(spec)).collect();
    problems.sort();
    problems
}

fn variables_are_described(spec: &Spec) -> Vec<Problem> {
    let mut problems = Vec::new();
    for variable in &spec.variables {
        let name = &variable.name;
        let mut say = |what: &str| {
            problems.push(spec.problem(variable.line, format!("variable {name} has no {what}")));
        };
        if !variable.kind {
            say("type");
        }
        if variable.description.trim().is_empty() {
            say("description");
        }
        if variable.default.is_none() {
            say("default");
        }
    }
    problems
}

fn references_are_declared(spec: &Spec) -> Vec<Problem> {
    let declared: BTreeSet<&str> = spec.variables.iter().map(|each| each.name.as_str()).collect();
    let named = references(&spec.text, "var").into_iter();
    let unknown = named.filter(|(_, name)| !declared.contains(name.as_str()));
    unknown.map(|(line, name)| spec.problem(line, format!("var.{name} is not declared"))).collect()
}

/// Two clusters on one Nomad: the id of the job tells them apart.
fn names_carry_the_prefix(spec: &Spec) -> Vec<Problem> {
    let given = spec.text.contains("id          = \"${var.service_prefix}");
    let wrong =
        || spec.problem(spec.job.line_of("id"), "id does not begin with var.service_prefix");
    if given { Vec::new() } else { vec![wrong()] }
}

/// A port's number and line, by its name and group.
pub(super) fn ports(spec: &Spec) -> Vec<(u64, usize)> {
    let networks = spec.job.named("group").flat_map(|group| group.named("network"));
    let ports = networks.flat_map(|network| network.named("port"));
    ports.filter_map(|port| Some((number(port, "static")?, port.line))).collect()
}

fn number(node: &Node, name: &str) -> Option<u64> {
    let (value, _) = node.values.get(name)?;
    let whole = value.as_f64().filter(|number| number.fract() == 0.0 && *number > 0.0)?;
    Some(whole as u64)
}

fn ports_are_static(spec: &Spec) -> Vec<Problem> {
    let mut problems = Vec::new();
    for group in spec.job.named("group") {
        let networks: Vec<_> = group.named("network").collect();
        if networks.is_empty() {
            problems.push(spec.problem(group.line, "the group has no network block"));
        }
        for network in networks {
            if network.text("mode") != Some("host") {
                problems
                    .push(spec.problem(network.line_of("mode"), "the network's mode is not host"));
            }
            for port in network.named("port") {
                let known = number(port, "static").is_some_and(|port| port < 65_536);
                if !known || port.values.contains_key("to") {
                    let message = format!("port {} is not static", port.label);
                    problems.push(spec.problem(port.line, message));
                }
            }
        }
    }
    problems
}

fn no_second_owner_of_services(spec: &Spec) -> Vec<Problem> {
    let all = spec.job.all();
    let services = all.iter().filter(|node| node.name == "service" || node.name == "check_restart");
    let message = "the agent registers services; a second owner would fight it";
    services.map(|node| spec.problem(node.line, message)).collect()
}

fn tasks(spec: &Spec) -> impl Iterator<Item = &Node> {
    spec.job.named("group").flat_map(|group| group.named("task"))
}

fn programs_run_without_containers(spec: &Spec) -> Vec<Problem> {
    let mut problems = Vec::new();
    for task in tasks(spec) {
        let driver = task.text("driver").unwrap_or_default();
        if driver != "raw_exec" {
            let message = format!("driver {driver:?}; raw_exec is expected");
            problems.push(spec.problem(task.line_of("driver"), message));
        }
        // raw_exec cannot mount; a request of the group only steers.
        for mount in task.named("volume_mount") {
            problems.push(spec.problem(mount.line, "raw_exec has no volume_mount"));
        }
    }
    problems
}

fn time(node: &Node, name: &str) -> Option<Duration> {
    config::fields::duration(node.text(name)?)
}

fn stopping_leaves_the_agent_time(spec: &Spec) -> Vec<Problem> {
    let mut problems = Vec::new();
    for task in tasks(spec) {
        if task.text("kill_signal") != Some("SIGTERM") {
            let line = task.line_of("kill_signal");
            problems.push(spec.problem(line, "kill_signal is not SIGTERM"));
        }
        let Some((_, Ok(agent))) = agent_config(task) else { continue };
        let longest = agent.units.iter().map(|unit| unit.stop.timeout).max().unwrap_or_default();
        let given = time(task, "kill_timeout").unwrap_or(Duration::from_secs(5));
        if given <= longest {
            let message = format!("kill_timeout {given:?} is no longer than a unit's {longest:?}");
            problems.push(spec.problem(task.line_of("kill_timeout"), message));
        }
    }
    problems
}

fn restarts_never_give_up(spec: &Spec) -> Vec<Problem> {
    let mut problems = Vec::new();
    for group in spec.job.named("group") {
        let Some(restart) = group.named("restart").next() else {
            problems.push(spec.problem(group.line, "the group has no restart block"));
            continue;
        };
        if restart.text("mode") != Some("delay") {
            let line = restart.line_of("mode");
            problems.push(spec.problem(line, "mode is not delay: Nomad would give up"));
        }
        // Nomad refuses a job whose attempts do not fit their interval.
        let attempts = number(restart, "attempts").unwrap_or(0);
        let delay = time(restart, "delay").unwrap_or_default();
        let needed = delay * u32::try_from(attempts).unwrap_or(u32::MAX);
        if attempts == 0 || time(restart, "interval").is_none_or(|interval| interval < needed) {
            problems.push(spec.problem(restart.line, "interval is shorter than attempts * delay"));
        }
    }
    problems
}

fn updates_go_one_by_one(spec: &Spec) -> Vec<Problem> {
    let Some(update) = spec.job.named("update").next() else {
        return vec![spec.problem(spec.job.line, "the job has no update block")];
    };
    let mut problems = Vec::new();
    if number(update, "max_parallel") != Some(1) {
        problems.push(spec.problem(update.line_of("max_parallel"), "max_parallel is not 1"));
    }
    // There are no checks of Nomad's to wait for.
    if update.text("health_check") != Some("task_states") {
        problems
            .push(spec.problem(update.line_of("health_check"), "health_check is not task_states"));
    }
    if time(update, "healthy_deadline") >= time(update, "progress_deadline") {
        let line = update.line_of("healthy_deadline");
        problems.push(spec.problem(line, "healthy_deadline is not before progress_deadline"));
    }
    problems
}

fn nothing_restarts_by_a_template(spec: &Spec) -> Vec<Problem> {
    let mut problems = Vec::new();
    for node in tasks(spec).flat_map(Node::all) {
        let accepted: &[&str] = match node.name.as_str() {
            "template" => &["noop", "signal"],
            "identity" => &["noop"],
            _ => continue,
        };
        // Nomad's default is restart.
        let mode = node.text("change_mode").unwrap_or("restart");
        if !accepted.contains(&mode) {
            let message = format!("change_mode {mode:?} of {} stops the daemon", node.name);
            problems.push(spec.problem(node.line_of("change_mode"), message));
        }
        if node.name == "template" && node.text("left_delimiter").is_none_or(|mark| mark == "{{") {
            let message = "left_delimiter is missing: Nomad would render the agent's templates";
            problems.push(spec.problem(node.line, message));
        }
    }
    problems
}

/// The agent's configuration inside a task, as the agent would read it, and where it begins.
pub(super) fn agent_config(task: &Node) -> Option<(usize, config::Loaded)> {
    let (text, line) = agent_text(task)?;
    let mut env: BTreeMap<String, String> =
        RUNTIME.map(|name| (name.to_owned(), format!("/nomad/{}", name.to_lowercase()))).into();
    for block in task.named("env") {
        let texts = block.values.iter().filter_map(|(name, (value, _))| {
            Some((name.clone(), value.as_str()?.replace("${NOMAD_TASK_DIR}", "/nomad/task")))
        });
        env.extend(texts);
    }
    let scope = Scope { env, node: "host".to_owned(), meta: BTreeMap::new() };
    Some((line, config::load_text("agent.hcl", &text, &scope)))
}

/// Its text, and the line of the job before it.
pub(super) fn agent_text(task: &Node) -> Option<(String, usize)> {
    let is_it = |node: &&Node| node.text("destination") == Some("local/agent.hcl");
    let template = task.named("template").find(is_it)?;
    Some((template.text("data")?.to_owned(), template.line_of("data")))
}

fn the_agent_takes_its_configuration(spec: &Spec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let taken: BTreeSet<u64> = ports(spec).into_iter().map(|(port, _)| port).collect();
    for task in tasks(spec) {
        let Some((line, loaded)) = agent_config(task) else {
            problems.push(spec.problem(task.line, "no template makes local/agent.hcl"));
            continue;
        };
        let agent = match loaded {
            Ok(agent) => agent,
            Err(found) => {
                let tell = |each: config::Problem| {
                    let at = each.place.map_or(0, |place| place.line);
                    spec.problem(line + at, each.message)
                };
                problems.extend(found.into_iter().map(tell));
                continue;
            }
        };
        for port in used(&agent).difference(&taken) {
            let message = format!("the agent's port {port} is no static port of the group");
            problems.push(spec.problem(line, message));
        }
        let asked = task.named("config").find_map(|config| config.values.get("args"));
        let words = asked.and_then(|(args, _)| args.as_array()).into_iter().flatten();
        let words: Vec<&str> = words.filter_map(Value::as_str).collect();
        let unit = words.iter().skip_while(|word| **word != "--unit").nth(1);
        if !agent.units.iter().any(|each| Some(&each.name.as_str()) == unit) {
            let message = format!("--unit {unit:?} is none of the agent's units");
            problems.push(spec.problem(task.line, message));
        }
    }
    problems
}

/// The ports that an agent and its services name.
fn used(agent: &AgentConfig) -> BTreeSet<u64> {
    let services = agent.units.iter().flat_map(|unit| &unit.services);
    let mut ports: BTreeSet<u64> = services.map(|service| service.port.into()).collect();
    ports.insert(agent.listen.port().into());
    ports
}

/// The files of the agent's last layer: Hadoop's keys and what they accept.
fn settings_are_known(spec: &Spec) -> Vec<Problem> {
    let mut problems = Vec::new();
    for template in tasks(spec).flat_map(|task| task.named("template")) {
        let destination = template.text("destination").unwrap_or_default();
        let Some(setting) = destination.strip_prefix("local/layer/") else { continue };
        let value = template.text("data").unwrap_or_default();
        let Some((file, name)) = setting.split_once('/') else {
            problems.push(spec.problem(template.line, format!("{setting} is not FILE/NAME")));
            continue;
        };
        if !["core-site.xml", "hdfs-site.xml"].contains(&file) {
            continue;
        }
        let line = 1 + spec.text.lines().take_while(|line| !line.contains(setting)).count();
        match keys::find(name).map(|key| hdfs_edge::config::check(key, value)) {
            None => problems.push(spec.problem(line, format!("{name} is no key of Hadoop's"))),
            Some(Err(accepted)) => {
                problems.push(spec.problem(line, format!("{name} = {value:?}: {accepted}")));
            }
            Some(Ok(_)) => {}
        }
    }
    problems
}
