//! Which cluster a client verb talks to: Hadoop's generic options and configuration folder.

use std::path::PathBuf;

use hdfs_edge::config::Config;
use hdfs_edge::{keys, rpc};

/// The protocol every client call belongs to.
const PROTOCOL: &str = "org.apache.hadoop.hdfs.protocol.ClientProtocol";

/// Where `howdah dev` leaves its client configuration when nobody says otherwise.
const DEV_CONF: &str = "howdah-data/client-conf";

/// Tries after the first at a namenode that has no twin, about 1, 2, 4 and 8 s apart: a restart is
/// waited out, and a wrong address told soon. The 15 meant for pairs would be minutes of silence.
const ATTEMPTS_ALONE: &str = "4";

/// The options that stand before a Hadoop verb's own words.
#[derive(Debug, Default)]
pub(super) struct Generic {
    conf: Option<PathBuf>,
    fs: Option<String>,
    defines: Vec<(String, String)>,
}

impl Generic {
    /// Takes the generic options off the front of `words`.
    ///
    /// # Errors
    /// An option without its value.
    pub(super) fn take(words: &mut Vec<String>) -> Result<Self, String> {
        let mut generic = Self::default();
        loop {
            let Some(word) = words.first() else { return Ok(generic) };
            let (taken, value) = match word.as_str() {
                "-D" | "-fs" | "--fs" | "-conf" | "--conf" | "--config" => {
                    let value = words.get(1).ok_or_else(|| format!("{word} needs a value"))?;
                    (2, value.clone())
                }
                _ => match word.strip_prefix("-D") {
                    Some(define) if define.contains('=') => (1, define.to_owned()),
                    _ => return Ok(generic),
                },
            };
            let option = words[0].trim_start_matches('-').to_owned();
            match option.as_str() {
                "fs" => generic.fs = Some(value),
                "conf" | "config" => generic.conf = Some(PathBuf::from(value)),
                _ => match value.split_once('=') {
                    Some((name, value)) => generic.defines.push((name.into(), value.into())),
                    None => return Err(format!("-D {value}: name=value is expected")),
                },
            }
            words.drain(..taken);
        }
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// It cannot be read, or holds a value its key does not accept; in one line.
    pub(super) fn settings(self) -> Result<Settings, String> {
        let folder = self.conf.clone().or_else(conf_folder);
        let config = match &folder {
            Some(folder) => Config::load(folder).map_err(|error| error.to_string())?,
            None => Config::from_pairs([]).map_err(|error| error.to_string())?,
        };
        Ok(Settings { folder, config, generic: self })
    }
}

/// Hadoop's folder by the environment, or the dev cluster's below the working directory.
fn conf_folder() -> Option<PathBuf> {
    let by_environment = std::env::var_os("HADOOP_CONF_DIR").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HADOOP_HOME")?;
        Some(PathBuf::from(home).join("etc/hadoop"))
    });
    by_environment.or_else(|| Some(PathBuf::from(DEV_CONF)).filter(|folder| folder.is_dir()))
}

/// The configuration of a client.
pub(super) struct Settings {
    folder: Option<PathBuf>,
    config: Config,
    generic: Generic,
}

impl Settings {
    /// A value: of the command line, else of the files, else the default.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let defined = self.generic.defines.iter().rev().find(|(key, _)| key == name);
        defined.map(|(_, value)| value.clone()).or_else(|| self.config.raw(name))
    }

    /// The default file system, `hdfs://authority`.
    ///
    /// # Errors
    /// None is configured, or it is not HDFS.
    pub(super) fn default_fs(&self) -> Result<String, String> {
        let set = self.generic.fs.clone().or_else(|| self.value("fs.defaultFS"));
        let uri = set.unwrap_or_default();
        match uri.strip_prefix("hdfs://").map(|rest| rest.trim_end_matches('/')) {
            Some(authority) if !authority.is_empty() => Ok(format!("hdfs://{authority}")),
            _ if self.folder.is_none() => Err("no cluster is configured; set HADOOP_CONF_DIR \
                 (dev: DIR/client-conf), or pass -fs hdfs://host:port"
                .to_owned()),
            _ => Err(format!(
                "fs.defaultFS = {uri:?}: hdfs://host:port is accepted; set it in core-site.xml, \
                 or pass -fs"
            )),
        }
    }

    /// The user the calls are made for.
    pub(super) fn user() -> String {
        std::env::var("HADOOP_USER_NAME")
            .ok()
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| hdfs_edge::groups::own_user().to_owned())
    }

    /// A client of the file system at `hdfs://authority`.
    ///
    /// # Errors
    /// The address or configuration is not usable.
    pub(super) fn file_system(&self, uri: &str) -> Result<hdfs_native::Client, String> {
        let mut builder = hdfs_native::ClientBuilder::new()
            .with_url(uri)
            .with_user(Self::user())
            .with_config(self.client_options(uri));
        if let Some(folder) = &self.folder {
            builder = builder.with_config_dir(folder.to_string_lossy());
        }
        builder.build().map_err(|error| format!("{uri}: {error}"))
    }

    /// What is set over the files of the folder.
    fn client_options(&self, uri: &str) -> Vec<(String, String)> {
        let mut options = self.generic.defines.clone();
        let key = &keys::DFS_CLIENT_FAILOVER_MAX_ATTEMPTS;
        let chosen = self.config.is_set(key) || options.iter().any(|(name, _)| name == key.name);
        if is_one_host(uri) && !chosen {
            options.push((key.name.to_owned(), ATTEMPTS_ALONE.to_owned()));
        }
        options
    }

    /// A client for the calls that the file system's client does not have.
    pub(super) fn rpc(&self, uri: &str) -> rpc::Client {
        let authority = uri.trim_start_matches("hdfs://");
        let address = if is_one_host(uri) {
            authority.to_owned()
        } else {
            self.first_namenode(authority).unwrap_or_else(|| format!("{authority}:8020"))
        };
        let user = rpc::User::new(Self::user());
        rpc::Client::new(address, user, PROTOCOL, rpc::Timeouts::default())
            .with_caller_context("CLI")
    }

    /// The first namenode behind a logical name.
    fn first_namenode(&self, service: &str) -> Option<String> {
        let names = self.value(&format!("dfs.ha.namenodes.{service}"))?;
        let first = names.split(',').next()?.trim();
        self.value(&format!("dfs.namenode.rpc-address.{service}.{first}"))
    }
}

/// Is it an address with a port, not a logical name of several namenodes?
fn is_one_host(uri: &str) -> bool {
    uri.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// A runtime for one command.
///
/// # Errors
/// The system has no room for threads.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    // One worker computes while another waits; more only cost start-up time.
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// The part of a remote exception's message that is meant for people.
pub(super) fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn generic_options_come_first() {
        let mut words = words("-D a=b -Dc=d -fs hdfs://nn:1 -ls -D x");
        let generic = Generic::take(&mut words).unwrap();
        assert_eq!(words, ["-ls", "-D", "x"]);
        assert_eq!(generic.fs.as_deref(), Some("hdfs://nn:1"));
        let defines = [("a", "b"), ("c", "d")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(generic.defines, defines);
    }

    #[test]
    fn incomplete_options() {
        assert!(Generic::take(&mut words("-fs")).is_err());
        assert!(Generic::take(&mut words("-D nothing -ls")).is_err());
    }

    /// Story: a command for a namenode that did not run was silent for minutes.
    #[test]
    fn a_namenode_that_is_down_is_told_soon() {
        let attempts = |text: &str, uri: &str| {
            let config = Config::from_pairs([]).unwrap();
            let generic = Generic::take(&mut words(text)).unwrap();
            let settings = Settings { folder: None, config, generic };
            let options = settings.client_options(uri);
            let key = keys::DFS_CLIENT_FAILOVER_MAX_ATTEMPTS.name;
            options.into_iter().find(|(name, _)| name == key).map(|(_, value)| value)
        };
        assert_eq!(attempts("", "hdfs://nn:8020").as_deref(), Some(ATTEMPTS_ALONE));
        assert_eq!(attempts("", "hdfs://service"), None);
        let chosen = "-D dfs.client.failover.max.attempts=9";
        assert_eq!(attempts(chosen, "hdfs://nn:8020").as_deref(), Some("9"));
    }

    #[test]
    fn only_hdfs() {
        let settings = |text: &str| {
            let config = Config::from_pairs([]).unwrap();
            let generic = Generic::take(&mut words(text)).unwrap();
            Settings { folder: Some("conf".into()), config, generic }
        };
        assert_eq!(settings("-fs hdfs://nn:1/").default_fs().unwrap(), "hdfs://nn:1");
        assert!(settings("-fs file:///").default_fs().is_err());
        assert!(settings("").default_fs().unwrap_err().contains("core-site.xml"));
    }
}
