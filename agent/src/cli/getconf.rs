//! `howdah getconf`: values of the configuration, one a line, as scripts expect them.

use super::client::{Generic, Settings};

const USAGE: &str = "Usage: hdfs getconf [-namenodes | -secondaryNameNodes | -journalNodes | \
                     -nnRpcAddresses | -confKey KEY]";

/// Exit code for what has no answer: Java's -1.
const EXIT_REFUSED: i32 = 255;

/// Runs `howdah getconf WORDS` and returns the exit code.
pub(super) fn run(mut words: Vec<String>) -> i32 {
    let settings = match Generic::take(&mut words).and_then(Generic::settings) {
        Ok(settings) => settings,
        Err(mistake) => {
            eprintln!("getconf: {mistake}");
            return super::EXIT_USER;
        }
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answer = match words[..] {
        ["-help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return 0;
        }
        ["-confKey", key] => {
            settings.value(key).ok_or_else(|| format!("Configuration {key} is missing."))
        }
        ["-namenodes"] => hosts(&settings).map(|all| join(&all, host)),
        ["-nnRpcAddresses"] => hosts(&settings).map(|all| all.join("\n")),
        ["-secondaryNameNodes"] => addresses(&settings, "dfs.namenode.secondary.http-address"),
        ["-journalNodes"] => addresses(&settings, "dfs.namenode.shared.edits.dir"),
        _ => {
            eprintln!("{USAGE}");
            return EXIT_REFUSED;
        }
    };
    match answer {
        Ok(answer) => {
            println!("{answer}");
            0
        }
        Err(message) => {
            eprintln!("{message}");
            EXIT_REFUSED
        }
    }
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

fn join<'a>(all: &'a [String], part: impl Fn(&'a str) -> &'a str) -> String {
    all.iter().map(|one| part(one)).collect::<Vec<_>>().join(" ")
}

/// The namenodes' RPC addresses.
fn hosts(settings: &Settings) -> Result<Vec<String>, String> {
    if let Some(services) = settings.value("dfs.nameservices").filter(|text| !text.is_empty()) {
        let mut all = Vec::new();
        for service in services.split(',').map(str::trim) {
            let names = settings.value(&format!("dfs.ha.namenodes.{service}"));
            let keys: Vec<String> = match &names {
                Some(names) => names
                    .split(',')
                    .map(|name| format!("dfs.namenode.rpc-address.{service}.{}", name.trim()))
                    .collect(),
                None => vec![format!("dfs.namenode.rpc-address.{service}")],
            };
            all.extend(keys.iter().filter_map(|key| settings.value(key)));
        }
        return Ok(all);
    }
    let set = settings.value("dfs.namenode.rpc-address").filter(|text| !text.is_empty());
    let address = match set {
        Some(address) => address,
        None => settings.default_fs()?.trim_start_matches("hdfs://").to_owned(),
    };
    Ok(vec![address])
}

fn addresses(settings: &Settings, key: &str) -> Result<String, String> {
    let value = settings.value(key).unwrap_or_default();
    let value = value.strip_prefix("qjournal://").unwrap_or(&value);
    let list = value.split('/').next().unwrap_or_default();
    Ok(list.split([';', ',']).map(host).collect::<Vec<_>>().join(" "))
}
