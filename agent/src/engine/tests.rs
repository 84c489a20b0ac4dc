//! Inputs to files: what is rendered, refused, recorded and shown.

use hdfs_edge::keys::Change;
use proptest::prelude::*;

use super::*;
use crate::config::{Scope, load_text};
use crate::sources::{Entry, Instance, Masked, Secret};

fn config(unit: &str) -> AgentConfig {
    let text = format!(
        "layer \"a\" {{ kv = \"conf/hdfs/\" }}\n\
         layer \"r\" {{ kv = \"conf/hdfs/@${{unit.role}}/\" }}\n\
         layer \"e\" {{ env = true }}\nunit \"datanode\" {{\n{unit}\n}}"
    );
    load_text("a.hcl", &text, &Scope::default()).unwrap()
}

fn kv(entries: &[(&str, &str)]) -> Arc<Kv> {
    let entry = |value: &str| Entry { value: value.into(), flags: 0, modified: 1 };
    let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), entry(value))).collect();
    Arc::new(Kv { index: 7, entries })
}

fn inputs(entries: &[(&str, &str)]) -> Inputs {
    Inputs { kv: kv(entries), node: "box".to_owned(), ..Inputs::default() }
}

fn run(unit: &str, inputs: &Inputs) -> Rendered {
    let config = config(unit);
    render(&config, &config.units[0], inputs)
}

const REPLICATION: &str = "conf/hdfs/hdfs-site.xml/dfs.replication";

#[test]
fn layers_files_and_index() {
    let mut inputs = inputs(&[
        (REPLICATION, "1"),
        ("conf/hdfs/@datanode/hdfs-site.xml/dfs.replication", "2"),
        ("conf/hdfs/@namenode/hdfs-site.xml/dfs.replication", "9"),
        ("conf/hdfs/log4j.properties", "a=b"),
        ("conf/hdfs/hdfs-site.xml/", ""),
        ("conf/hdfs/", ""),
    ]);
    let rendered = run("", &inputs);
    assert!(rendered.usable(), "{}", rendered.refusal());
    assert_eq!(rendered.index, 7);
    assert!(rendered.files["hdfs-site.xml"].text().unwrap().contains("<value>2</value>"));
    assert_eq!(rendered.files["log4j.properties"].text(), Some("a=b"));
    inputs.environment.insert("HDFS-SITE.XML_dfs.replication".into(), "3".into());
    let rendered = run("", &inputs);
    assert!(rendered.files["hdfs-site.xml"].text().unwrap().contains("<value>3</value>"));
    let rendered = run("file \"hdfs-site.xml\" {}", &inputs);
    assert_eq!(rendered.files.len(), 1, "only the files named");
}

/// Names with the suffix of a nameservice are those of the key table.
#[test]
fn nameservices_have_keys_of_their_own() {
    let site = |name: &str| format!("conf/hdfs/hdfs-site.xml/{name}");
    let keys = [
        ("dfs.nameservices", "sh"),
        ("dfs.ha.namenodes.sh", "nn1"),
        ("dfs.namenode.rpc-address.sh.nn1", "a:8020"),
        ("dfs.namenode.http-address.sh.nn1", "a:9870"),
    ];
    let mut keys: Vec<(String, &str)> = keys.map(|(name, value)| (site(name), value)).into();
    let run = |keys: &[(String, &str)]| {
        let entries: Vec<(&str, &str)> = keys.iter().map(|(key, v)| (key.as_str(), *v)).collect();
        run("", &inputs(&entries))
    };
    let rendered = run(&keys);
    assert!(rendered.usable() && rendered.warnings.is_empty(), "{rendered:?}");
    keys.push((site("dfs.namenode.rpc-adress.sh.nn1"), "a:8020"));
    let warned = run(&keys).warnings.join("\n");
    assert!(warned.contains("did you mean dfs.namenode.rpc-address?"), "{warned}");
    keys.push((site("dfs.namenode.handler.count.sh"), "many"));
    let refused = run(&keys).refusal();
    assert!(refused.contains("dfs.namenode.handler.count.sh = \"many\""), "{refused}");
}

#[test]
fn binary_values_and_bad_keys() {
    let mut inputs = inputs(&[]);
    let mut kv = Kv::clone(&inputs.kv);
    let binary = Entry { value: vec![0xff, 0, 1], flags: 0, modified: 1 };
    kv.entries.insert("conf/hdfs/hdfs.keytab".into(), binary.clone());
    inputs.kv = Arc::new(kv.clone());
    let rendered = run("", &inputs);
    assert_eq!(rendered.files["hdfs.keytab"].content.bytes(), [0xff, 0, 1]);
    for key in ["conf/hdfs/../passwd", "conf/hdfs/..", "conf/hdfs/a.xml/../b", "conf/hdfs/x/@r/y"] {
        let mut bad = kv.clone();
        bad.entries.insert(key.into(), Entry { value: b"x".into(), flags: 0, modified: 1 });
        inputs.kv = Arc::new(bad);
        assert!(run("", &inputs).refusal().starts_with(key), "{key}: {:?}", run("", &inputs));
    }
    kv.entries.insert(REPLICATION.into(), binary);
    inputs.kv = Arc::new(kv);
    assert!(run("", &inputs).refusal().contains("UTF-8"));
}

#[test]
fn what_the_schema_says() {
    let table: &[(&str, &str, &str)] = &[
        (REPLICATION, "x", "conf/hdfs/hdfs-site.xml/dfs.replication: dfs.replication = \"x\": "),
        ("conf/hdfs/hdfs-site.xml/dfs.heartbeat.interval", "3 parsecs", "dfs.heartbeat.interval"),
        (REPLICATION, "${dfs.nope.${x}", ""),
        ("conf/hdfs/hdfs-site.xml/dfs.blocksize", "1000000", "a multiple of"),
        ("conf/hdfs/hdfs-site.xml/dfs.datanode.address", "0.0.0.0:9864", "has the same port"),
    ];
    for (key, value, expected) in table {
        let refusal = run("", &inputs(&[(key, value)])).refusal();
        assert!(refusal.contains(expected), "{key} = {value}: {refusal}");
    }
    let rendered = run("", &inputs(&[("conf/hdfs/hdfs-site.xml/dfs.replicaton", "2")]));
    assert!(rendered.usable());
    assert_eq!(
        rendered.warnings,
        ["datanode: conf/hdfs/hdfs-site.xml/dfs.replicaton: dfs.replicaton is unknown; did you \
          mean dfs.replication?"]
    );
    let unchecked = run("validate = { schema = \"none\" }", &inputs(&[(REPLICATION, "x")]));
    assert!(unchecked.usable());
    let secret = inputs(&[("conf/hdfs/hdfs-site.xml/ssl.server.keystore.password", "hunter2")]);
    assert!(!format!("{:?}", run("", &secret)).contains("hunter2"));
}

#[test]
fn helpers_record_what_they_ask_for() {
    let unit = r#"file "a.txt" {
      template = <<-END
        {{key "k"}}/{{keyOr "n" "d"}}/{{hosts "nn"}}/
        {{~#each (service "nn" tag="a" empty=true)}}{{node}}{{/each~}}
        /{{node}}/{{base64 "a"}}/{{env "E" "e"}}
      END
    }"#;
    let mut inputs = inputs(&[("k", "v")]);
    let rendered = run(unit, &inputs);
    assert_eq!(rendered.wants.services.len(), 2);
    assert_eq!(rendered.missing.len(), 1, "{:?}", rendered.missing);
    let query = ServiceQuery { name: "nn".into(), tag: None, passing_only: true };
    let instance =
        Instance { address: "10.0.0.1".into(), port: 8020, passing: true, ..Instance::default() };
    inputs.services = Arc::new([(query, vec![instance])].into());
    let rendered = run(unit, &inputs);
    assert!(rendered.usable(), "{}", rendered.refusal());
    assert_eq!(rendered.files["a.txt"].text(), Some("v/d/10.0.0.1:8020//box/YQ==/e\n"));
}

#[test]
fn missing_things_are_all_named() {
    let unit = "file \"a\" { template = \"{{key \\\"x\\\"}}{{secret \\\"s\\\" \\\"f\\\"}}\" }\n\
                file \"b\" { template = \"kv:t/b\" }";
    let rendered = run(unit, &inputs(&[]));
    let missing: Vec<&str> = rendered.missing.iter().map(String::as_str).collect();
    assert_eq!(missing, ["secret s", "t/b", "x"]);
    assert!(rendered.errors.is_empty(), "{:?}", rendered.errors);
}

#[test]
fn secrets_are_0600_and_shown_nowhere() {
    let unit = "file \"tls.pem\" { template = \"{{#with (cert \\\"pki/issue/r\\\" \
                common_name=\\\"box\\\")}}{{private_key}}{{certificate}}{{/with}}\" }";
    let params = [("common_name".to_owned(), "box".to_owned())].into();
    let wanted = SecretRef::Issue { path: "pki/issue/r".into(), params };
    let fields = [("private_key", "KEY"), ("certificate", "CERT")]
        .map(|(name, value)| (name.to_owned(), Masked::new(value)));
    let secret = Secret { fields: fields.into(), version: None, expires: None };
    let mut inputs = inputs(&[]);
    inputs.secrets = Arc::new([(wanted.clone(), Ok(Arc::new(secret)))].into());
    let rendered = run(unit, &inputs);
    assert!(rendered.usable(), "{}", rendered.refusal());
    let file = &rendered.files["tls.pem"];
    assert_eq!((file.text(), file.mode, file.secret), (Some("KEYCERT"), 0o600, true));
    assert!(rendered.wants.secrets.contains(&wanted));
    assert!(!format!("{rendered:?}").contains("KEY"));
    assert!(!diff::diff(&Files::new(), &rendered.files).contains("KEY"));
    inputs.secrets = Arc::new([(wanted, Err("permission denied".to_owned()))].into());
    assert!(run(unit, &inputs).refusal().contains("permission denied"));
}

#[test]
fn flokkrs_template_flag() {
    let mut inputs = inputs(&[("k", "5")]);
    let mut kv = Kv::clone(&inputs.kv);
    let entry = |value: &str| Entry { value: value.into(), flags: FLAG_TEMPLATE, modified: 1 };
    kv.entries.insert(REPLICATION.into(), entry("{{key \"k\"}}"));
    kv.entries.insert("conf/hdfs/x.txt".into(), entry("{{host}}"));
    inputs.kv = Arc::new(kv);
    let rendered = run("", &inputs);
    assert!(rendered.files["hdfs-site.xml"].text().unwrap().contains("<value>5</value>"));
    assert_eq!(rendered.files["x.txt"].text(), Some("box"));
}

#[test]
fn change_classes() {
    let unit =
        "change {\n noop = [\"dfs.datanode.du.*\"]\n reload = [\"dfs.datanode.balance.*\"]\n}";
    let config = config(unit);
    let marks = |entries: &[(&str, &str)]| {
        let rendered = render(&config, &config.units[0], &inputs(entries));
        assert!(rendered.usable(), "{}", rendered.refusal());
        change::marks(&config.units[0], &rendered.files)
    };
    let site = |name: &str| format!("conf/hdfs/hdfs-site.xml/{name}");
    let before = marks(&[(REPLICATION, "3")]);
    let to = |name: &str, value: &str| {
        before.to(marks(&[(REPLICATION, "3"), (site(name).as_str(), value)]))
    };
    assert_eq!(to("dfs.datanode.balance.bandwidthPerSec", "20m"), Change::Reload);
    assert_eq!(to("dfs.datanode.max.transfer.threads", "300"), Change::Reload);
    assert_eq!(to("dfs.datanode.synconclose", "true"), Change::Restart);
    assert_eq!(to("dfs.datanode.max.transfer.threads", "4096"), Change::None, "the default");
    assert_eq!(to("dfs.datanode.du.reserved", "1g"), Change::None);
    assert_eq!(to("dfs.client.retry.max.attempts", "3"), Change::None);
    assert_eq!(before.to(marks(&[(REPLICATION, "2")])), Change::None, "the namenode reads it");
    let file = marks(&[(REPLICATION, "3"), ("conf/hdfs/log4j.properties", "a")]);
    assert_eq!(before.to(file), Change::Restart);
}

#[test]
fn differences() {
    let site = |value: &str| {
        let xml = format!(
            "<configuration><property><name>a</name><value>{value}</value></property>\
             <property><name>my.password</name><value>p{value}</value></property></configuration>"
        );
        Files::from([("hdfs-site.xml".to_owned(), File::plain(xml))])
    };
    assert_eq!(diff::diff(&site("1"), &site("1")), "");
    let text = diff::diff(&site("1"), &site("2"));
    assert!(text.contains("-a = 1\n+a = 2\n-my.password = ***\n+my.password = ***"), "{text}");
    let plain = |text: &str| Files::from([("x.txt".to_owned(), File::plain(text))]);
    let text =
        diff::diff(&plain("1\n2\n3\n4\n5\n6\n7\n8\n9\n"), &plain("1\n2\n3\n4\n5\n6\n7\n8\nX\n"));
    assert_eq!(text, "--- x.txt\n+++ x.txt\n@@ -6 +6 @@\n 6\n 7\n 8\n-9\n+X\n");
}

/// Everything a template can look at, each set to one of two values or nothing.
fn world(bits: &[bool]) -> Inputs {
    let one_of = |at: usize| if bits[at] { "v1" } else { "v2" };
    let mut entries = vec![
        ("conf/hdfs/a.env/k", one_of(0)),
        ("conf/hdfs/b.env/k", "{{node}}{{keyOr \"other/x\" \"none\"}}"),
        ("templates/t", if bits[1] { "1 {{env \"E\" \"no\"}}" } else { "2 {{unit}}" }),
        ("other/y", one_of(2)),
    ];
    if bits[3] {
        entries.push(("other/x", "x"));
    }
    if bits[4] {
        entries.push(("conf/hdfs/c.env/k", one_of(5)));
    }
    let mut inputs = inputs(&entries);
    let mut kv = Kv::clone(&inputs.kv);
    kv.index = bits.iter().fold(1, |sum, bit| sum * 2 + u64::from(*bit));
    kv.entries.get_mut("conf/hdfs/b.env/k").unwrap().flags = FLAG_TEMPLATE;
    inputs.kv = Arc::new(kv);
    if bits[6] {
        inputs.environment.insert("E".into(), one_of(7).into());
    }
    inputs.node = one_of(8).into();
    if bits[9] {
        let fields = [("password".to_owned(), Masked::new(one_of(10)))].into();
        let secret = Secret { fields, version: None, expires: None };
        let wanted = SecretRef::Kv { path: "db".into() };
        inputs.secrets = Arc::new([(wanted, Ok(Arc::new(secret)))].into());
    }
    let query = ServiceQuery { name: "nn".into(), tag: None, passing_only: true };
    let instance = Instance { address: one_of(11).into(), port: 1, ..Instance::default() };
    inputs.services = Arc::new([(query, vec![instance; usize::from(bits[12])])].into());
    let text = if bits[13] { Ok(one_of(14).to_owned()) } else { Err("gone".to_owned()) };
    inputs.templates.insert("/t".into(), text);
    inputs
}

proptest! {
    /// What is remembered of the last render never shows in the next one.
    #[test]
    fn a_render_from_memory_is_a_render(
        worlds in prop::collection::vec(prop::collection::vec(any::<bool>(), 15), 1..12),
        configs in prop::collection::vec(any::<bool>(), 12),
    ) {
        let unit = "file \"*\" {}\n\
            file \"t.txt\" { template = \"kv:templates/t\" }\n\
            file \"f.txt\" { template = \"file:/t\" }\n\
            file \"s.txt\" { template = \"{{secret \\\"db\\\" \\\"password\\\"}}\" }\n\
            file \"h.txt\" { template = \"{{hosts \\\"nn\\\"}} {{key \\\"other/y\\\"}}\" }";
        let mut memo = Memo::default();
        for (world_of, other) in worlds.iter().zip(configs) {
            let text = if other { unit.to_owned() } else { unit.replace("{{hosts", "x{{hosts") };
            let (config, inputs) = (config(&text), world(world_of));
            let fresh = render(&config, &config.units[0], &inputs);
            let again = render_again(&config, &config.units[0], &inputs, &mut memo);
            prop_assert_eq!(&fresh.files, &again.files);
            prop_assert_eq!(&fresh.missing, &again.missing);
            prop_assert_eq!(&fresh.wants, &again.wants);
            prop_assert_eq!(&fresh.errors, &again.errors);
            prop_assert_eq!(fresh.index, again.index);
        }
    }

    /// Whatever stands in the store, a render ends, and the same inputs give the same answer.
    #[test]
    fn renders_are_repeatable(
        keys in prop::collection::btree_map("[a-z./@-]{0,20}", "\\PC{0,30}", 0..10),
        flags in 0_u64..4,
    ) {
        let entries = keys.iter().map(|(key, value)| {
            let entry = Entry { value: value.clone().into_bytes(), flags, modified: 1 };
            (format!("conf/hdfs/{key}"), entry)
        });
        let kv = Arc::new(Kv { index: 1, entries: entries.collect() });
        let inputs = Inputs { kv, ..Inputs::default() };
        let (one, two) = (run("", &inputs), run("", &inputs));
        prop_assert_eq!(one.files, two.files);
        prop_assert_eq!(one.errors, two.errors);
    }
}

fn with_secret(value: &str) -> Inputs {
    let wanted = SecretRef::Kv { path: "s".into() };
    let fields = [("f".to_owned(), Masked::new(value))].into();
    let secret = Secret { fields, version: None, expires: None };
    let secrets = Arc::new([(wanted, Ok(Arc::new(secret)))].into());
    Inputs { secrets, ..inputs(&[]) }
}

#[test]
fn a_keytab_is_written_as_bytes() {
    // 0x05 0x02 and what follows is no text, as in a real keytab.
    let unit =
        "file \"nn.keytab\" { template = \"{{base64Decode (secret \\\"s\\\" \\\"f\\\")}}\" }";
    let rendered = run(unit, &with_secret("BQIAAP+A\n/w=="));
    assert!(rendered.usable(), "{}", rendered.refusal());
    let file = &rendered.files["nn.keytab"];
    assert_eq!(file.content.bytes(), [5, 2, 0, 0, 0xff, 0x80, 0xff]);
    assert_eq!((file.mode, file.secret), (0o600, true));
    let two = "file \"a\" { template = \"<{{base64Decode \\\"/w==\\\"}}\
               {{base64Decode \\\"/g==\\\"}}>\" }";
    assert_eq!(run(two, &inputs(&[])).files["a"].content.bytes(), *b"<\xff\xfe>");
    let wrong = "file \"a\" { template = \"{{upper (base64 (base64Decode \\\"/w==\\\"))}}\" }";
    assert!(run(wrong, &inputs(&[])).refusal().contains("bytes that are no text"));
}

#[test]
fn no_complaint_quotes_a_secret() {
    let canary = "canary-5d1f";
    let site = |value: &str| {
        format!(
            "file \"hdfs-site.xml\" {{\n template = <<T\n<configuration><property>\
             <name>dfs.replication</name><value>{value}</value></property>\n\
             </configuration>\nT\n }}"
        )
    };
    let secret = "{{secret \"s\" \"f\"}}";
    for unit in [
        site(secret),
        format!("file \"hdfs-site.xml\" {{\n template = <<T\n<a>{secret}\nT\n }}"),
        format!("file \"a\" {{\n template = <<T\n{secret}{{{{nothing}}}}\nT\n }}"),
        "file \"a\" {\n template = <<T\n{{base64Decode (secret \"s\" \"f\")}}\nT\n }".to_owned(),
        "file \"a\" {\n template = <<T\n{{#with (secret \"s\" \"f\")}}{{nothing}}{{/with}}\nT\n }"
            .to_owned(),
    ] {
        let rendered = run(&unit, &with_secret(canary));
        assert!(!rendered.usable(), "{unit}");
        let told = format!("{rendered:?} {}", rendered.refusal());
        assert!(!told.contains(canary), "{told}");
    }
    let mut inputs = with_secret(canary);
    let mut kv = Kv::clone(&inputs.kv);
    let value = secret.into();
    kv.entries.insert(REPLICATION.into(), Entry { value, flags: FLAG_TEMPLATE, modified: 1 });
    inputs.kv = Arc::new(kv);
    let told = run("", &inputs).refusal();
    assert!(told.contains("dfs.replication = ***") && !told.contains(canary), "{told}");
}
