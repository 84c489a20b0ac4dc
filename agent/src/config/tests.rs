//! Configurations as users write them, right and wrong.

use super::*;

fn scope() -> Scope {
    let env = [("STATE", "/alloc"), ("SECRETS", "/secrets")];
    Scope {
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        node: "box".to_owned(),
        meta: [("rack".to_owned(), "r1".to_owned())].into(),
    }
}

fn wrong(text: &str) -> String {
    let problems = load_text("a.hcl", text, &scope()).unwrap_err();
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

const SKETCH: &str = r#"
cluster   = "prod"
state_dir = "${env.STATE}/data/agent" # generations/, leases.enc

consul {
  address    = "127.0.0.1:8500"
  token_file = "${env.SECRETS}/consul_token"
  reads      = "default"
}

vault {
  address        = "https://127.0.0.1:8200"
  auth           = { method = "jwt", path = "jwt-nomad", role = "r", token_file = "/t.jwt" }
  static_refresh = "60s"
}

layer "defaults" { kv = "conf/hdfs/" }
layer "role" { kv = "conf/hdfs/@datanode/" }
layer "host" { kv = "conf/hdfs/@host/${node.name}/" }
layer "env" { env = true }

unit "datanode" {
  command    = ["hdfs-datanode", "--conf", "${conf_dir}"]
  user       = "hdfs"
  stop       = { signal = "SIGTERM", timeout = "120s" }
  restart    = { backoff = "10s", cap = "2m", reset_after = "60s", max_failures = 10 }
  ready      = { http = "http://127.0.0.1:9864/healthz", timeout = "5m" }
  wait_for   = { service = "namenode", passing = 1, timeout = "5m" }
  quiesce    = { min = "1s", max = "10s" }
  on_missing = "fail"

  file "core-site.xml" { format = "xml" }
  file "tls.pem" {
    template = "kv:templates/tls.hbs"
    secret   = true
    mode     = "0600"
  }
  validate = { schema = "hadoop-3", command = ["check", "${staged_dir}"], timeout = "10s" }

  change {
    noop    = ["*.description", "dfs.client.*"]
    reload  = ["dfs.datanode.balance.*", "dfs.datanode.data.dir"]
    restart = ["*"]
  }

  rollout {
    lock         = "agent/locks/hdfs/datanode"
    max_parallel = "10%"
    canary       = 1
    soak         = "60s"
    gates        = ["hdfs:no-missing-blocks"]
    on_failure   = "rollback"
    window       = "Mon-Fri 08:00-18:00"
  }

  service "datanode" {
    port                      = 9866
    tags                      = ["data", "rack-${node.meta.rack}"]
    meta                      = { generation = "${generation}" }
    checks {
      http { url = "http://127.0.0.1:9864/healthz" }
      supervisor { ttl = "30s" }
    }
    deregister_critical_after = "15m"
    maintenance_on_restart    = true
  }
}

telemetry { listen = "127.0.0.1:9181" }
api { socket = "${state_dir}/agent.sock" }
log { format = "json" }
"#;

#[test]
fn the_sketch() {
    let config = load_text("a.hcl", SKETCH, &scope()).unwrap();
    assert_eq!(config.state_dir, Path::new("/alloc/data/agent"));
    assert_eq!(config.socket, Path::new("/alloc/data/agent/agent.sock"));
    assert_eq!(config.listen.port(), 9181);
    assert!(config.log_json);
    assert_eq!(config.layers[2].source, LayerSource::Kv("conf/hdfs/@host/box/".into()));
    assert_eq!(config.layers[3].source, LayerSource::Environment);
    let unit = &config.units[0];
    assert_eq!(unit.command.as_ref().unwrap()[2], "${conf_dir}");
    assert_eq!(unit.stop.timeout, Duration::from_secs(120));
    assert_eq!(unit.restart.cap, Duration::from_secs(120));
    assert_eq!(unit.ready.as_ref().unwrap().http, "127.0.0.1:9864/healthz");
    assert_eq!(unit.files[1].mode, Some(0o600));
    assert_eq!(unit.files[1].template, Some(TemplateSource::Kv("templates/tls.hbs".into())));
    assert_eq!(unit.change.noop[1], "dfs.client.*");
    assert_eq!(unit.services[0].tags[1], "rack-r1");
    assert_eq!(unit.services[0].checks[1].kind, CheckKind::Ttl);
    assert_eq!(unit.rollout.as_ref().unwrap().max_parallel, "10%");
}

#[test]
fn json_is_the_same() {
    let json = r#"
{
  "cluster": "prod",
  "layer": { "all": { "kv": "conf/hdfs/" } },
  "unit": {
    "nn": { "command": ["x", "${conf_dir}"], "file": { "core-site.xml": { "format": "xml" } } }
  }
}"#;
    let hcl = "cluster = \"prod\"\nlayer \"all\" { kv = \"conf/hdfs/\" }\n\
               unit \"nn\" {\n command = [\"x\", \"${conf_dir}\"]\n\
               file \"core-site.xml\" { format = \"xml\" }\n}";
    let of_json = load_text("a.json", json, &scope()).unwrap();
    assert_eq!(of_json, load_text("a.hcl", hcl, &scope()).unwrap());
    let doubled = "{\n \"cluster\": \"a\",\n \"cluster\": \"b\"}";
    let problems = load_text("a.json", doubled, &scope()).unwrap_err();
    assert_eq!(problems[0].to_string(), "a.json:3: cluster stands twice");
    let unknown = "\n{\n \"clustr\": \"a\"}";
    let problems = load_text("a.json", unknown, &scope()).unwrap_err();
    assert!(problems[0].to_string().starts_with("a.json:3: clustr is unknown"), "{problems:?}");
}

#[test]
fn complaints_name_line_and_nearest_name() {
    let table: &[(&str, &str)] = &[
        (
            "clutser = \"x\"",
            "a.hcl:1: clutser is unknown in the configuration; did you mean cluster?",
        ),
        (
            "\nunit \"a\" {\n  comand = [\"x\"]\n}",
            "a.hcl:3: comand is unknown in unit \"a\"; did you mean command?",
        ),
        ("cluster = 3", "a.hcl:1: cluster is 3; text is accepted"),
        (
            "cluster = \"a\"\ncluster = \"b\"",
            "a.hcl:2: invalid attribute; expected unique attribute key",
        ),
        ("unit \"a\" {}\nunit \"a\" {}", "a.hcl:2: unit \"a\" stands twice"),
        (
            "consul {}\nconsul {}",
            "a.hcl:2: consul stands twice in the configuration; first at a.hcl:1",
        ),
        (
            "unit \"a\" {\n stop = { timeout = \"5x\" }\n}",
            "a.hcl:2: timeout is \"5x\"; a time such as",
        ),
        ("unit \"a\" {\n stop = { timeout = \"99999d\" }\n}", "a time such as"),
        (
            "unit \"a\" { user = \"${env.NOBODY}\" }",
            "a.hcl:1: the environment variable NOBODY is not set",
        ),
        ("cluster = \"${nope.x}\"", "a.hcl:1: ${nope.x} is unknown"),
        ("cluster = 1 + 1", "no calculation"),
        ("unit \"a b\" {}", "a.hcl:1: a unit's name"),
        ("unit {}", "a.hcl:1: unit takes one label"),
        ("layer \"a\" {\n kv = \"x/\"\n env = true\n}", "a layer has one of"),
        ("layer \"a\" { kv = \"x\" }", "must end with /"),
        ("unit \"a\" {\n file \"../x\" {}\n}", "a.hcl:2: a file's name"),
        ("unit \"a\" {\n service \"x\" {}\n}", "a.hcl:2: a service needs port"),
        ("unit \"a\" {\n on_missing = \"kep\"\n}", "\"fail\" or \"keep\" is accepted"),
        ("unit \"a\" {\n stop = { signal = \"TERMINATE\" }\n}", "a signal such as"),
        ("cluster = \"", "a.hcl:1: "),
    ];
    for (text, expected) in table {
        let told = wrong(text);
        assert!(told.contains(expected), "{text}\n  told     {told}\n  expected {expected}");
    }
}

#[test]
fn all_problems_at_once_in_order() {
    let told = wrong("cluster = 3\nunit \"a\" {\n  x = 1\n}\nlog { format = \"yaml\" }");
    let lines: Vec<&str> = told.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(lines, ["a.hcl:1:", "a.hcl:3:", "a.hcl:5:"]);
}

#[test]
fn a_folder_counts_as_one_file() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("10.hcl"), "cluster = \"a\"").unwrap();
    std::fs::write(root.path().join("20.json"), "{\"unit\": {\"b\": {}}}").unwrap();
    std::fs::write(root.path().join("notes.txt"), "}{").unwrap();
    let config = load(&[root.path().into()], &scope()).unwrap();
    assert_eq!((config.cluster.as_str(), config.units.len()), ("a", 1));
    std::fs::write(root.path().join("30.hcl"), "cluster = \"c\"").unwrap();
    let problems = load(&[root.path().into()], &scope()).unwrap_err();
    assert!(problems[0].to_string().contains("30.hcl:1: cluster stands twice"), "{problems:?}");
    assert!(load(&["/nonexistent/x.hcl".into()], &scope()).is_err());
}

#[test]
fn deep_nesting_is_refused_not_a_crash() {
    let text = format!("cluster = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(load_text("a.hcl", &text, &scope()).is_err());
    assert!(load_text("a.json", &format!("{{\"a\":{}", "[".repeat(100_000)), &scope()).is_err());
}

#[test]
fn times() {
    use fields::duration;
    assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
    assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
    for bad in ["", "5", "s", "5y", "-1s", "1.5s", "99999999999999999999s"] {
        assert_eq!(duration(bad), None, "{bad}");
    }
}

#[test]
fn the_freeze_stands_with_what_it_holds_back() {
    let key = |layers: &str| {
        load_text("a.hcl", &format!("cluster = \"c\"\n{layers}"), &Scope::default())
            .unwrap()
            .freeze_key()
    };
    assert_eq!(key(""), "conf/hdfs/@freeze");
    let own = "layer \"u\" { kv = \"x/${unit.name}/\" }\n";
    assert_eq!(key(own), "agent/c/freeze");
    assert_eq!(key(&format!("{own}layer \"all\" {{ kv = \"prod/\" }}\n")), "prod/@freeze");
}

/// A port that Nomad or the environment chose comes as text.
#[test]
fn numbers_may_be_texts() {
    let mut scope = scope();
    scope.env.insert("NOMAD_PORT_rpc".to_owned(), "8020".to_owned());
    scope.env.insert("NOMAD_PORT_odd".to_owned(), "http".to_owned());
    let port = |value: &str| {
        format!("unit \"u\" {{\n  service \"s\" {{\n    port = {value}\n  }}\n}}\nconsul {{}}\n")
    };
    for value in ["8020", "\"8020\"", "\"${env.NOMAD_PORT_rpc}\""] {
        let config = load_text("a.hcl", &port(value), &scope).unwrap();
        assert_eq!(config.units[0].services[0].port, 8020, "{value}");
    }
    let accepted = "a whole number from 1 to 65535 is accepted";
    for (value, shown) in [
        ("\"${env.NOMAD_PORT_odd}\"", "\"http\""),
        ("\"70000\"", "\"70000\""),
        ("\"\"", "\"\""),
        ("true", "true or false"),
        ("70000", "70000"),
        ("80.5", "80.5"),
    ] {
        let problems = load_text("a.hcl", &port(value), &scope).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(told, [format!("a.hcl:3: port is {shown}; {accepted}")], "{value}");
    }
    let missing = load_text("a.hcl", "unit \"u\" {\n  service \"s\" {}\n}\nconsul {}\n", &scope);
    assert!(missing.unwrap_err()[0].to_string().contains("a service needs port = NUMBER"));
}
