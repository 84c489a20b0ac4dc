//! Which blocks and names there are, and what they default to.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::fields::{Fields, Problems};
use super::flokkr::{self, Old};
use super::tree::Item;
use super::{
    AgentConfig, Awaited, ChangeRules, Check, CheckKind, Consul, Drift, FileConfig, Layer,
    LayerSource, Loaded, OnMissing, Problem, Quiesce, Ready, Reload, Restart, Rollout, Scope,
    ServiceConfig, Stop, TemplateSource, UnitConfig, Validate, Vault, VaultAuth, launch,
};
use crate::core::window::Window;
use crate::render::Format;
use crate::run::gates::{GATES, Gate};

/// The agent's own port.
const PORT: u16 = 9180;

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn agent(items: Vec<Item>, scope: &Scope) -> Loaded {
    let problems = Problems::default();
    let old = Old::read(&scope.env, &scope.node);
    let mut fields = Fields::new("the configuration", items, None, &problems);
    let (mut config, own_layers) = top(&mut fields, scope, &old);
    fields.finish();
    problems.borrow_mut().extend(old.furnish(&mut config, own_layers));
    problems.borrow_mut().extend(without_consul(&config));
    let mut problems = problems.into_inner();
    if problems.is_empty() {
        return Ok(config);
    }
    problems.sort_by_key(|each| each.place.as_ref().map(|at| (at.file.clone(), at.line)));
    Err(problems)
}

/// Units that need the Consul that is not there.
fn without_consul(config: &AgentConfig) -> Vec<Problem> {
    let waits = |unit: &UnitConfig| {
        unit.wait_for.iter().any(|wait| matches!(wait.what, Awaited::Service { .. }))
    };
    let needs =
        |unit: &&UnitConfig| !unit.services.is_empty() || waits(unit) || unit.rollout.is_some();
    let problem = |unit: &UnitConfig| Problem {
        place: None,
        message: format!(
            "unit {:?} has a service, wait_for a service or rollout, which need Consul; add a \
             consul block (an empty one means CONSUL_HTTP_ADDR or 127.0.0.1:8500)",
            unit.name
        ),
    };
    match &config.consul {
        Some(_) => Vec::new(),
        None => config.units.iter().filter(needs).map(problem).collect(),
    }
}

/// The configuration, and whether it has layers of its own.
fn top(fields: &mut Fields<'_>, scope: &Scope, old: &Old) -> (AgentConfig, bool) {
    let cluster = fields.text("cluster").unwrap_or_else(|| "default".to_owned());
    let state_dir =
        fields.text("state_dir").map_or_else(|| "/var/lib/howdah".into(), PathBuf::from);
    let mut socket = None;
    if let Some(mut api) = fields.table("api") {
        socket = api.text("socket");
        api.finish();
    }
    let state = state_dir.display().to_string();
    let socket = socket.unwrap_or_else(|| "${state_dir}/agent.sock".to_owned());
    let mut listen = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    if let Some(mut telemetry) = fields.table("telemetry") {
        let asked = telemetry.parsed("listen", "an address such as 127.0.0.1:9180", |text| {
            text.parse::<SocketAddr>().ok()
        });
        listen = asked.unwrap_or(listen);
        telemetry.finish();
    }
    let mut log_json = false;
    if let Some(mut log) = fields.table("log") {
        log_json = log.word("format", &[("text", false), ("json", true)]).unwrap_or(false);
        log.finish();
    }
    let own_layers = layers(fields);
    let otherwise = || {
        let usual = || flokkr::standard_layers("conf/hdfs/", &scope.node);
        old.layers(&scope.node).unwrap_or_else(usual)
    };
    let consul = fields.table("consul").map(consul);
    let folder = |fields: &mut Fields<'_>, name| {
        let mut table = fields.table(name)?;
        let folder = table.text("files");
        if folder.is_none() {
            table.complain(table.place(), format!("{name} needs files = \"DIR\""));
        }
        table.finish();
        folder.map(PathBuf::from)
    };
    let units = units(fields, old);
    let own = !own_layers.is_empty();
    let config = AgentConfig {
        cluster,
        store: folder(fields, "store"),
        secrets: folder(fields, "secrets"),
        consul,
        vault: fields.table("vault").map(vault),
        layers: if own { own_layers } else { otherwise() },
        units,
        listen,
        socket: super::expand(&socket, &[("state_dir", &state)]).into(),
        state_dir,
        log_json,
        author_key: fields.text("author_key"),
        last_good_max_age: fields.time("last_good_max_age").unwrap_or(seconds(7 * 86_400)),
        notes: Vec::new(),
    };
    (config, own)
}

fn consul(mut fields: Fields<'_>) -> Consul {
    let path = |text: Option<String>| text.map(PathBuf::from);
    let consul = Consul {
        address: fields.text("address"),
        token_file: path(fields.text("token_file")),
        ca_file: path(fields.text("ca_file")),
        cert_file: path(fields.text("cert_file")),
        key_file: path(fields.text("key_file")),
        stale: fields.word("reads", &[("default", false), ("stale", true)]).unwrap_or(false),
        datacenter: fields.text("datacenter"),
    };
    fields.finish();
    consul
}

fn vault(mut fields: Fields<'_>) -> Vault {
    let path = |text: Option<String>| text.map(PathBuf::from);
    let vault = Vault {
        address: fields.text("address"),
        auth: fields.table("auth").map_or(VaultAuth::Environment, auth),
        namespace: fields.text("namespace"),
        static_refresh: fields.time("static_refresh"),
        ca_file: path(fields.text("ca_file")),
        cert_file: path(fields.text("cert_file")),
        key_file: path(fields.text("key_file")),
    };
    fields.finish();
    vault
}

fn auth(mut fields: Fields<'_>) -> VaultAuth {
    #[derive(Clone, Copy)]
    enum Method {
        Token,
        AppRole,
        Jwt,
    }
    let methods =
        [("token_file", Method::Token), ("approle", Method::AppRole), ("jwt", Method::Jwt)];
    let needed = |fields: &mut Fields<'_>, name: &'static str| {
        fields.text(name).unwrap_or_else(|| {
            fields.complain(fields.place(), format!("auth needs {name} for this method"));
            String::new()
        })
    };
    let auth = match fields.word("method", &methods) {
        None => VaultAuth::Environment,
        Some(Method::Token) => VaultAuth::TokenFile(needed(&mut fields, "token_file").into()),
        Some(Method::AppRole) => VaultAuth::AppRole {
            path: fields.text("path").unwrap_or_else(|| "approle".to_owned()),
            role_id: needed(&mut fields, "role_id"),
            secret_id_file: needed(&mut fields, "secret_id_file").into(),
            wrapped: fields.flag("wrapped").unwrap_or(false),
        },
        Some(Method::Jwt) => VaultAuth::Jwt {
            path: fields.text("path").unwrap_or_else(|| "jwt".to_owned()),
            role: needed(&mut fields, "role"),
            token_file: needed(&mut fields, "token_file").into(),
        },
    };
    fields.finish();
    auth
}

fn layers(fields: &mut Fields<'_>) -> Vec<Layer> {
    let mut layers = Vec::new();
    for (name, mut block) in fields.labelled("layer") {
        let kv = block.text("kv").map(|prefix| {
            if !prefix.ends_with('/') {
                block.complain(block.place(), format!("kv = {prefix:?} must end with /"));
            }
            LayerSource::Kv(prefix)
        });
        let files = block.text("files").map(|folder| LayerSource::Files(folder.into()));
        let env = block.flag("env").filter(|set| *set).map(|_| LayerSource::Environment);
        let mut sources = [kv, files, env].into_iter().flatten();
        match (sources.next(), sources.next()) {
            (Some(source), None) => layers.push(Layer { name, source }),
            _ => block.complain(block.place(), "a layer has one of kv, files or env = true"),
        }
        block.finish();
    }
    layers
}

fn units(fields: &mut Fields<'_>, old: &Old) -> Vec<UnitConfig> {
    let plain = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    let mut units = Vec::new();
    for (name, block) in fields.labelled("unit") {
        if !plain(&name) {
            block.complain(block.place(), "a unit's name has letters, digits, - and _ only");
        }
        units.push(unit(name, block, old));
    }
    units
}

fn unit(name: String, mut fields: Fields<'_>, old: &Old) -> UnitConfig {
    let (schema, validate) = validation(&mut fields);
    let unit = UnitConfig {
        role: fields.text("role").unwrap_or_else(|| name.clone()),
        command: fields.texts("command"),
        env: fields.map("env").into_iter().flatten().collect(),
        user: fields.text("user"),
        stop: stop(&mut fields),
        restart: restart(&mut fields, old.restart()),
        ready: ready(&mut fields),
        fetch: fields
            .labelled("fetch")
            .into_iter()
            .filter_map(|(name, block)| launch::fetch(name, block))
            .collect(),
        wait_for: launch::wait_for(&mut fields),
        prepare: launch::prepare(&mut fields),
        links: launch::links(&mut fields),
        metrics: metrics(&mut fields),
        quiesce: quiesce(&mut fields),
        on_missing: fields
            .word("on_missing", &[("fail", OnMissing::Fail), ("keep", OnMissing::Keep)])
            .unwrap_or(OnMissing::Fail),
        drift: fields
            .word("drift", &[("report", Drift::Report), ("repair", Drift::Repair)])
            .unwrap_or(Drift::Repair),
        keep: fields.number("keep", 2, 1000).map_or(5, |keep| keep as usize),
        files: fields.labelled("file").into_iter().map(|(name, block)| file(name, block)).collect(),
        schema,
        validate,
        change: change(&mut fields),
        reload: reload(&mut fields),
        rollout: rollout(&mut fields),
        services: fields
            .labelled("service")
            .into_iter()
            .map(|(name, block)| service(name, block))
            .collect(),
        name,
    };
    if unit.command.as_ref().is_some_and(Vec::is_empty) {
        fields.complain(fields.place(), "command is empty");
    }
    fields.finish();
    unit
}

fn signal(fields: &mut Fields<'_>, name: &'static str) -> Option<Signal> {
    fields.parsed(name, "a signal such as \"SIGTERM\"", |text| text.parse().ok())
}

fn stop(fields: &mut Fields<'_>) -> Stop {
    let mut stop = Stop { signal: Signal::SIGTERM, timeout: seconds(30) };
    if let Some(mut table) = fields.table("stop") {
        stop.signal = signal(&mut table, "signal").unwrap_or(stop.signal);
        stop.timeout = table.time("timeout").unwrap_or(stop.timeout);
        table.finish();
    }
    stop
}

fn restart(fields: &mut Fields<'_>, old: Option<&Restart>) -> Restart {
    let mut restart = Restart {
        backoff: Duration::from_millis(200),
        step: None,
        cap: seconds(30),
        reset_after: seconds(60),
        max_failures: 10,
    };
    if let Some(mut table) = fields.table("restart") {
        restart.step = table.time("step");
        restart.backoff = table.time("backoff").unwrap_or(restart.backoff);
        restart.cap = table.time("cap").unwrap_or(restart.cap);
        restart.reset_after = table.time("reset_after").unwrap_or(restart.reset_after);
        let most = table.number("max_failures", 1, 1_000_000);
        restart.max_failures = most.map_or(restart.max_failures, |most| most as u32);
        table.finish();
    } else if let Some(old) = old {
        restart = old.clone();
    }
    restart
}

fn ready(fields: &mut Fields<'_>) -> Option<Ready> {
    let mut table = fields.table("ready")?;
    let http = table.parsed("http", "a URL such as \"http://127.0.0.1:9864/healthz\"", |text| {
        text.strip_prefix("http://").map(str::to_owned)
    });
    let timeout = table.time("timeout").unwrap_or(seconds(300));
    if http.is_none() {
        table.complain(table.place(), "ready needs http = \"http://HOST:PORT/PATH\"");
    }
    table.finish();
    Some(Ready { http: http?, timeout })
}

fn metrics(fields: &mut Fields<'_>) -> Option<String> {
    let mut table = fields.table("metrics")?;
    let http = table.parsed("http", "a URL such as \"http://127.0.0.1:8088/prom\"", |text| {
        text.strip_prefix("http://").map(str::to_owned)
    });
    if http.is_none() {
        table.complain(table.place(), "metrics needs http = \"http://HOST:PORT/PATH\"");
    }
    table.finish();
    http
}

fn quiesce(fields: &mut Fields<'_>) -> Quiesce {
    let mut quiesce = Quiesce { min: seconds(1), max: seconds(10), commit: None };
    if let Some(mut table) = fields.table("quiesce") {
        quiesce.min = table.time("min").unwrap_or(quiesce.min);
        quiesce.max = table.time("max").unwrap_or(quiesce.max.max(quiesce.min));
        quiesce.commit = table.text("commit");
        if quiesce.max < quiesce.min {
            table.complain(table.place(), "max is shorter than min");
        }
        table.finish();
    }
    quiesce
}

fn file(name: String, mut fields: Fields<'_>) -> FileConfig {
    if name.contains('/') || name.starts_with('.') || name.is_empty() {
        fields.complain(fields.place(), "a file's name has no / and no dot in front");
    }
    let file = FileConfig {
        format: fields.parsed(
            "format",
            "xml, properties, yaml, conf, cfg, env, sh or ini",
            Format::of,
        ),
        template: fields.text("template").map(|text| {
            if let Some(key) = text.strip_prefix("kv:") {
                TemplateSource::Kv(key.to_owned())
            } else if let Some(path) = text.strip_prefix("file:") {
                TemplateSource::File(path.into())
            } else {
                TemplateSource::Inline(text)
            }
        }),
        secret: fields.flag("secret").unwrap_or(false),
        mode: fields.parsed("mode", "mode bits such as \"0640\"", |text| {
            u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)
        }),
        user: fields.text("user"),
        group: fields.text("group"),
        name,
    };
    fields.finish();
    file
}

fn validation(fields: &mut Fields<'_>) -> (bool, Option<Validate>) {
    let Some(mut table) = fields.table("validate") else { return (true, None) };
    let schema = table.word("schema", &[("hadoop-3", true), ("none", false)]).unwrap_or(true);
    let command = table.texts("command");
    let timeout = table.time("timeout").unwrap_or(seconds(30));
    table.finish();
    (schema, command.map(|command| Validate { command, timeout }))
}

fn change(fields: &mut Fields<'_>) -> ChangeRules {
    let Some(mut table) = fields.table("change") else { return ChangeRules::default() };
    let rules = ChangeRules {
        noop: table.texts("noop").unwrap_or_default(),
        reload: table.texts("reload").unwrap_or_default(),
        restart: table.texts("restart").unwrap_or_default(),
    };
    table.finish();
    rules
}

fn reload(fields: &mut Fields<'_>) -> Option<Reload> {
    let mut table = fields.table("reload")?;
    let http = table
        .parsed("http", "an http:// URL", |text| text.strip_prefix("http://").map(str::to_owned));
    let by_signal = signal(&mut table, "signal");
    if http.is_some() == by_signal.is_some() {
        table.complain(table.place(), "reload has one of http and signal");
    }
    table.finish();
    http.map(Reload::Http).or(by_signal.map(Reload::Signal))
}

fn rollout(fields: &mut Fields<'_>) -> Option<Rollout> {
    let mut table = fields.table("rollout")?;
    let lock = table.text("lock").unwrap_or_default();
    if lock.trim_end_matches('/').is_empty() {
        let message = "rollout needs lock = \"KEY\", such as \"agent/locks/hdfs/datanode\"";
        table.complain(table.place(), message);
    }
    let gates = table.texts("gates").unwrap_or_default();
    for gate in gates.iter().filter(|gate| Gate::parse(gate).is_none()) {
        table.complain(table.place(), format!("gate {gate:?} is unknown; known are {GATES}"));
    }
    let rollout = Rollout {
        lock,
        max_parallel: table
            .amount("max_parallel", "a number or a share such as \"10%\"", |text| {
                let digits = text.strip_suffix('%').unwrap_or(text);
                digits.parse::<u32>().is_ok_and(|count| count > 0)
            })
            .unwrap_or_else(|| "1".to_owned()),
        canary: table.number("canary", 0, 1000).unwrap_or(0),
        soak: table.time("soak").unwrap_or_default(),
        gates,
        rollback: table.word("on_failure", &[("rollback", true), ("halt", false)]).unwrap_or(true),
        window: table.parsed("window", "a window such as \"Mon-Fri 08:00-18:00\"", |text| {
            Window::parse(text).map(|_| text.to_owned())
        }),
    };
    table.finish();
    Some(rollout)
}

fn service(name: String, mut fields: Fields<'_>) -> ServiceConfig {
    let mut checks = Vec::new();
    if let Some(mut table) = fields.table("checks") {
        for kind in ["http", "tcp", "ttl", "supervisor"] {
            if let Some(inner) = table.table(kind) {
                checks.extend(check(kind, inner));
            }
        }
        table.finish();
    }
    if !fields.has("port") {
        fields.complain(fields.place(), "a service needs port = NUMBER");
    }
    let port = fields.number("port", 1, 65_535);
    let service = ServiceConfig {
        port: port.map_or(0, |port| port as u16),
        address: fields.text("address"),
        tags: fields.texts("tags").unwrap_or_default(),
        meta: fields.map("meta").into_iter().flatten().collect::<BTreeMap<_, _>>(),
        checks,
        deregister_critical_after: fields.time("deregister_critical_after"),
        maintenance_on_restart: fields.flag("maintenance_on_restart").unwrap_or(false),
        name,
    };
    fields.finish();
    service
}

fn check(name: &'static str, mut fields: Fields<'_>) -> Option<Check> {
    let url = fields.text("url");
    let address = fields.text("address");
    let ttl = fields.time("ttl");
    let interval = fields.time("interval");
    let timeout = fields.time("timeout");
    let (kind, interval) = match (url, address, ttl) {
        (Some(url), None, None) => (CheckKind::Http(url), interval.unwrap_or(seconds(10))),
        (None, Some(to), None) => (CheckKind::Tcp(to), interval.unwrap_or(seconds(10))),
        (None, None, Some(ttl)) => (CheckKind::Ttl, ttl),
        _ => {
            fields.complain(fields.place(), "a check has one of url, address and ttl");
            return None;
        }
    };
    fields.finish();
    Some(Check { name: name.to_owned(), kind, interval, timeout })
}
