//! `howdah kv`: a folder of configuration into Consul KV, and back.
//!
//! `import` and `diff` make the same entries of the same folder; `import` writes the difference in
//! one transaction that holds only if every key is still what was read. Consul is reached as by
//! HashiCorp's tools (`CONSUL_HTTP_ADDR` and so on).

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use hdfs_edge::daemon::Failure;
use serde_json::json;

use crate::actuators::durable;
use crate::config::{self, Scope};
use crate::kv::entries::Layout;
use crate::kv::expand::Discovery;
use crate::kv::plan::{Batch, Change, Guard, Others};
use crate::kv::show::{self, Paint};
use crate::kv::{Entries, Import, Mistake, entries, json as kv_json, plan, read, rules};
use crate::run;
use crate::sources::Entry;
use crate::sources::consul::{Consul, ConsulConfig, ConsulError, Put};

/// `kv diff` found changes.
const EXIT_CHANGES: i32 = 2;

/// Where configuration stands.
const PREFIX: &str = "conf/";

/// Where the client bundle's values stand.
const CLIENT_PREFIX: &str = "conf/hdfs/";

/// Where the client bundle is written when nobody says otherwise.
const CLIENT_FOLDER: &str = "client-conf";

/// Where flokkr's tools found services without a table: this variable, else this host.
const GATEWAY: (&str, &str) = ("GATEWAY_HOST", "localhost");

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Write a folder, or JSON of `consul kv export`, into Consul KV: all of it or nothing
    Import(ImportArguments),
    /// Write keys as JSON for `consul kv import`, or the clients' files
    Export(ExportArguments),
    /// Show what an import would change: exit code 0 nothing, 2 changes, 1 error
    Diff(Input),
}

/// What is imported, and where it goes.
#[derive(Debug, Args)]
pub(super) struct Input {
    /// Folder (with consync.ini, configuration/ and profiles/, or plain), or a file of JSON
    #[arg(value_name = "DIR or FILE")]
    source: PathBuf,
    /// Profile to add, a later one behind; may be given again
    #[arg(long, value_name = "P", value_delimiter = ',', visible_alias = "profiles")]
    profile: Vec<String>,
    /// What [[ service "x" ]] becomes: a host of [hosts], x.service.consul, or hosts' own lookup
    #[arg(long, value_enum, default_value_t)]
    discovery: DiscoveryKind,
    /// File of SERVICE = HOST lines, over the [hosts] of consync.ini
    #[arg(long, value_name = "FILE")]
    hosts: Option<PathBuf>,
    /// Files of key: value lines as one key a file, or one key a property [default: files with a
    /// consync.ini, as flokkr stored them; else keys]
    #[arg(long, value_enum)]
    layout: Option<LayoutKind>,
    /// Put in front of every key [default: conf/; nothing for JSON]
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Also delete the keys that the folder has no more, in the folders that it has
    #[arg(long)]
    delete: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    #[command(flatten)]
    input: Input,
    /// Show the difference and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Refuse when a key changed after this index; a dry run prints it
    #[arg(
        long,
        value_name = "INDEX",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0"
    )]
    cas: Option<u64>,
    /// Write whatever others wrote meanwhile
    #[arg(long, conflicts_with = "cas")]
    force: bool,
    /// Take several transactions if one is too small, each with whole files
    #[arg(long)]
    split: bool,
    /// Delete without a question
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// Which keys [default: conf/, with --client conf/hdfs/]
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// File to write [default: standard output]
    #[arg(short, long, value_name = "FILE", conflicts_with = "client")]
    output: Option<PathBuf>,
    /// Write core-site.xml and hdfs-site.xml for clients
    #[arg(long)]
    client: bool,
    /// Folder for the clients' files [default: client-conf]
    #[arg(long, value_name = "DIR", requires = "client")]
    to: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum DiscoveryKind {
    #[default]
    Static,
    Dns,
    Consul,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LayoutKind {
    Files,
    Keys,
}

/// Runs a verb and returns the exit code.
pub(super) fn run(verb: &Verb) -> i32 {
    match verb {
        Verb::Import(arguments) => super::report(import(arguments)),
        Verb::Export(arguments) => super::report(export(arguments)),
        Verb::Diff(input) => match diff(input) {
            Ok(false) => 0,
            Ok(true) => EXIT_CHANGES,
            Err(failure) => {
                eprintln!("howdah: {}", failure.message);
                1
            }
        },
    }
}

fn user(mistake: Mistake) -> Failure {
    Failure::user(mistake)
}

/// Consul, and the runtime its calls need.
struct Store {
    runtime: tokio::runtime::Runtime,
    consul: Arc<Consul>,
}

impl Store {
    fn connect() -> Result<Self, Failure> {
        let config = ConsulConfig::from_env(|name| std::env::var(name).ok());
        let consul = Consul::new(config).map_err(Failure::user)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { runtime: runtime.map_err(Failure::failed)?, consul })
    }

    /// The keys below a prefix, and the index of that moment.
    fn list(&self, prefix: &str) -> Result<(Entries, u64), Failure> {
        let listed = self.runtime.block_on(self.consul.kv_list(prefix));
        listed.map(|kv| (kv.entries, kv.index)).map_err(Failure::failed)
    }

    /// Writes a batch; the inner error is a condition that did not hold.
    fn write(&self, batch: &Batch, guard: Guard) -> Result<Result<(), String>, ConsulError> {
        // A plain write takes values that no transaction has room for.
        if let [Change { key, old, new: Some(new) }] = batch.changes.as_slice() {
            let put = match guard {
                Guard::Unchanged => Put::Cas(old.as_ref().map_or(0, |old| old.modified)),
                Guard::Force => Put::Always,
            };
            let done = self.consul.kv_put(key, &new.value, new.flags, put);
            let refusal = format!("{key} is not what was read");
            return Ok(self.runtime.block_on(done)?.then_some(()).ok_or(refusal));
        }
        let operations: Vec<_> =
            batch.changes.iter().map(|change| change.operation(guard)).collect();
        match self.runtime.block_on(self.consul.txn(&operations)) {
            Ok(()) => Ok(Ok(())),
            Err(ConsulError::Refused { what, .. }) => Ok(Err(what)),
            Err(error) => Err(error),
        }
    }
}

/// What an import is about to do.
struct Plan {
    import: Import,
    prefix: String,
    index: u64,
    changes: Vec<Change>,
}

impl Input {
    /// Reads the source before anybody is asked anything.
    fn read(&self) -> Result<(Import, String), Mistake> {
        if !self.source.is_dir() && (self.source.exists() || self.source == Path::new("-")) {
            let bytes = read::json(&self.source)?;
            let file = self.source.display().to_string();
            let prefix = self.prefix.clone().unwrap_or_default();
            let entries = kv_json::parse(&file, &bytes, &prefix)?;
            return Ok((Import { entries, warnings: Vec::new() }, prefix));
        }
        let prefix = self.prefix.clone().unwrap_or_else(|| PREFIX.to_owned());
        let tree = read::tree(&self.source, &self.profile)?;
        let discovery = self.discovery(tree.rules.hosts.clone())?;
        let layout = match self.layout {
            Some(LayoutKind::Files) => Layout::Files,
            Some(LayoutKind::Keys) => Layout::Keys,
            None => tree.layout,
        };
        let import = entries::entries(&tree, &discovery, &prefix, layout)?;
        Ok((import, prefix))
    }

    fn discovery(&self, mut hosts: BTreeMap<String, String>) -> Result<Discovery, Mistake> {
        if let Some(file) = &self.hosts {
            let name = file.display().to_string();
            let text = std::fs::read_to_string(file)
                .map_err(|error| Mistake::new(&name, format!("cannot be read: {error}")))?;
            hosts.extend(rules::hosts(&name, &text)?);
        }
        let (variable, otherwise) = GATEWAY;
        Ok(match self.discovery {
            DiscoveryKind::Dns => Discovery::Dns,
            DiscoveryKind::Consul => Discovery::Consul,
            DiscoveryKind::Static => {
                let gateway = std::env::var(variable).ok().filter(|host| !host.is_empty());
                Discovery::Static(hosts, gateway.unwrap_or_else(|| otherwise.to_owned()))
            }
        })
    }

    fn plan(&self, store: &Store) -> Result<Plan, Failure> {
        let (import, prefix) = self.read().map_err(user)?;
        if let Some(key) = import.entries.keys().find(|key| key.starts_with('/')) {
            return Err(Failure::user(format!("{key}: a key of Consul starts with no slash")));
        }
        let is_folder = self.source.is_dir();
        let base = if is_folder { prefix.clone() } else { common(&import.entries) };
        let (stored, index) = store.list(&base)?;
        let others = if self.delete { Others::Delete } else { Others::Keep };
        let changes = plan::changes(&stored, &import.entries, &base, others);
        if is_folder {
            plan::one_form(&stored, &import.entries, &changes).map_err(user)?;
        }
        for warning in &import.warnings {
            eprintln!("howdah: {warning}");
        }
        Ok(Plan { import, prefix: base, index, changes })
    }
}

/// The folder that holds all keys.
fn common(entries: &Entries) -> String {
    let (Some((first, _)), Some((last, _))) = (entries.first_key_value(), entries.last_key_value())
    else {
        return String::new();
    };
    let same = first.chars().zip(last.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a);
    let same: String = same.collect();
    same.rfind('/').map_or_else(String::new, |at| same[..=at].to_owned())
}

impl Plan {
    fn print(&self, json: bool, extra: serde_json::Value) -> Result<(), Failure> {
        if json {
            let mut line = json!({
                "index": self.index,
                "changes": self.changes.iter().map(show::json).collect::<Vec<_>>(),
                "unchanged": self.import.entries.len() - self.writes(),
                "warnings": self.import.warnings,
            });
            if let (Some(line), serde_json::Value::Object(extra)) = (line.as_object_mut(), extra) {
                line.extend(extra);
            }
            return put(&format!("{line}\n"));
        }
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let paint = if colour { Paint::Colour } else { Paint::Plain };
        put(&show::painted(&show::all(self.changes.iter()), paint))
    }

    fn writes(&self) -> usize {
        self.changes.iter().filter(|change| change.new.is_some()).count()
    }

    /// `3 keys to write, 1 to delete, 20 unchanged`.
    fn summary(&self, write: &str, delete: &str) -> String {
        let writes = self.writes();
        let deletes = self.changes.len() - writes;
        let same = self.import.entries.len() - writes;
        format!("{writes} keys {write}, {deletes} {delete}, {same} unchanged")
    }

    /// Every key that somebody changed since it was read, with what it is now.
    fn rivals(&self, store: &Store) -> Result<String, Failure> {
        let (now, _) = store.list(&self.prefix)?;
        let mut text = String::new();
        for change in &self.changes {
            let (read, now) = (change.old.as_ref(), now.get(&change.key));
            if read.map(|entry| entry.modified) != now.map(|entry| entry.modified) {
                text.push_str(&rival(change, now));
            }
        }
        Ok(text)
    }

    /// Refuses keys that changed after the index of a dry run.
    fn since(&self, index: u64) -> Result<(), Failure> {
        let late = |change: &&Change| {
            change.old.as_ref().is_some_and(|old| index > 0 && old.modified > index)
        };
        let late: String = self
            .changes
            .iter()
            .filter(late)
            .map(|change| rival(&Change { old: None, ..change.clone() }, change.old.as_ref()))
            .collect();
        match late.is_empty() {
            true => Ok(()),
            false => Err(refused(&format!("{late}changed after index {index}"))),
        }
    }
}

/// Writes to standard output; who reads only the start of it (`head`) is not told of the rest.
fn put(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Who won a key, and what it holds now against what was to be written.
fn rival(change: &Change, now: Option<&Entry>) -> String {
    let index = |entry: Option<&Entry>| match entry {
        Some(entry) => format!("ModifyIndex {}", entry.modified),
        None => "no key".to_owned(),
    };
    let was = match &change.old {
        Some(old) => format!("{} was read, ", index(Some(old))),
        None => String::new(),
    };
    let against = Change { old: now.cloned(), ..change.clone() };
    let same = now.map(|now| (&now.value, now.flags))
        == change.new.as_ref().map(|new| (&new.value, new.flags));
    let diff = if same { String::new() } else { show::all(std::iter::once(&against)) };
    let diff =
        if diff.is_empty() { "(it holds what was to be written)\n".to_owned() } else { diff };
    format!("{}: {was}now {}\n{diff}", change.key, index(now))
}

fn refused(why: &str) -> Failure {
    Failure::failed(format!(
        "nothing was written: somebody edited these keys meanwhile (- theirs, + yours)\n{why}\n\
         look with howdah kv diff, then import again, or --force"
    ))
}

fn import(arguments: &ImportArguments) -> Result<(), Failure> {
    let store = Store::connect()?;
    let input = &arguments.input;
    let plan = input.plan(&store)?;
    let batches = plan::batches(&plan.changes, &plan.prefix, arguments.split).map_err(user);
    if arguments.dry_run {
        plan.print(input.json, json!({ "written": false }))?;
        if !input.json {
            println!(
                "{}; nothing written, index {}",
                plan.summary("to write", "to delete"),
                plan.index
            );
        }
        return batches.map(drop);
    }
    let batches = batches?;
    plan.since(arguments.cas.unwrap_or(0))?;
    if !arguments.yes && !confirmed(&plan)? {
        return Err(Failure::user("nothing was written"));
    }
    let guard = if arguments.force { Guard::Force } else { Guard::Unchanged };
    let mut written = Vec::new();
    for batch in &batches {
        write(&store, &plan, batch, guard, &written)?;
        written.push(batch.names.join(", "));
        if batches.len() > 1 && !input.json {
            let (nth, all, count) = (written.len(), batches.len(), batch.changes.len());
            println!("transaction {nth} of {all}: {count} keys of {}", batch.names.join(", "));
        }
    }
    if input.json {
        plan.print(true, json!({ "written": true, "transactions": written }))?;
    } else {
        for change in &plan.changes {
            let sign = match (&change.old, &change.new) {
                (None, _) => '+',
                (_, None) => '-',
                _ => '~',
            };
            println!("{sign} {}", change.key);
        }
        println!("{}", plan.summary("written", "deleted"));
    }
    Ok(())
}

fn write(
    store: &Store,
    plan: &Plan,
    batch: &Batch,
    guard: Guard,
    before: &[String],
) -> Result<(), Failure> {
    let so_far = |mut failure: Failure| {
        if !before.is_empty() {
            let message = failure.message.replacen("nothing was written", "not written", 1);
            failure.message = format!("{message}; written before: {}", before.join(", "));
        }
        failure
    };
    match store.write(batch, guard) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => {
            let rivals = plan.rivals(store)?;
            Err(so_far(match rivals.is_empty() {
                true => Failure::failed(format!("nothing was written: {reason}")),
                false => refused(&rivals),
            }))
        }
        Err(error) => Err(so_far(Failure::failed(format!(
            "{error}; whether it was written is seen by howdah kv diff"
        )))),
    }
}

/// Asks on a terminal before keys are deleted.
fn confirmed(plan: &Plan) -> Result<bool, Failure> {
    let deletes = plan.changes.len() - plan.writes();
    if deletes == 0 || !std::io::stdin().is_terminal() {
        return Ok(true);
    }
    plan.print(false, json!({}))?;
    eprint!("{}; go on? [y/N] ", plan.summary("to write", "to delete"));
    std::io::stderr().flush().map_err(Failure::failed)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Failure::failed)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

fn diff(input: &Input) -> Result<bool, Failure> {
    let store = Store::connect()?;
    let plan = input.plan(&store)?;
    plan.print(input.json, json!({}))?;
    if !input.json && !plan.changes.is_empty() {
        println!("{}", plan.summary("to write", "to delete"));
    }
    Ok(!plan.changes.is_empty())
}

fn export(arguments: &ExportArguments) -> Result<(), Failure> {
    if arguments.client {
        return client(arguments);
    }
    let store = Store::connect()?;
    let prefix = arguments.prefix.as_deref().unwrap_or(PREFIX);
    let (entries, _) = store.list(prefix)?;
    let text = kv_json::write(&entries).map_err(Failure::failed)?;
    match &arguments.output {
        // Values may be secrets: nobody else may read the file.
        Some(file) => {
            let path = std::path::absolute(file).map_err(Failure::failed)?;
            durable::write(&path, text.as_bytes(), 0o600).map_err(Failure::user)?;
            println!("{} keys written to {}", entries.len(), file.display());
            Ok(())
        }
        None => put(&text),
    }
}

/// Renders the files of the role `client` from the layers that all hosts share.
fn client(arguments: &ExportArguments) -> Result<(), Failure> {
    let prefix = arguments.prefix.as_deref().unwrap_or(CLIENT_PREFIX);
    let quoted = |text: String| serde_json::Value::from(text).to_string();
    let (shared, own) = (quoted(prefix.to_owned()), quoted(format!("{prefix}@client/")));
    let text = format!(
        "consul {{}}\nlayer \"shared\" {{ kv = {shared} }}\nlayer \"role\" {{ kv = {own} }}\n\
         unit \"client\" {{\n file \"core-site.xml\" {{}}\n file \"hdfs-site.xml\" {{}}\n}}\n"
    );
    let config = config::load_text("kv export --client", &text, &Scope::of_process());
    let config = config.map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::user(problems.join("; "))
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let rendered = runtime.block_on(run::render_once(&config)).map_err(Failure::failed)?;
    let Some((_, rendered)) = rendered.into_iter().next() else { return Ok(()) };
    for warning in &rendered.warnings {
        eprintln!("howdah: {warning}");
    }
    if !rendered.usable() {
        return Err(Failure::user(rendered.refusal()));
    }
    if rendered.stored == 0 {
        let what = "holds no value of core-site.xml or hdfs-site.xml; --prefix names another place";
        return Err(Failure::user(format!("{prefix} {what}")));
    }
    let folder = arguments.to.clone().unwrap_or_else(|| CLIENT_FOLDER.into());
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::user(format!("cannot create {}: {error}", folder.display())))?;
    for (name, file) in rendered.files.iter() {
        let path = folder.join(name);
        durable::write(&path, file.content.bytes(), file.mode).map_err(Failure::user)?;
        println!("{}", path.display());
    }
    Ok(())
}
