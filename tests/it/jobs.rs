//! The jobs, variables and templates of the repository, without a Nomad: what is run by
//! `nomad job run jobs/NAME.nomad` is read, worked out with every variables file, and held against
//! the rules of `lint`. With a `nomad` on the PATH, its own validation is asked, too.

mod broken;
mod lint;
mod nomad;
mod run;
mod spec;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use hcl::Value;
use howdah::config::{self, Scope};
use tests::{binary, root};

use spec::{Problem, Spec};

/// The values of one variables file, by name, with their lines.
type Values = BTreeMap<String, (Value, usize)>;

/// The files of a folder below the root with that ending, by name.
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).expect("a folder").flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == ending) {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            found.push((format!("{folder}/{name}"), fs::read_to_string(&path).expect("UTF-8")));
        }
    }
    found.sort();
    found
}

/// No values, and those of each variables file.
fn sites() -> Vec<(String, Values)> {
    let read = |(file, text): (String, String)| {
        let values = spec::values(&file, &text).unwrap_or_else(|problem| panic!("{problem}"));
        (file, values)
    };
    let given = files("vars", "hcl").into_iter().map(read);
    std::iter::once(("defaults".to_owned(), Values::new())).chain(given).collect()
}

/// Every job with one site's values.
fn jobs(values: &Values) -> Vec<Spec> {
    let read = |(file, text): (String, String)| {
        Spec::read(&file, &text, values).unwrap_or_else(|problem| panic!("{problem}"))
    };
    files("jobs", "nomad").into_iter().map(read).collect()
}

/// Fails with all offenders at once.
fn none<T: ToString>(rule: &str, offenders: impl IntoIterator<Item = T>) {
    let offenders: Vec<_> = offenders.into_iter().map(|each| each.to_string()).collect();
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

/// Ports that two jobs claim, for jobs that may be on one host.
fn taken_twice(jobs: &[&Spec]) -> Vec<Problem> {
    let mut owners: BTreeMap<u64, String> = BTreeMap::new();
    let mut problems = Vec::new();
    for job in jobs {
        for (port, line) in lint::ports(job) {
            let here = format!("{}:{line}", job.file);
            match owners.get(&port) {
                Some(owner) => {
                    problems.push(job.problem(line, format!("port {port} is {owner}'s already")));
                }
                None => drop(owners.insert(port, here)),
            }
        }
    }
    problems
}

#[test]
fn every_job_keeps_the_rules_at_every_site() {
    let names: Vec<String> = files("jobs", "nomad").into_iter().map(|(file, _)| file).collect();
    let wanted = ["agent", "datanode", "grafana", "namenode", "prometheus", "secondarynamenode"];
    for name in wanted.iter().chain(&["spark-history", "yarn"]) {
        assert!(names.contains(&format!("jobs/{name}.nomad")), "{name} of {names:?}");
    }
    for (site, values) in sites() {
        let jobs = jobs(&values);
        none(&format!("with {site}"), jobs.iter().flat_map(lint::lint));
        none(&format!("with {site}"), taken_twice(&jobs.iter().collect::<Vec<_>>()));
    }
}

#[test]
fn a_site_sets_only_what_every_job_declares() {
    let jobs = jobs(&Values::new());
    let mut unknown = Vec::new();
    for (site, values) in sites() {
        for (name, (_, line)) in &values {
            let without = jobs.iter().find(|job| job.variables.iter().all(|v| v.name != *name));
            unknown.extend(without.map(|job| format!("{site}:{line}: {name} of {}", job.file)));
        }
    }
    none("Nomad refuses variables that a job does not declare", unknown);
}

#[test]
fn two_clusters_share_a_host() {
    let sites: BTreeMap<String, Values> = sites().into_iter().collect();
    let (first, second) = (jobs(&Values::new()), jobs(&sites["vars/second.hcl"]));
    none("both", taken_twice(&first.iter().chain(&second).collect::<Vec<_>>()));
    for (one, other) in first.iter().zip(&second) {
        let [one_agents, other_agents] = [one, other].map(agents);
        for (one, other) in one_agents.iter().zip(&other_agents) {
            assert_ne!(one.state_dir, other.state_dir);
            assert!(
                one.layers
                    .iter()
                    .zip(&other.layers)
                    .all(|(one, other)| { one.source != other.source || one.name == "job" })
            );
            let names = |agent: &config::AgentConfig| -> BTreeSet<String> {
                let services = agent.units.iter().flat_map(|unit| &unit.services);
                services.map(|service| service.name.clone()).collect()
            };
            assert!(names(one).is_disjoint(&names(other)), "{:?}", names(one));
        }
        assert_ne!(one.job.text("id"), other.job.text("id"));
    }
}

fn agents(spec: &Spec) -> Vec<config::AgentConfig> {
    let tasks = spec.job.all().into_iter().filter(|node| node.name == "task");
    tasks.map(|task| lint::agent_config(task).expect("one").1.expect("a good one")).collect()
}

/// `nomad job run` is enough for a new cluster: the job's environment has the agent format the
/// folder that the job's settings name, and no other job's does.
#[test]
fn the_namenode_of_the_job_formats_itself() {
    for (site, values) in sites() {
        for job in jobs(&values) {
            let folder = job.job.all().into_iter().find_map(|node| {
                let named = node.text("destination")?.ends_with("/dfs.namenode.name.dir");
                node.text("data").filter(|_| named)
            });
            for unit in agents(&job).iter().flat_map(|agent| &agent.units) {
                let Some(prepare) = &unit.prepare else {
                    assert_ne!(unit.role, "namenode", "{site}: {}", job.file);
                    continue;
                };
                assert_eq!(unit.role, "namenode", "{site}: {}", job.file);
                let empty = format!("file://{}", prepare.when_empty[0].display());
                assert_eq!(Some(empty.as_str()), folder, "{site}: {}", job.file);
                assert_eq!(prepare.command[1..3], ["namenode", "-format"]);
            }
        }
    }
}

/// The program's own verb on the very text that Nomad would write.
#[test]
fn the_program_takes_every_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    for job in jobs(&Values::new()) {
        for task in job.job.all().into_iter().filter(|node| node.name == "task") {
            let (text, _) = lint::agent_text(task).expect("a configuration");
            let path = folder.path().join("agent.hcl");
            fs::write(&path, text).expect("a file");
            validate(&path, &format!("{} of {}", task.label, job.file));
        }
    }
    validate(&root().join("templates/agent"), "templates/agent");
}

fn validate(path: &Path, what: &str) {
    let mut command = Command::new(binary::howdah());
    command.args(["validate", "--config"]).arg(path).env("HOWDAH_BIN", "/usr/bin/howdah");
    for name in spec::RUNTIME {
        command.env(name, "/nomad");
    }
    let output = command.output().expect("howdah runs");
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A job and the agent by hand run the same units.
#[test]
fn units_by_hand_are_those_of_the_jobs() {
    let scope = Scope::of_process();
    let by_hand = config::load(&[root().join("templates/agent")], &scope).expect("a good one");
    let jobs = jobs(&Values::new());
    let in_jobs: Vec<_> = jobs.iter().flat_map(agents).flat_map(|agent| agent.units).collect();
    for unit in &by_hand.units {
        let job = in_jobs.iter().find(|other| other.name == unit.name).expect("a job runs it");
        assert_eq!(unit.ready, job.ready, "{}", unit.name);
        assert_eq!(unit.reload, job.reload, "{}", unit.name);
        assert_eq!(unit.wait_for, job.wait_for, "{}", unit.name);
        assert_eq!(unit.files, job.files, "{}", unit.name);
        for service in &unit.services {
            let other = job.services.iter().find(|other| other.name == service.name);
            assert_eq!(Some(service.port), other.map(|other| other.port), "{}", service.name);
            assert_eq!(Some(&service.tags), other.map(|other| &other.tags), "{}", service.name);
        }
    }
}

/// What a cluster starts with says the same as the jobs do with their defaults.
#[test]
fn the_seed_agrees_with_the_jobs() {
    let mut compared = 0;
    for job in jobs(&Values::new()) {
        let templates = job.job.all().into_iter().filter(|node| node.name == "template");
        for template in templates {
            let destination = template.text("destination").unwrap_or_default();
            let Some(setting) = destination.strip_prefix("local/layer/") else { continue };
            let seed = fs::read_to_string(root().join("templates/conf/hdfs").join(setting));
            let Ok(seed) = seed else { continue };
            assert_eq!(seed.trim(), template.text("data").unwrap_or_default(), "{setting}");
            compared += 1;
        }
    }
    assert!(compared > 10, "only {compared} settings are in both");
}

/// Paths below `folder`, as the manifest names them.
fn below(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            below(&path, root, found);
        } else {
            found.insert(path.strip_prefix(root).expect("below").display().to_string());
        }
    }
}

/// What the manifest does not name, and what it names in vain.
fn strangers(manifest: &str, present: &BTreeSet<String>) -> Vec<String> {
    let body = hcl::parse(manifest).expect("a manifest");
    let mut problems = Vec::new();
    let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for block in body.blocks() {
        let name =
            block.labels().first().map(|label| label.as_str().to_owned()).unwrap_or_default();
        for key in ["purpose", "by", "needs"] {
            if !block.body().attributes().any(|attribute| attribute.key() == key) {
                problems.push(format!("{name}: {key} is missing"));
            }
        }
        let kind = if block.identifier() == "folder" { &mut folders } else { &mut files };
        kind.insert(name);
    }
    let inside = |path: &str, folder: &String| path.starts_with(&format!("{folder}/"));
    for path in present.iter().filter(|path| *path != "manifest.hcl") {
        if !files.contains(path) && !folders.iter().any(|folder| inside(path, folder)) {
            problems.push(format!("{path}: not in the manifest"));
        }
    }
    problems.extend(files.difference(present).map(|name| format!("{name}: no such file")));
    for folder in folders {
        if !present.iter().any(|path| inside(path, &folder)) {
            problems.push(format!("{folder}: no such folder"));
        }
    }
    problems
}

#[test]
fn the_manifest_names_every_template() {
    let folder = root().join("templates");
    let mut present = BTreeSet::new();
    below(&folder, &folder, &mut present);
    let manifest = fs::read_to_string(folder.join("manifest.hcl")).expect("a manifest");
    none("templates/manifest.hcl", strangers(&manifest, &present));

    let entry = |kind: &str, name: &str| {
        format!("{kind} \"{name}\" {{\n purpose = \"\"\n by = \"\"\n needs = []\n}}\n")
    };
    let text =
        entry("file", "a") + &entry("file", "gone") + &entry("folder", "f") + "file \"b\" {}";
    let present = ["a", "b", "new", "f/x"].map(str::to_owned).into();
    let expected = [
        "b: purpose is missing",
        "b: by is missing",
        "b: needs is missing",
        "new: not in the manifest",
        "gone: no such file",
    ];
    assert_eq!(strangers(&text, &present), expected);
}

/// Grafana's dashboard shows metrics that the agent has.
#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a file");
    let (dashboard, reference) = (read("templates/grafana/howdah.json"), read("docs/agent.md"));
    serde_json::from_str::<serde_json::Value>(&dashboard).expect("JSON");
    let letters = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let named: BTreeSet<&str> =
        dashboard.split(letters).filter(|word| word.starts_with("agent_")).collect();
    assert!(named.len() > 10, "{named:?}");
    none("not in docs/agent.md", named.iter().filter(|name| !reference.contains(*name)));
}
