//! Folders to keys: preprocessing, profiles, layouts, bounds, plans, and every mistake.

use std::fs;
use std::path::Path;

use super::entries::{Layout, entries};
use super::expand::Discovery;
use super::plan::{Guard, Others, batches, changes, one_form};
use super::*;
use crate::sources::consul::TxnOp;

const INI: &str = "[common]\nsourcedir = \"configuration\"\n\n[template]\n\
    pattern = \".*.(cfg|init|xml|yaml|sh|conf|properties)\"\n[format]\nxml = \".*.xml\"\n[flags]\n\
    1 = \".*.exec\"\n[profiles]\n[hosts]\nnamenode = 10.0.0.7\n";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(folder.path(), name, text.as_bytes());
    }
    folder
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn flokkr() -> tempfile::TempDir {
    folder(&[
        ("consync.ini", INI),
        ("configuration/core-site.xml", "fs.defaultFS: hdfs://[[service \"namenode\"]]:9000\n"),
        ("configuration/hdfs/core-site.xml", "[[ template \"core-site.xml\" ]]\n"),
        ("configuration/hdfs/hdfs-site.xml", "# three\ndfs.replication: 3\nd.a: x:<y>\n"),
        ("configuration/zookeeper/myid.exec", "#!/bin/bash\n[[ -f \"x\" ]] && echo {{1}}\n"),
        ("configuration/.hidden", "no"),
        ("profiles/ha/core-site.xml", "fs.defaultFS: hdfs://sh"),
        ("profiles/ha/hdfs/hdfs-site.xml", "dfs.replication: 2\n"),
        ("profiles/ha/journal/hdfs-site.xml", "[[ template \"hdfs/hdfs-site.xml\" ]]\nj: 1\n"),
        ("profiles/metrics/hadoop-metrics2.properties", "*.period=30\n"),
        (
            "profiles/metrics/hdfs/hadoop-metrics2.properties",
            "[[template `hadoop-metrics2.properties`]]",
        ),
    ])
}

fn run(
    folder: &Path,
    profiles: &[&str],
    discovery: Discovery,
    layout: Layout,
) -> Result<Import, Mistake> {
    let profiles: Vec<String> = profiles.iter().map(|name| (*name).to_owned()).collect();
    let tree = read::tree(folder, &profiles)?;
    let discovery = match discovery {
        Discovery::Static(_, host) => Discovery::Static(tree.rules.hosts.clone(), host),
        other => other,
    };
    entries(&tree, &discovery, "conf/", layout)
}

fn fixed() -> Discovery {
    Discovery::Static(BTreeMap::new(), "localhost".to_owned())
}

fn text<'i>(import: &'i Import, key: &str) -> &'i str {
    let entry = import.entries.get(key).unwrap_or_else(|| panic!("no {key}: {import:?}"));
    std::str::from_utf8(&entry.value).unwrap()
}

fn mistake(files: &[(&str, &str)], profiles: &[&str]) -> String {
    let folder = folder(files);
    let error = run(folder.path(), profiles, fixed(), Layout::Keys).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

fn xml(properties: &[(&str, &str)]) -> String {
    let property = |(name, value): &(&str, &str)| {
        format!(
            "  <property>\n    <name>{name}</name>\n    <value>{value}</value>\n  </property>\n"
        )
    };
    let inner: String = properties.iter().map(property).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<configuration>\n{inner}</configuration>\n"
    )
}

#[test]
fn as_flokkr_did() {
    let folder = flokkr();
    let import = run(folder.path(), &[], fixed(), Layout::Files).unwrap();
    let core = xml(&[("fs.defaultFS", "hdfs://10.0.0.7:9000")]);
    assert_eq!(text(&import, "conf/hdfs/core-site.xml"), core);
    let hdfs = xml(&[("d.a", "x:&lt;y&gt;"), ("dfs.replication", "3")]);
    assert_eq!(text(&import, "conf/hdfs/hdfs-site.xml"), hdfs);
    assert!(text(&import, "conf/zookeeper/myid.exec").contains("[[ -f \"x\" ]] && echo {{1}}"));
    assert_eq!(import.entries["conf/zookeeper/myid.exec"].flags, 1);
    assert_eq!(import.entries.len(), 4, "{import:?}");
    assert_eq!(import.warnings.len(), 1, "{:?}", import.warnings);

    let import = run(folder.path(), &["ha", "metrics"], fixed(), Layout::Files).unwrap();
    let core = xml(&[("fs.defaultFS", "hdfs://sh")]);
    assert_eq!(text(&import, "conf/hdfs/core-site.xml"), core, "an include sees the profile");
    let hdfs = xml(&[("d.a", "x:&lt;y&gt;"), ("dfs.replication", "2"), ("j", "1")]);
    assert_eq!(text(&import, "conf/journal/hdfs-site.xml"), hdfs);
    assert_eq!(text(&import, "conf/hdfs/hadoop-metrics2.properties"), "*.period=30\n");
}

#[test]
fn one_key_a_property() {
    let folder = flokkr();
    let import = run(folder.path(), &["ha"], fixed(), Layout::Keys).unwrap();
    assert_eq!(text(&import, "conf/hdfs/hdfs-site.xml/dfs.replication"), "2");
    assert_eq!(text(&import, "conf/hdfs/hdfs-site.xml/d.a"), "x:<y>");
    assert!(!import.entries.contains_key("conf/hdfs/hdfs-site.xml"));
}

#[test]
fn how_services_are_found() {
    let folder = flokkr();
    let dns = run(folder.path(), &[], Discovery::Dns, Layout::Keys).unwrap();
    let key = "conf/hdfs/core-site.xml/fs.defaultFS";
    assert_eq!(text(&dns, key), "hdfs://namenode.service.consul:9000");
    let consul = run(folder.path(), &[], Discovery::Consul, Layout::Keys).unwrap();
    let expression = "hdfs://{{hosts \"namenode\" port=\"false\"}}:9000";
    assert_eq!((text(&consul, key), consul.entries[key].flags), (expression, 2));
    assert_eq!(consul.entries["conf/hdfs/hdfs-site.xml/d.a"].flags, 0);

    // Only our expression is the host's; what stood there stays text.
    write(folder.path(), "configuration/a.conf", b"{{x}} [[service \"db\"]]\n");
    let consul = run(folder.path(), &[], Discovery::Consul, Layout::Keys).unwrap();
    let expected = "\\{{x}} {{hosts \"db\" port=\"false\"}}\n";
    assert_eq!((text(&consul, "conf/a.conf"), consul.entries["conf/a.conf"].flags), (expected, 2));
    let warned = run(folder.path(), &[], fixed(), Layout::Keys).unwrap().warnings;
    assert!(warned.iter().any(|line| line.contains("\"db\" has no host")), "{warned:?}");
}

#[test]
fn a_plain_folder() {
    let native = "<configuration><!-- kept --></configuration>\n";
    let folder = folder(&[
        ("hdfs/core-site.xml", native),
        ("hdfs/hdfs-site.xml", "dfs.replication: 2\n"),
        ("hdfs/@datanode/hdfs-site.xml/dfs.replication", "1\n"),
        ("hdfs/log4j.properties", "a=b\n"),
        ("hdfs/log4j.properties~", "old"),
    ]);
    let import = run(folder.path(), &[], fixed(), Layout::Keys).unwrap();
    assert_eq!(text(&import, "conf/hdfs/core-site.xml"), native);
    assert_eq!(text(&import, "conf/hdfs/hdfs-site.xml/dfs.replication"), "2");
    assert_eq!(text(&import, "conf/hdfs/@datanode/hdfs-site.xml/dfs.replication"), "1");
    assert_eq!(text(&import, "conf/hdfs/log4j.properties"), "a=b\n");
    assert_eq!(import.entries.len(), 4);
}

#[test]
fn profiles_over_native_xml() {
    let base = xml(&[("a", "1"), ("b", "2")]);
    let folder = folder(&[
        ("configuration/x.xml", &base),
        ("profiles/p/x.xml", "b: 3\n"),
        ("configuration/y.xml", "<allocations/>"),
    ]);
    let import = run(folder.path(), &["p"], fixed(), Layout::Files).unwrap();
    assert_eq!(text(&import, "conf/x.xml"), xml(&[("a", "1"), ("b", "3")]));
    assert_eq!(text(&import, "conf/y.xml"), "<allocations/>");
}

#[test]
fn mistakes_name_file_line_and_remedy() {
    let long = "x".repeat(crate::sources::VALUE_BYTES_MAX + 1);
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str);
    let table: &[Case<'_>] = &[
        (
            &[("consync.ini", "[comon]\n")],
            &[],
            "consync.ini:1: section \"comon\" is unknown; did you mean common?",
        ),
        (
            &[("consync.ini", "\n[flags]\nx = y\n")],
            &[],
            "consync.ini:3: a flag is a number, not \"x\"",
        ),
        (
            &[("consync.ini", "[common]\nsourcedir\n")],
            &[],
            "consync.ini:2: \"sourcedir\": NAME = VALUE",
        ),
        (
            &[("consync.ini", "[common]\nsourcedir = ../x\n")],
            &[],
            "consync.ini:2: \"../x\": a folder below",
        ),
        (&[("consync.ini", "a = b\n")], &[], "consync.ini:1: a stands before any [section]"),
        (&[("consync.ini", "[format]\nxml = (\n")], &[], "consync.ini:2: \"(\" is no pattern"),
        (&[("consync.ini", "[format]\nxlm = a\n")], &[], "consync.ini:2: format xlm is unknown"),
        (&[("consync.ini", "[common]\n")], &[], "configuration: there is no such folder"),
        (
            &[("configuration/a", ""), ("profiles/ha/a", "")],
            &["hb"],
            "profiles: there is no profile \"hb\"; did you mean ha?",
        ),
        (&[("a", "")], &["ha"], "has neither consync.ini nor configuration/"),
        (
            &[("a.xml", "ok: 1\nnonsense\n")],
            &[],
            "a.xml:2: \"nonsense\": \"key: value\" is expected",
        ),
        (
            &[("a", "\n[[ template \"b\" ]]"), ("c", "")],
            &[],
            "a:2: template \"b\": there is no such file",
        ),
        (
            &[("a", "[[ template \"../b\" ]]")],
            &[],
            "a:1: template \"../b\" leads out of the folder",
        ),
        (&[("a", "[[ template \"/b\" ]]")], &[], "a:1: template \"/b\" leads out of the folder"),
        (
            &[("a", "[[ template \"b\" ]]"), ("b", "[[ template \"a\" ]]")],
            &[],
            "b:1: files include one another: a -> b -> a",
        ),
        (&[("a", "[[ servce \"b\" ]]")], &[], "a:1: [[ servce ]] is unknown"),
        (&[("a", "[[ service \"b\" ")], &[], "a:1: [[ service ... is not closed"),
        (&[("a", "[[ service ]]")], &[], "a:1: [[ service ]]: a name in quotes"),
        (&[("a", "[[ service \"b}} \" ]]")], &[], "a:1: service \"b}} \": letters"),
        (&[("a", "x\0y")], &[], "a: a is no UTF-8 text"),
        (&[("a", &long)], &[], "a: 524289 bytes; Consul takes 524288"),
    ];
    for (files, profiles, expected) in table {
        let told = mistake(files, profiles);
        assert!(told.contains(expected), "{expected}\n  but: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn links_stay_inside() {
    let folder = folder(&[("configuration/a", "x")]);
    std::os::unix::fs::symlink("a", folder.path().join("configuration/b")).unwrap();
    let import = run(folder.path(), &[], fixed(), Layout::Keys).unwrap();
    assert_eq!(text(&import, "conf/b"), "x");
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("configuration/c")).unwrap();
    let error = run(folder.path(), &[], fixed(), Layout::Keys).unwrap_err().to_string();
    assert!(error.contains("configuration/c: is a link out of"), "{error}");
}

#[test]
fn includes_are_bounded() {
    let chain: Vec<(String, String)> =
        (0..20).map(|n| (format!("f{n}"), format!("[[ template \"f{}\" ]]", n + 1))).collect();
    let mut files: Vec<(&str, &str)> =
        chain.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("f20", ""));
    assert!(mistake(&files, &[]).contains("nest deeper than 8"));
    // Ten times ten times ... of nothing.
    let wide: Vec<(String, String)> = (0..7)
        .map(|n| (format!("f{n}"), format!("[[ template \"f{}\" ]]", n + 1).repeat(10)))
        .collect();
    let mut files: Vec<(&str, &str)> =
        wide.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("f7", ""));
    assert!(mistake(&files, &[]).contains("over 1000"));
}

fn stored(keys: &[(&str, &str)]) -> Entries {
    let entry = |value: &str| Entry { value: value.into(), flags: 0, modified: 5 };
    keys.iter().map(|(key, value)| ((*key).to_owned(), entry(value))).collect()
}

#[test]
fn what_changes_and_under_which_condition() {
    let old =
        stored(&[("conf/h/a", "1"), ("conf/h/b", "1"), ("conf/h/@dn/x", "1"), ("conf/y/z", "1")]);
    let new = stored(&[("conf/h/a", "1"), ("conf/h/c", "2")]);
    let keep = changes(&old, &new, "conf/", Others::Keep);
    assert_eq!(keep.iter().map(|c| c.key.as_str()).collect::<Vec<_>>(), ["conf/h/c"]);
    assert!(matches!(keep[0].operation(Guard::Unchanged), TxnOp::Cas { index: 0, .. }));
    let delete = changes(&old, &new, "conf/", Others::Delete);
    // Another folder and a layer that the folder does not have stay.
    assert_eq!(delete.iter().map(|c| c.key.as_str()).collect::<Vec<_>>(), ["conf/h/b", "conf/h/c"]);
    assert!(matches!(delete[0].operation(Guard::Unchanged), TxnOp::DeleteCas { index: 5, .. }));
}

#[test]
fn a_file_has_one_form() {
    let whole = stored(&[("conf/h/a.xml", "<x/>")]);
    let keys = stored(&[("conf/h/a.xml/p", "1")]);
    for (old, new, option) in [(&whole, &keys, "--layout files"), (&keys, &whole, "--layout keys")]
    {
        let plan = changes(old, new, "conf/", Others::Keep);
        assert!(one_form(old, new, &plan).unwrap_err().to_string().contains(option));
        let plan = changes(old, new, "conf/", Others::Delete);
        one_form(old, new, &plan).unwrap();
        assert_eq!(batches(&plan, "conf/", false).unwrap().len(), 1);
    }
}

#[test]
fn transactions_hold_whole_files() {
    let mut wanted = Entries::new();
    for (file, count) in [("a/x.xml", 100), ("b/x.xml", 20), ("b/y.xml", 120), ("c/x.xml", 5)] {
        for n in 0..count {
            wanted.insert(format!("conf/{file}/k{n:03}"), Entry::default());
        }
    }
    let plan = changes(&Entries::new(), &wanted, "conf/", Others::Keep);
    let refusal = batches(&plan, "conf/", false).unwrap_err().to_string();
    assert!(refusal.contains("245 changed keys") && refusal.contains("--split"), "{refusal}");
    let split = batches(&plan, "conf/", true).unwrap();
    let sizes: Vec<usize> = split.iter().map(|batch| batch.changes.len()).collect();
    assert_eq!(sizes, [120, 125]);
    assert_eq!(split[0].names, ["conf/a/", "conf/b/x.xml"]);

    for n in 0..129 {
        wanted.insert(format!("conf/b/y.xml/l{n:03}"), Entry::default());
    }
    let plan = changes(&Entries::new(), &wanted, "conf/", Others::Keep);
    let refusal = batches(&plan, "conf/", true).unwrap_err().to_string();
    assert!(refusal.starts_with("conf/b/y.xml: 249 changed keys"), "{refusal}");

    // One long value is written on its own; two do not fit together.
    let long = Entry { value: vec![b'x'; 500_000], ..Entry::default() };
    let one = Entries::from([("conf/a".to_owned(), long.clone())]);
    let plan = changes(&Entries::new(), &one, "conf/", Others::Keep);
    assert_eq!(batches(&plan, "conf/", false).unwrap().len(), 1);
    let two = Entries::from([("conf/a".to_owned(), long.clone()), ("conf/b".to_owned(), long)]);
    let plan = changes(&Entries::new(), &two, "conf/", Others::Keep);
    assert!(batches(&plan, "conf/", false).is_err());
    assert_eq!(batches(&plan, "conf/", true).unwrap().len(), 2);
}

#[test]
fn secrets_are_not_shown() {
    let new = stored(&[
        ("conf/h/ssl.xml/ssl.server.keystore.password", "Welcome1"),
        ("conf/h/a.properties", "x.password=Welcome1\ny=2\n"),
        ("conf/h/b.xml", &xml(&[("ssl.client.truststore.password", "Welcome1")])),
        ("conf/h/c.xml/dfs.replication", "3"),
    ]);
    let plan = changes(&Entries::new(), &new, "conf/", Others::Keep);
    let shown = show::all(plan.iter());
    assert!(!shown.contains("Welcome1"), "{shown}");
    assert!(shown.contains("+y=2") && shown.contains("+dfs.replication = 3"), "{shown}");
    assert!(show::painted(&shown, show::Paint::Colour).contains("\u{1b}[32m+y=2"));
}

#[test]
fn json_of_consul() {
    let entries = Entries::from([
        ("conf/a".to_owned(), Entry { value: vec![0, 255], flags: 2, modified: 0 }),
        ("conf/b/".to_owned(), Entry::default()),
    ]);
    let text = json::write(&entries).unwrap();
    assert!(text.starts_with("[\n\t{\n\t\t\"key\": \"conf/a\",\n\t\t\"flags\": 2,\n"), "{text}");
    assert_eq!(json::parse("f", text.as_bytes(), "").unwrap(), entries);
    assert!(json::parse("f", text.as_bytes(), "x/").unwrap().contains_key("x/conf/a"));
    for (bad, expected) in [
        ("{", "f:1: is no JSON"),
        ("[{\"key\": \"a\", \"value\": \"?\"}]", "f: a: the value is no base64"),
        ("[{\"key\": \"\", \"value\": \"\"}]", "f: a key is empty"),
        ("[{\"key\": \"a\", \"value\": \"\"}, {\"key\": \"a\", \"value\": \"\"}]", "twice"),
    ] {
        let told = json::parse("f", bad.as_bytes(), "").unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    }
}
