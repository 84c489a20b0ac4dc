//! `howdah agent` on a real Consul: changes, transactions, outages at boot, bad input, faults.
//!
//! What a unit runs is a small script that notes what it was started with.

mod faults;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tests::stack::{Agent, Consul};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Notes the value it starts with.
const PROGRAM: &str = r#"
sed -n 's/^k=//p' $1/app.env >> $2
trap 'exit 0' TERM
while true; do sleep 0.02; done
"#;

/// A Consul, or a test that is skipped loudly.
fn server(test: &str) -> Option<Consul> {
    Consul::start().map_err(|reason| tests::skip(test, &reason)).ok()
}

/// Writes keys in one transaction.
fn write(consul: &Consul, keys: &[(&str, &[u8], u64)]) {
    let set = |(key, value, flags): &(&str, &[u8], u64)| {
        let value = base64(value);
        json!({"KV": {"Verb": "set", "Key": key, "Value": value, "Flags": flags}})
    };
    consul.must("PUT", "/v1/txn", Some(&json!(keys.iter().map(set).collect::<Vec<Value>>())));
}

/// Removes keys in one transaction.
fn remove(consul: &Consul, keys: &[&str]) {
    let delete = |key: &&str| json!({"KV": {"Verb": "delete", "Key": key}});
    consul.must("PUT", "/v1/txn", Some(&json!(keys.iter().map(delete).collect::<Vec<Value>>())));
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let at = |index: usize| u32::from(piece.get(index).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let index = (word >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit > piece.len() { '=' } else { DIGITS[index] as char });
        }
    }
    text
}

/// An agent with the script for its units; `more` follows the layers and units of `text`.
fn agent(address: &str, text: &str) -> Agent {
    let agent = Agent::new();
    fs::write(agent.folder().join("app.sh"), PROGRAM).expect("a script");
    agent.configure(&format!("consul {{ address = \"{address}\" }}\n{text}"));
    agent
}

/// The words of a unit's command: it notes its starts in `FOLDER/NAME`.
fn command(agent: &Path, name: &str) -> String {
    let folder = agent.display();
    format!("[\"/bin/sh\", \"{folder}/app.sh\", \"${{conf_dir}}\", \"{folder}/{name}\"]")
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// All files that a unit shows, of one generation: the folder is looked up once.
fn shown(conf: &Path) -> Option<BTreeMap<String, String>> {
    let folder = fs::canonicalize(conf).ok()?;
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(&folder).ok()?.flatten() {
        let text = fs::read(entry.path()).ok()?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(name, String::from_utf8_lossy(&text).into_owned());
    }
    Some(files)
}

/// Every generation that a unit keeps: the index it was made at, and its files.
fn kept(conf: &Path) -> Vec<(u64, BTreeMap<String, String>)> {
    let folder = conf.parent().expect("a unit").join("generations");
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).expect("generations").flatten() {
        let path: PathBuf = entry.path();
        if path.is_dir() {
            let meta = fs::read(path.with_extension("json")).expect("its description");
            let meta: Value = serde_json::from_slice(&meta).expect("JSON");
            let index = meta["index"].as_u64().expect("an index");
            found.push((index, shown(&path).expect("its files")));
        }
    }
    found
}

#[test]
fn agent_consul_transactions_are_never_torn() {
    let Some(consul) = server("agent_consul_transactions_are_never_torn") else { return };
    let put = |n: usize| {
        let n = n.to_string();
        let value = n.as_bytes();
        let keys = ["a/x.env/k", "a/y.env/k", "b/z.env/k", "b/w.env/k"];
        write(&consul, &keys.map(|key| (key, value, 0)));
    };
    put(0);
    // One unit over both prefixes, and one for each.
    let unit = |name: &str| {
        let quiesce = "quiesce = { min = \"0ms\", max = \"0ms\" }";
        format!("unit \"{name}\" {{\n {quiesce}\n keep = 1000\n}}\n")
    };
    let mut agent = agent(
        &consul.address(),
        &format!(
            "layer \"a\" {{ kv = \"a/\" }}\nlayer \"b\" {{ kv = \"b/\" }}\n{}{}",
            unit("one"),
            unit("two")
        ),
    );
    agent.start();
    let units = ["one", "two"].map(|unit| agent.conf(unit));
    for n in 0..=200 {
        if n > 0 {
            put(n);
        }
        let wanted = format!("k={n}\n");
        agent.until("the next version", |_| {
            let all = units.iter().all(|conf| {
                let files = shown(conf).unwrap_or_default();
                files.len() == 4 && files.values().all(|text| *text == wanted)
            });
            all.then_some(())
        });
    }
    let mut told = BTreeMap::new();
    for conf in &units {
        let generations = kept(conf);
        assert!(generations.len() > 100, "each version was waited for");
        for (index, files) in generations {
            let values: Vec<&String> = files.values().collect();
            assert!(values.iter().all(|value| *value == values[0]), "torn: {files:?}");
            let before = told.insert(index, values[0].clone());
            let same = before.is_none_or(|before| before == *values[0]);
            assert!(same, "two units show the index {index} differently");
        }
    }
}

#[test]
fn agent_consul_down_at_boot() {
    let Some(mut consul) = server("agent_consul_down_at_boot") else { return };
    write(&consul, &[("conf/app/app.env/k", b"1", 0)]);
    let mut agent = agent(&consul.address(), "");
    let address = consul.address();
    let configure = |agent: &Agent, more: &str| {
        let command = command(agent.folder(), "starts");
        agent.configure(&format!(
            "consul {{ address = \"{address}\" }}\n{more}\nlayer \"a\" {{ kv = \"conf/app/\" }}\n\
             unit \"app\" {{\n command = {command}\n\
             quiesce = {{ min = \"20ms\", max = \"1s\" }}\n}}\n",
        ));
    };
    configure(&agent, "");
    let starts = agent.folder().join("starts");
    let started = |expected: &[&str]| (lines(&starts) == expected).then_some(());
    let state = agent.folder().join("state/units/app");
    agent.start();
    agent.until("the first start", |_| started(&["1"]));
    agent.until("a good generation", |_| state.join("good").exists().then_some(()));
    agent.stop();

    consul.stop();
    agent.start();
    agent.until("a start from the last good", |_| started(&["1", "1"]));
    agent.until("the status to say so", |agent| {
        (agent.unit("app")["last_good_in_use"] == true).then_some(())
    });
    assert!(agent.logged().contains("LAST GOOD"), "{}", agent.tail());
    let source = agent.status()["sources"]["consul-kv"].to_string();
    assert!(source.contains(&consul.address()), "{source}");
    // Back with the same value: nothing restarts, and nothing is said any more.
    consul.launch();
    agent.until("the end of the outage", |agent| {
        let unit = agent.unit("app");
        (unit["last_good_in_use"] == false && unit["refused"].is_null()).then_some(())
    });
    write(&consul, &[("conf/app/app.env/k", b"2", 0)]);
    agent.until("the new value", |_| started(&["1", "1", "2"]));
    agent.until("a second good one", |_| (lines(&state.join("good")) == ["2"]).then_some(()));
    agent.stop();

    // Too old to be trusted: two days, where one is allowed.
    consul.stop();
    let path = state.join("generations/2.json");
    let mut meta: Value = serde_json::from_slice(&fs::read(&path).expect("it")).expect("JSON");
    meta["time"] = json!(meta["time"].as_u64().expect("a time") - 2 * 86_400);
    fs::write(&path, meta.to_string()).expect("it");
    configure(&agent, "last_good_max_age = \"1d\"");
    agent.start();
    agent.until("the refusal", |agent| {
        let refused = agent.unit("app")["refused"].as_str().map(str::to_owned);
        refused.filter(|reason| reason.contains("last_good_max_age"))
    });
    assert_eq!(lines(&starts).len(), 3, "nothing was started");
    consul.launch();
    agent.until("a start once Consul is back", |_| started(&["1", "1", "2", "2"]));
    assert_eq!(agent.stop(), Some(0));
}

/// Story: a unit was started with nothing but its defaults when somebody had emptied its keys, and
/// not at all when its newest values were bad while the agent started.
#[test]
fn agent_consul_emptied_or_bad_at_boot() {
    let Some(consul) = server("agent_consul_emptied_or_bad_at_boot") else { return };
    write(&consul, &[("conf/app/app.env/k", b"1", 0), ("conf/app/core-site.xml/a", b"b", 0)]);
    let mut agent = agent(&consul.address(), "");
    agent.configure(&format!(
        "consul {{ address = \"{}\" }}\nlayer \"a\" {{ kv = \"conf/app/\" }}\n\
         unit \"app\" {{\n command = {}\n quiesce = {{ min = \"20ms\", max = \"1s\" }}\n}}\n",
        consul.address(),
        command(agent.folder(), "starts"),
    ));
    let starts = agent.folder().join("starts");
    let state = agent.folder().join("state/units/app");
    agent.start();
    agent.until("a good generation", |_| state.join("good").exists().then_some(()));
    consul.must("DELETE", "/v1/kv/conf/?recurse", None);
    let refusal = |agent: &Agent| agent.unit("app")["refused"].as_str().map(str::to_owned);
    agent.until("the emptied store is refused", |agent| {
        refusal(agent).filter(|reason| reason.contains("all 2 keys"))
    });
    assert_eq!(shown(&agent.conf("app")).expect("files").len(), 2);
    agent.stop();
    for (key, value) in [(None, ""), (Some("conf/app/app.env/k"), "two\nlines")] {
        if let Some(key) = key {
            write(&consul, &[(key, value.as_bytes(), 0)]);
        }
        let before = lines(&starts).len();
        agent.start();
        agent.until("a start with what was good", |_| {
            (lines(&starts).len() == before + 1).then_some(())
        });
        assert!(refusal(&agent).is_some() && agent.unit("app")["last_good_in_use"] == true);
        agent.stop();
    }
    write(&consul, &[("conf/app/app.env/k", b"3", 0)]);
    agent.start();
    agent.until("the new value", |_| {
        lines(&starts).last().is_some_and(|value| value == "3").then_some(())
    });
    assert_eq!(lines(&starts), ["1", "1", "1", "3"]);
}

/// A bad thing in the store, and what the message about it must name.
struct Bad {
    keys: Vec<(&'static str, Vec<u8>, u64)>,
    named: &'static [&'static str],
}

fn bad_things() -> Vec<Bad> {
    let bad = |key: &'static str, value: &[u8], flags, named| Bad {
        keys: vec![(key, value.to_vec(), flags)],
        named,
    };
    vec![
        bad("conf/app/../passwd", b"x", 0, &["conf/app/../passwd"]),
        bad("conf/app/..", b"x", 0, &["conf/app/.."]),
        bad("conf/app/a.env/../b", b"x", 0, &["conf/app/a.env/../b"]),
        bad("conf/app/a.env/k", b"\xff\x00\x01", 0, &["conf/app/a.env/k", "UTF-8"]),
        bad("conf/app/a.env/k", b"one\ntwo", 0, &["a.env", "'k'", "line break"]),
        Bad {
            keys: vec![
                ("conf/app/a.env", b"x=y".to_vec(), 0),
                ("conf/app/a.env/k", b"z".to_vec(), 0),
            ],
            named: &["conf/app/a.env", "whole"],
        },
        bad("conf/app/t.txt", b"{{#each list}}", 2, &["conf/app/t.txt"]),
        bad("conf/app/t.txt", b"{{> t.txt}}", 2, &["conf/app/t.txt", "partials"]),
        bad("conf/app/t.txt", b"{{key \"not/there\"}}", 2, &["not/there"]),
        bad("conf/app/t.txt", b"\xff\xfe{{unit}}", 2, &["conf/app/t.txt", "UTF-8"]),
        bad("conf/app/t.txt", b"{{exec \"id\"}}", 2, &["conf/app/t.txt", "exec"]),
        // 5,000 properties times 5,000.
        bad(
            "templates/loop",
            b"{{#each properties}}{{#each ../properties}}{{/each}}{{/each}}",
            0,
            &["templates/loop", "rounds"],
        ),
    ]
}

#[test]
fn agent_consul_bad_input_is_named_and_changes_nothing() {
    let test = "agent_consul_bad_input_is_named_and_changes_nothing";
    let Some(consul) = server(test) else { return };
    write(&consul, &[("conf/app/app.env/k", b"1", 0), ("templates/loop", b"fine", 0)]);
    for some in (0..5_000).collect::<Vec<u32>>().chunks(100) {
        let keys: Vec<String> = some.iter().map(|n| format!("conf/app/loop.txt/k{n}")).collect();
        let keys: Vec<_> = keys.iter().map(|key| (key.as_str(), &b"v"[..], 0)).collect();
        write(&consul, &keys);
    }
    let mut agent = agent(&consul.address(), "");
    agent.configure(&format!(
        "consul {{ address = \"{}\" }}\nlayer \"a\" {{ kv = \"conf/app/\" }}\n\
         unit \"app\" {{\n command = {}\n quiesce = {{ min = \"1ms\", max = \"1s\" }}\n\
         file \"*\" {{}}\n file \"loop.txt\" {{ template = \"kv:templates/loop\" }}\n}}\n",
        consul.address(),
        command(agent.folder(), "starts"),
    ));
    let starts = agent.folder().join("starts");
    agent.start();
    agent.until("the first start", |_| (lines(&starts) == ["1"]).then_some(()));
    let conf = agent.conf("app");
    let before = (fs::read_link(&conf).expect("a link"), shown(&conf));
    for bad in bad_things() {
        let keys: Vec<_> =
            bad.keys.iter().map(|(key, value, flags)| (*key, value.as_slice(), *flags)).collect();
        write(&consul, &keys);
        agent.until(&format!("a refusal that names {:?}", bad.named), |agent| {
            let refused = agent.unit("app")["refused"].as_str().map(str::to_owned);
            refused.filter(|reason| bad.named.iter().all(|name| reason.contains(name)))
        });
        if bad.named[0] == "templates/loop" {
            write(&consul, &[("templates/loop", b"fine", 0)]);
        } else {
            remove(&consul, &bad.keys.iter().map(|(key, ..)| *key).collect::<Vec<_>>());
        }
        agent.until("no refusal", |agent| agent.unit("app")["refused"].is_null().then_some(()));
        assert_eq!(before, (fs::read_link(&conf).expect("a link"), shown(&conf)));
    }
    // Not a bound broken: the longest value, and binary bytes, as whole files.
    let longest = "x".repeat(512 * 1024);
    consul.put("conf/app/big.txt", &longest);
    write(&consul, &[("conf/app/k.keytab", b"\xff\x00", 0)]);
    agent.until("the long file", |_| {
        let keytab = fs::read(conf.join("k.keytab")).ok()?;
        let long = fs::read_to_string(conf.join("big.txt")).ok()?;
        (keytab == b"\xff\x00" && long == longest).then_some(())
    });
    let generation = fs::read_link(&conf).expect("a link");
    // Too many keys: the source says so, and everything goes on with what it has.
    for some in (5_000..10_000).collect::<Vec<u32>>().chunks(100) {
        let keys: Vec<String> = some.iter().map(|n| format!("conf/app/loop.txt/k{n}")).collect();
        let keys: Vec<_> = keys.iter().map(|key| (key.as_str(), &b"v"[..], 0)).collect();
        write(&consul, &keys);
    }
    agent.until("a complaint about the number of keys", |agent| {
        let status = agent.status();
        let error = status["sources"]["consul-kv"].as_str()?.to_owned();
        (error.contains("at most 10000") && error.contains("conf/app/")).then_some(())
    });
    assert_eq!(fs::read_link(&conf).expect("a link"), generation);
    consul.must("DELETE", "/v1/kv/conf/app/loop.txt/?recurse", None);
    write(&consul, &[("conf/app/app.env/k", b"2", 0)]);
    agent.until("the next start", |_| {
        lines(&starts).last().is_some_and(|value| value == "2").then_some(())
    });
    assert_eq!(agent.stop(), Some(0));
}
