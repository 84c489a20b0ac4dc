//! Value syntax, files, substitution, and the text of errors.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn load(core: &str, hdfs: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a folder");
    let whole =
        |text: &str| format!("<?xml version=\"1.0\"?>\n<configuration>\n{text}\n</configuration>");
    std::fs::write(folder.path().join(FILES[0]), whole(core)).expect("written");
    std::fs::write(folder.path().join(FILES[1]), whole(hdfs)).expect("written");
    Config::load(folder.path())
}

fn property(name: &str, value: &str) -> String {
    format!("<property><name>{name}</name><value>{value}</value></property>")
}

#[test]
fn values_read_as_hadoop_reads_them() {
    let config = Config::from_pairs([
        ("dfs.blocksize", "64m"),
        ("dfs.namenode.resource.du.reserved", "1G"),
        ("dfs.heartbeat.interval", "1500ms"),
        ("dfs.namenode.safemode.extension", "2"),
        ("dfs.namenode.checkpoint.period", "1h"),
        ("dfs.permissions.enabled", "FALSE"),
        ("dfs.namenode.safemode.threshold-pct", "1.0f"),
        ("dfs.datanode.data.dir", "[SSD]file:///a, /b ,[archive] /c"),
        ("dfs.namenode.rpc-address", "nn1:9000"),
    ])
    .expect("valid");
    assert_eq!(config.size(&keys::DFS_BLOCKSIZE), 64 << 20);
    assert_eq!(config.size(&keys::DFS_NAMENODE_RESOURCE_DU_RESERVED), 1 << 30);
    assert_eq!(config.millis(&keys::DFS_HEARTBEAT_INTERVAL), 1500);
    let extension = config.time(&keys::DFS_NAMENODE_SAFEMODE_EXTENSION);
    assert_eq!(extension, Duration::from_millis(2));
    assert_eq!(config.time(&keys::DFS_NAMENODE_CHECKPOINT_PERIOD), Duration::from_secs(3600));
    assert!(!config.boolean(&keys::DFS_PERMISSIONS_ENABLED));
    assert!((config.float(&keys::DFS_NAMENODE_SAFEMODE_THRESHOLD_PCT) - 1.0).abs() < 1e-9);
    let folders = config.folders(&keys::DFS_DATANODE_DATA_DIR);
    let shown: Vec<_> = folders
        .iter()
        .map(|folder| format!("{}:{}", folder.storage_type, folder.path.display()))
        .collect();
    assert_eq!(shown, ["SSD:/a", "DISK:/b", "ARCHIVE:/c"]);
    assert_eq!(config.namenode_rpc().expect("set"), ("nn1".to_owned(), 9000));
    assert_eq!(config.integer(&keys::DFS_REPLICATION), 3);
}

#[test]
fn the_namenode_address_comes_from_the_default_file_system() {
    let config = Config::from_pairs([("fs.default.name", "hdfs://nn:8021/")]).expect("valid");
    assert_eq!(config.namenode_rpc().expect("set"), ("nn".to_owned(), 8021));
    let config = Config::from_pairs([("fs.defaultFS", "hdfs://nn")]).expect("valid");
    assert_eq!(config.namenode_rpc().expect("set"), ("nn".to_owned(), 8020));
    let error = Config::from_pairs([]).expect("valid").namenode_rpc().expect_err("not set");
    assert!(error.to_string().contains("fs.defaultFS = \"file:///\""), "{error}");
}

#[test]
fn an_error_names_file_key_value_and_what_is_accepted() {
    let cases = [
        ("dfs.replication", "many", "a whole number is accepted"),
        ("dfs.replication", "0", "a number from 1 to 512 is accepted"),
        ("dfs.permissions.enabled", "yes", "true or false is accepted"),
        ("dfs.blocksize", "64x", "bytes with an optional suffix k, m, g, t, p or e are accepted"),
        ("dfs.heartbeat.interval", "soon", "a time like 30s is accepted"),
        ("dfs.heartbeat.interval", "0", "a number from 1 to 86400 is accepted (in s)"),
        ("dfs.namenode.rpc-address", "host:99999", "host:port with a port from 0 to 65535"),
        ("dfs.namenode.rpc-address", "ho st:1", "host:port"),
        ("dfs.datanode.data.dir", "[FLOPPY]/a", "a storage type of DISK, SSD"),
        ("dfs.datanode.data.dir", "s3://x/y", "paths and file: URIs"),
        ("dfs.checksum.type", "MD5", "one of NULL, CRC32, CRC32C is accepted"),
        ("fs.defaultFS", "nn:8020", "scheme://host:port is accepted"),
        ("dfs.namenode.safemode.threshold-pct", "NaN", "a decimal number is accepted"),
        ("howdah.log.level", "debgu", "one of off, error, warn, info, debug, trace is accepted"),
        ("howdah.log.level", "info,x y=warn", "or target=level, separated by commas"),
    ];
    for (name, value, accepted) in cases {
        let error = load("", &property(name, value)).expect_err(name).to_string();
        assert!(error.contains("hdfs-site.xml"), "{error}");
        assert!(error.contains(name) && error.contains(&format!("{value:?}")), "{error}");
        assert!(error.contains(accepted), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    let cases = [
        ("<property><name>a</name><value>b</value>", "expected `</property>`"),
        ("<property><value>b</value></property>", "no <name>"),
        ("<!DOCTYPE x [<!ENTITY e \"boom\">]>", ""),
        ("<property><name>a</name><value>&e;</value></property>", "entity &e; is not accepted"),
        ("<include href=\"/etc/passwd\"/>", "an include is not accepted"),
        ("<other/>", "<property> is expected"),
        ("words", "outside of <name> and <value>"),
        ("<property><name>a<b><c/></b></name></property>", "is not accepted"),
    ];
    for (text, message) in cases {
        let error = load("", text).expect_err(text).to_string();
        assert!(error.contains("hdfs-site.xml:") && error.contains(message), "{text}: {error}");
    }
    let error = Config::load(Path::new("/no/such/folder")).expect_err("missing");
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
}

#[test]
fn later_files_win_unless_the_earlier_value_is_final() {
    let last = "<property><name>b</name><value>1</value><final>true</final></property>";
    let core = format!("{}{last}", property("a", "1"));
    let hdfs = format!("{}{}", property("a", "2"), property("b", "2"));
    let config = load(&core, &hdfs).expect("valid");
    assert_eq!(config.raw("a").as_deref(), Some("2"));
    assert_eq!(config.raw("b").as_deref(), Some("1"));
    let short = "<property name=\"c\" value=\"3 &amp; 4\"/>";
    assert_eq!(load("", short).expect("valid").raw("c").as_deref(), Some("3 & 4"));
    let value = property("d", " &lt;&#65;<![CDATA[&]]> ");
    assert_eq!(load("", &value).expect("valid").raw("d").as_deref(), Some("<A&"));
}

#[test]
fn variables_are_replaced_and_cycles_refused() {
    let config = Config::from_pairs([
        ("hadoop.tmp.dir", "/data"),
        ("x", "${hadoop.tmp.dir}/${y}"),
        ("y", "${env.NO_SUCH_VARIABLE:-z}"),
        ("unknown", "${no.such.key}"),
    ])
    .expect("valid");
    assert_eq!(config.raw("x").as_deref(), Some("/data/z"));
    assert_eq!(config.raw("unknown").as_deref(), Some("${no.such.key}"));
    let name_dir = &config.folders(&keys::DFS_NAMENODE_NAME_DIR)[0].path;
    assert_eq!(name_dir, Path::new("/data/dfs/name"));
    let edits = &config.folders(&keys::DFS_NAMENODE_EDITS_DIR)[0].path;
    assert_eq!(edits, Path::new("/data/dfs/name"));
    let error = Config::from_pairs([("a", "${b}"), ("b", "${a}")]).expect_err("a cycle");
    assert!(error.to_string().contains("cycle"), "{error}");
    let error = Config::from_pairs([("a", "${a}${a}")]).expect_err("a cycle");
    assert!(error.to_string().contains("cycle"), "{error}");
}

#[test]
fn the_hash_tells_values_and_not_layout() {
    let one = load(&property("a", "1"), &property("b", "2")).expect("valid");
    let two =
        load("", &format!("{}\n\n{}", property("b", "2"), property("a", " 1"))).expect("valid");
    let three = load(&property("a", "1"), &property("b", "3")).expect("valid");
    assert_eq!(one.hash(), two.hash());
    assert_ne!(one.hash(), three.hash());
    assert_eq!(one.hash().len(), 16);
}

/// The agent compares the hash of what it rendered with the hash that `/healthz` tells.
#[test]
fn texts_and_files_have_the_same_hash() {
    let texts = [
        (
            FILES[0],
            format!("<configuration>{}</configuration>", property("fs.defaultFS", "hdfs://a")),
        ),
        (
            FILES[1],
            format!(
                "<configuration>{}</configuration>",
                property("dfs.replication", "${dfs.namenode.replication.min}")
            ),
        ),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in &texts {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let loaded = Config::load(folder.path()).expect("valid");
    let texts = texts.iter().map(|(name, text)| (*name, text.as_str()));
    let read = Config::from_texts(Path::new(""), texts).expect("valid");
    assert_eq!(loaded.hash(), read.hash());
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_an_error(text in ".{0,400}") {
        let _ = xml::parse(Path::new("x"), &text);
    }

    #[test]
    fn any_value_is_accepted_or_refused(text in ".{0,40}", index in 0..keys::ALL.len()) {
        let _ = Config::from_pairs([(keys::ALL[index].name, text.as_str())]);
    }
}
