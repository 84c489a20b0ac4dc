//! flokkr's environment convention: `FILE.EXT_key=value` and `FILE.EXT!FORMAT_key=value`.
//!
//! The file's name is the part before the first `.` or `_`, in lower case; its extension the
//! part up to the next one. The extension, or what follows its `!`, names the format. The key is
//! the rest, as it is. Variables that do not fit are not ours and mean nothing.

use std::collections::BTreeMap;

use crate::render::{Format, Properties};

/// One configuration file spelled by environment variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentFile {
    /// How to write it.
    pub format: Format,
    /// What is in it.
    pub properties: Properties,
}

/// File, format and key of a variable's name; `None` when the name does not follow the convention.
pub fn parse_name(name: &str) -> Option<(String, Format, &str)> {
    let (stem, rest) = name.split_once(['.', '_'])?;
    let (extension, key) = rest.split_once(['.', '_'])?;
    let key = key.trim();
    if stem.is_empty() || key.is_empty() || stem.contains('/') {
        return None;
    }
    let (extension, format) = match extension.split_once('!') {
        Some((extension, format)) => (extension, Format::of(format)?),
        None => (extension, Format::of(extension)?),
    };
    if extension.is_empty() || extension.contains('/') {
        return None;
    }
    let file = format!("{}.{}", stem.to_lowercase(), extension.to_lowercase());
    Some((file, format, key))
}

/// The files that a set of variables spells, by name. Of two variables that name the same key the
/// later in byte order wins, so that the answer never depends on the environment's order.
pub fn parse(
    variables: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, EnvironmentFile> {
    let sorted: BTreeMap<String, String> = variables.into_iter().collect();
    let mut files: BTreeMap<String, EnvironmentFile> = BTreeMap::new();
    for (name, value) in sorted {
        let Some((file, format, key)) = parse_name(&name) else { continue };
        let entry = files
            .entry(file)
            .or_insert_with(|| EnvironmentFile { format, properties: Properties::new() });
        entry.format = format;
        entry.properties.insert(key.to_owned(), value);
    }
    files
}

/// Variables with the agent's own credentials. Templates do not see them and programs do not
/// inherit them; a unit's `env` may pass them on.
pub const TOKENS: [&str; 2] = ["VAULT_TOKEN", "CONSUL_HTTP_TOKEN"];

/// The process's own variables, without its credentials.
pub fn shared() -> impl Iterator<Item = (String, String)> {
    variables().filter(|(name, _)| !TOKENS.contains(&name.as_str()))
}

/// The process's own variables, without those that are no UTF-8.
pub fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        use Format::{Conf, Properties as Java, Xml, Yaml};
        type Parsed = Option<(&'static str, Format, &'static str)>;
        let table: &[(&str, Parsed)] = &[
            ("CORE-SITE.XML_fs.defaultFS", Some(("core-site.xml", Xml, "fs.defaultFS"))),
            ("HDFS-SITE.XML_dfs.replication", Some(("hdfs-site.xml", Xml, "dfs.replication"))),
            (
                "LOG4J.PROPERTIES_log4j.rootLogger",
                Some(("log4j.properties", Java, "log4j.rootLogger")),
            ),
            ("STORM.YAML_nimbus.seeds.1", Some(("storm.yaml", Yaml, "nimbus.seeds.1"))),
            ("SERVER.TXT!PROPERTIES_a_b", Some(("server.txt", Java, "a_b"))),
            ("HADOOP-ENV.SH!conf_A", Some(("hadoop-env.sh", Conf, "A"))),
            ("CORE-SITE.XML.fs.defaultFS", Some(("core-site.xml", Xml, "fs.defaultFS"))),
            ("CORE-SITE_XML_fs.defaultFS", Some(("core-site.xml", Xml, "fs.defaultFS"))),
            ("CORE-SITE.XML_", None),
            ("CORE-SITE.XML", None),
            ("CORE-SITE.TXT_key", None),
            ("CORE-SITE.XML!NOPE_key", None),
            (".XML_key", None),
            ("PATH", None),
            ("", None),
            ("../X.XML_key", None),
            ("A.!XML_key", None),
        ];
        for (name, expected) in table {
            let expected = expected.map(|(file, format, key)| (file.to_owned(), format, key));
            assert_eq!(parse_name(name), expected, "{name}");
        }
    }

    #[test]
    fn files() {
        let variables = [
            ("HDFS-SITE.XML_dfs.replication", "2"),
            ("HDFS-SITE.XML_dfs.blocksize", "1m"),
            ("HOME", "/root"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let files = parse(variables);
        assert_eq!(files.len(), 1);
        let file = &files["hdfs-site.xml"];
        assert_eq!(file.format, Format::Xml);
        assert_eq!(file.properties["dfs.replication"], "2");
        assert_eq!(file.properties["dfs.blocksize"], "1m");
    }
}
