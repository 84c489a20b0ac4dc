//! Old names, each by what it does.

use std::path::Path;

use super::super::{Loaded, Scope, load_text};
use super::*;

const DIGITS: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const NAMENODE: &str = r#"unit "nn" {
  role    = "namenode"
  command = ["/bin/howdah", "namenode", "--conf", "${conf_dir}"]
}
"#;

fn loaded(text: &str, variables: &[(&str, &str)]) -> Loaded {
    let env = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let scope = Scope { env: env.collect(), node: "box".into(), ..Scope::default() };
    load_text("a.hcl", text, &scope)
}

fn good(text: &str, variables: &[(&str, &str)]) -> AgentConfig {
    loaded(text, variables).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn refusal(variables: &[(&str, &str)]) -> String {
    let problems = loaded(NAMENODE, variables).expect_err("refused");
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_namenode_formats_its_empty_folder() {
    let variables =
        [("ENSURE_NAMENODE_DIR", "/data/a,/data/b"), ("ENSURE_NAMENODE_CLUSTERID", "CID-1")];
    let config = good(NAMENODE, &variables);
    let prepare = config.units[0].prepare.as_ref().expect("a prepare");
    assert_eq!(prepare.when_empty, [Path::new("/data/a"), Path::new("/data/b")]);
    let words = ["/bin/howdah", "namenode", "-format", "-nonInteractive", "-clusterId", "CID-1"];
    assert_eq!(prepare.command[..6], words);
    assert_eq!(prepare.command[6..], ["--conf", "${conf_dir}"]);
    assert_eq!(prepare.made.len(), 2);

    let other = "unit \"dn\" { command = [\"x\"] }\n";
    assert_eq!(good(other, &variables).units[0].prepare, None, "only a namenode's");
    let own = NAMENODE
        .replace("command", "prepare = { when_empty = \"/mine\", command = [\"true\"] }\ncommand");
    let unit = &good(&own, &variables).units[0];
    assert_eq!(unit.prepare.as_ref().unwrap().command, ["true"], "its own stays");
    let script = "unit \"namenode\" { command = [\"/start.sh\"] }";
    let problems = loaded(script, &variables).expect_err("no place for -format");
    assert!(problems[0].message.contains("no word namenode"), "{problems:?}");
}

#[test]
fn components() {
    let url = "https://h/hadoop-3.4.2.tar.gz";
    let value = format!("{url}?archive=x&checksum=sha256:{DIGITS}");
    let config = good(NAMENODE, &[("INSTALLER_HADOOP", &value), ("INSTALLER_DIR", "/srv")]);
    let fetch = &config.units[0].fetch[0];
    assert_eq!(fetch.url, format!("{url}?archive=x"));
    assert_eq!((fetch.name.as_str(), fetch.to.as_path()), ("hadoop", Path::new("/srv/hadoop")));
    assert_eq!((fetch.strip, fetch.unpack), (1, true));
    assert_eq!(fetch.checksum.to_string(), format!("sha256:{DIGITS}"));

    let told = refusal(&[("INSTALLER_SPARK", "http://h/s.tgz")]);
    let remedy = "INSTALLER_SPARK: a checksum is required; write http://h/s.tgz?checksum=sha256:";
    assert!(told.starts_with(remedy), "{told}");
    for bad in ["http://h/s.tgz?checksum=md5:00", "ftp://h/s.tgz", "s.tgz"] {
        assert!(refusal(&[("INSTALLER_SPARK", bad)]).starts_with("INSTALLER_SPARK: "), "{bad}");
    }
}

#[test]
fn waits_and_retries() {
    let variables = [
        ("WAITFOR", "a:1,b:2"),
        ("WAITFOR_TIMEOUT", "7"),
        ("RETRY_NUMBER", "4"),
        ("RETRY_NORMAL_RUN_DURATION", "30"),
    ];
    let unit = &good(NAMENODE, &variables).units[0];
    let what: Vec<_> = unit.wait_for.iter().map(|wait| wait.what.clone()).collect();
    assert_eq!(what, [Awaited::Address("a:1".into()), Awaited::Address("b:2".into())]);
    assert_eq!(unit.wait_for[1].timeout, Duration::from_secs(7));
    let restart = Restart {
        backoff: RETRY_STEP,
        step: Some(RETRY_STEP),
        cap: Duration::from_secs(40),
        reset_after: Duration::from_secs(30),
        max_failures: 4,
    };
    assert_eq!(unit.restart, restart);
    let own = NAMENODE.replace("command", "restart = { max_failures = 2 }\ncommand");
    assert_eq!(good(&own, &variables).units[0].restart.step, None, "its own stays");
    assert!(refusal(&[("WAITFOR", "nowhere")]).contains("HOST:PORT is accepted"));
    assert!(refusal(&[("RETRY_NUMBER", "many")]).contains("RETRY_NUMBER"));
    assert!(refusal(&[("WAITFOR_TIMEOUT", "1m")]).contains("seconds"));
}

#[test]
fn layers() {
    let prefixes = |config: &AgentConfig| -> Vec<String> {
        let of = |layer: &Layer| match &layer.source {
            LayerSource::Kv(prefix) => prefix.clone(),
            other => format!("{other:?}"),
        };
        config.layers.iter().map(of).collect()
    };
    let config = good(NAMENODE, &[("CONSUL_KEY", "yarn"), ("CONSUL_PATH", "prod/conf/")]);
    let expected = [
        "prod/conf/yarn/",
        "prod/conf/yarn/@${unit.role}/",
        "prod/conf/yarn/@host/box/",
        "Environment",
    ];
    assert_eq!(prefixes(&config), expected);
    assert!(config.consul.is_some(), "as flokkr's: the local Consul");
    let service = NAMENODE.replace("command", "service \"x\" { port = 1 }\ncommand");
    assert!(loaded(&service, &[]).is_err(), "no Consul");
    assert!(loaded(&service, &[("CONSUL_KEY", "yarn")]).is_ok());
    let plain = good(NAMENODE, &[("CONFIG_TYPE", "consul")]);
    assert_eq!(prefixes(&plain), prefixes(&good(NAMENODE, &[])));
    assert_eq!(prefixes(&good(NAMENODE, &[("CONFIG_TYPE", "simple")])), ["Environment"]);
    let own = format!("layer \"a\" {{ kv = \"x/\" }}\n{NAMENODE}");
    let config = good(&own, &[("CONSUL_KEY", "yarn")]);
    assert_eq!(prefixes(&config), ["x/"]);
    assert!(config.notes[0].contains("has layer blocks"), "{:?}", config.notes);
    assert!(refusal(&[("CONFIG_TYPE", "zookeeper")]).contains("simple"));
}

#[test]
fn keytabs_come_from_vault() {
    let variables = [("KERBEROS_KEYTABS", "nn HTTP"), ("KERBEROS_KEYSTORES", "box")];
    assert!(refusal(&variables).contains("add a vault block"));
    let text = format!("secrets {{ files = \"/s\" }}\n{NAMENODE}");
    let files = &good(&text, &variables).units[0].files;
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["*", "nn.keytab", "HTTP.keytab", "box.keystore"]);
    let template = "{{base64Decode (secret \"secret/hdfs/keytabs/box/nn\" \"keytab\")}}";
    assert_eq!(files[1].template, Some(TemplateSource::Inline(template.into())));
    assert!(files[1].secret);
    assert!(refusal(&[("KERBEROS_KEYTABS", "../x")]).contains("no name of a keytab"));
}

#[test]
fn links() {
    let config = good(NAMENODE, &[("CONF_DIR", "/etc/hadoop/"), ("KEYTAB_DIR", "/keytabs")]);
    assert_eq!(config.units[0].links, [Path::new("/etc/hadoop"), Path::new("/keytabs")]);
    assert!(refusal(&[("CONF_DIR", "conf")]).contains("not absolute"));
}

/// What means nothing is said once, and what must not be lost is refused, by name.
#[test]
fn names_that_are_gone() {
    let gone = ["PERMISSION_FIX", "GIT_CLONE", "SSHD_ENABLE", "BTRACE_ENABLED", "BYTEMAN_SCRIPT"];
    let more = ["PROMETHEUSJMX_ENABLED", "LAUNCHER_UPDATE", "SLEEP_SECONDS", "ISSUER_SERVER"];
    for name in gone.iter().chain(&more) {
        let notes = good(NAMENODE, &[(name, "x")]).notes;
        assert_eq!(notes.len(), 1, "{name}");
        assert!(notes[0].starts_with(&format!("{name} has no effect: ")), "{notes:?}");
        assert!(good(NAMENODE, &[(name, "")]).notes.is_empty(), "empty is not set");
    }
    for name in ["ENSURE_STANDBY_NAMENODE_DIR", "NAMENODE_INIT", "ENSURE_SCM_INITIALIZED"] {
        assert!(refusal(&[(name, "x")]).starts_with(&format!("{name}: ")), "{name}");
    }
    assert!(good(NAMENODE, &[("PATH", "/bin"), ("HADOOP_LOG_DIR", "/tmp")]).notes.is_empty());
}

#[test]
fn the_page_has_every_name() {
    let page = include_str!("../../../../docs/flokkr.md");
    for (name, _) in NAMES {
        assert!(page.contains(&format!("`{name}`")), "docs/flokkr.md lacks {name}");
    }
}
