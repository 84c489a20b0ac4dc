//! The canary: planted secrets appear in no log, answer, process argument, environment or core
//! file.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use tests::process;
use tests::wait;

use super::host::Host;
use super::{PATIENCE, pair};

/// Everything that a person or a program may read about the agent, and where it was read.
fn seen(host: &Host) -> Vec<(String, Vec<u8>)> {
    let mut seen = vec![("the log".to_owned(), fs::read(host.path("log")).expect("a log"))];
    for verb in ["status", "diff", "history", "generations", "render", "validate"] {
        for words in [&[verb][..], &[verb, "--json"]] {
            let output = host.verb(words);
            seen.push((format!("howdah {words:?}"), [output.stdout, output.stderr].concat()));
        }
    }
    seen.push(("/metrics".to_owned(), host.metrics().into_bytes()));
    seen.push(("/v1/status".to_owned(), host.status().to_string().into_bytes()));
    files(&host.path("state"), &mut seen);
    seen
}

/// Files below a folder; of rendered ones those that more than their owner may read.
fn files(folder: &Path, seen: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
        if kind.is_dir() {
            files(&path, seen);
        } else if kind.is_file() {
            let rendered = folder.parent().is_some_and(|parent| parent.ends_with("generations"));
            let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
            if !rendered || mode != 0o600 {
                seen.push((path.display().to_string(), fs::read(&path).expect("readable")));
            }
        }
    }
}

/// Arguments and environments of the agent and everything below it.
fn processes(agent: i32) -> Vec<(String, Vec<u8>)> {
    let mut family = BTreeSet::from([agent]);
    for _ in 0..5 {
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
            else {
                continue;
            };
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
            if parent.and_then(|text| text.parse().ok()).is_some_and(|id| family.contains(&id)) {
                family.insert(id);
            }
        }
    }
    assert!(family.len() >= 2, "the agent has a unit");
    let mut seen = Vec::new();
    for id in family {
        for name in ["cmdline", "environ"] {
            let path = format!("/proc/{id}/{name}");
            seen.push((path.clone(), fs::read(&path).unwrap_or_default()));
        }
    }
    seen
}

fn check(seen: &[(String, Vec<u8>)], canaries: &[String], except: &str) {
    for canary in canaries {
        assert!(canary.len() > 10, "{canary:?} is no canary");
        for (place, bytes) in seen.iter().filter(|(place, _)| place != except) {
            let there = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!there, "{place} shows {canary}");
        }
    }
}

/// The middle of a private key on the disk.
fn key_line(host: &Host) -> String {
    let key = host.rendered("node.key").expect("a key");
    key.lines().nth(1).expect("a line of the key").to_owned()
}

#[test]
fn agent_vault_secrets_are_seen_nowhere() {
    let mut host = Host::new(false);
    let value = |round: u32| format!("canary-value-{round}-7f3a");
    let field = "{{secret \"secret/db\" \"password\"}}";
    let unit = pair("node", "1h")
        + &format!("file \"db.txt\" {{\n template = <<T\n{field}\nT\n}}\n")
        + "file \"other.txt\" { template = \"kv:templates/other\" }\n";
    let token = host.vault.token("1h");
    let secret_id = "canary-secret-id-91c4".to_owned();
    let ways = [host.approle(&secret_id), host.token_file(&token), String::new()];
    for (round, auth) in (0..).zip(&ways) {
        host.put_secret("db", "password", &value(round));
        host.consul.put("templates/other", "plain");
        if auth.is_empty() {
            host.env.insert("VAULT_TOKEN".to_owned(), token.clone());
        }
        host.configure(&host.vault.address(), auth, &unit);
        host.start();
        host.running();
        let before = value(round) + "\n";
        host.until_rendered("db.txt", &before, PATIENCE);
        let mut canaries = vec![value(round), key_line(&host), token.clone(), secret_id.clone()];
        // A difference of secrets, and a template that fails with a secret in its hands.
        let next = value(round + 100);
        canaries.push(next.clone());
        let broken = "{{#with (secret \"secret/db\")}}{{base64Decode password}}{{/with}}";
        host.consul.put("templates/other", broken);
        wait::until("a masked complaint", PATIENCE, || {
            let refused = host.status()["units"][0]["refused"].as_str().map(str::to_owned);
            refused.filter(|text| text.contains("details masked"))
        });
        host.consul.put("templates/other", &format!("{field} is new"));
        host.put_secret("db", "password", &next);
        host.until_rendered("db.txt", &(next + "\n"), PATIENCE);
        host.running();
        let agent = host.agent().id();
        // What the operator passed in the environment stands in the agent's own, and nowhere else.
        let except = format!("/proc/{agent}/environ");
        let except = if auth.is_empty() { except.as_str() } else { "" };
        check(&[seen(&host), processes(agent)].concat(), &canaries, except);
        host.stop();
        check(&seen_stopped(&host), &canaries, "");
    }
}

/// What a stopped agent leaves.
fn seen_stopped(host: &Host) -> Vec<(String, Vec<u8>)> {
    let mut seen = vec![("the log".to_owned(), fs::read(host.path("log")).expect("a log"))];
    files(&host.path("state"), &mut seen);
    seen
}

#[test]
fn agent_vault_a_crash_leaves_no_core_file() {
    let test = "agent_vault_a_crash_leaves_no_core_file";
    let mut host = Host::new(false);
    // The control: here a program that crashes does leave one.
    let crash = "ulimit -c unlimited; kill -SEGV $$";
    let control = Command::new("/bin/sh").args(["-c", crash]).current_dir(host.path("")).status();
    let control = control.expect("a shell").core_dumped();
    host.put_secret("db", "password", "in memory");
    let auth = host.token_file(&host.vault.token("1h"));
    host.configure(&host.vault.address(), &auth, super::QUIET);
    host.start();
    host.running();
    let agent = host.agent().id();
    // The runtime's own handler takes the first one, since it looks for overflown stacks.
    let status = wait::until("the end of the agent", PATIENCE, || {
        process::signal(agent, Signal::SIGSEGV);
        host.agent().status()
    });
    assert_eq!(status.signal(), Some(Signal::SIGSEGV as i32), "{status}");
    assert!(!status.core_dumped(), "{status}");
    let cores = fs::read_dir(host.path("")).expect("the folder").flatten();
    let cores = cores.filter(|entry| entry.file_name().to_string_lossy().starts_with("core"));
    let cores =
        cores.filter(|entry| entry.file_name().to_string_lossy().contains(&agent.to_string()));
    assert_eq!(cores.count(), 0);
    if !control {
        // Said, since then only the kernel's word above counts.
        eprintln!("{test}: this machine writes no core files at all");
    }
}
