//! What must hold before a host of a rollout may restart.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hdfs_edge::config::Config;
use hyper::Method;
use serde_json::Value;

use crate::http::{Http, Request, Tls};
use crate::sources::ServiceQuery;
use crate::sources::consul::Consul;

/// A namenode that needs longer for one bean is not well.
const LIMIT: Duration = Duration::from_secs(5);

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// `hdfs:safemode-off`
    SafemodeOff,
    /// `hdfs:no-missing-blocks`
    NoMissingBlocks,
    /// `hdfs:no-under-replicated-blocks`
    NoUnderReplicatedBlocks,
    /// `hdfs:live-datanodes>=N`
    LiveDatanodes(u64),
    /// `hdfs:standby-first`
    StandbyFirst,
    /// `consul:SERVICE passing` or `consul:SERVICE passing>=N`
    Passing(String, u64),
}

/// What is accepted, for messages.
pub const GATES: &str = "hdfs:safemode-off, hdfs:no-missing-blocks, \
     hdfs:no-under-replicated-blocks, hdfs:live-datanodes>=N, hdfs:standby-first, \
     consul:SERVICE passing>=N";

impl Gate {
    /// Reads a gate's text.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("consul:") {
            let (service, rest) = rest.split_once(' ')?;
            let count = match rest.trim().strip_prefix("passing")? {
                "" => 1,
                more => more.strip_prefix(">=")?.trim().parse().ok()?,
            };
            return (!service.is_empty()).then(|| Self::Passing(service.to_owned(), count));
        }
        match text.strip_prefix("hdfs:")? {
            "safemode-off" => Some(Self::SafemodeOff),
            "standby-first" => Some(Self::StandbyFirst),
            "no-missing-blocks" => Some(Self::NoMissingBlocks),
            "no-under-replicated-blocks" => Some(Self::NoUnderReplicatedBlocks),
            rest => {
                let count = rest.strip_prefix("live-datanodes>=")?.trim().parse().ok()?;
                Some(Self::LiveDatanodes(count))
            }
        }
    }

    /// Why it does not hold, in one line.
    ///
    /// # Errors
    /// It does not hold, or nobody can tell.
    pub(super) async fn check(&self, consul: &Arc<Consul>, conf: &Path) -> Result<(), String> {
        match self {
            Self::Passing(service, count) => {
                let name = service.clone();
                let query = ServiceQuery { name, tag: None, passing_only: true };
                let found = consul.health_service(&query).await.map_err(|e| e.to_string())?;
                let found = found.len() as u64;
                holds(found >= *count, || format!("{found} of {count} instances of {service} pass"))
            }
            // Its task knows the rollout's record and who is active.
            Self::StandbyFirst => Ok(()),
            Self::SafemodeOff => {
                let bean = bean(conf, "NameNodeInfo").await?;
                holds(bean["Safemode"] == "", || "the namenode is in safe mode".to_owned())
            }
            Self::NoMissingBlocks => {
                let missing = number(&bean(conf, "FSNamesystem").await?, "MissingBlocks")?;
                holds(missing == 0, || format!("{missing} blocks are missing"))
            }
            Self::NoUnderReplicatedBlocks => {
                let name = "UnderReplicatedBlocks";
                let few = number(&bean(conf, "FSNamesystem").await?, name)?;
                holds(few == 0, || format!("{few} blocks have too few replicas"))
            }
            Self::LiveDatanodes(count) => {
                let live = number(&bean(conf, "FSNamesystemState").await?, "NumLiveDataNodes")?;
                holds(live >= *count, || format!("{live} of {count} datanodes live"))
            }
        }
    }
}

fn holds(yes: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if yes { Ok(()) } else { Err(otherwise()) }
}

fn number(bean: &Value, name: &str) -> Result<u64, String> {
    bean[name].as_u64().ok_or_else(|| format!("the namenode does not tell {name}"))
}

/// Where the namenode's pages are, by the configuration in force.
fn namenode(conf: &Path) -> Result<String, String> {
    let config = Config::load(conf).map_err(|error| error.to_string())?;
    let values = config.effective();
    let value = |name: &str| {
        values.iter().find(|(key, _, _)| key == name).map(|(_, value, _)| value.clone())
    };
    let web = value("dfs.namenode.http-address").unwrap_or_default();
    let (host, port) = web.rsplit_once(':').ok_or("dfs.namenode.http-address is not set")?;
    if !["", "0.0.0.0"].contains(&host) {
        return Ok(web);
    }
    let fs = value("fs.defaultFS").unwrap_or_default();
    let authority = fs.split("//").nth(1).unwrap_or_default();
    let host = authority.split([':', '/']).next().unwrap_or_default();
    Ok(format!("{host}:{port}"))
}

async fn bean(conf: &Path, name: &str) -> Result<Value, String> {
    let address = namenode(conf)?;
    let told = |error: crate::http::HttpError| error.to_string();
    let http = Http::new(&address, &Tls::default()).map_err(told)?;
    let target = format!("/jmx?qry=Hadoop:service=NameNode,name={name}");
    let answer = http.send(Request::new(Method::GET, target, LIMIT)).await.map_err(told)?;
    let page: Value = answer.json().map_err(told)?;
    match &page["beans"][0] {
        Value::Null => Err(format!("{address} has no bean {name}")),
        bean => Ok(bean.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_gates() {
        assert_eq!(Gate::parse("hdfs:safemode-off"), Some(Gate::SafemodeOff));
        assert_eq!(Gate::parse("hdfs:standby-first"), Some(Gate::StandbyFirst));
        assert_eq!(Gate::parse("hdfs:live-datanodes>=3"), Some(Gate::LiveDatanodes(3)));
        let passing = |count| Some(Gate::Passing("namenode".to_owned(), count));
        assert_eq!(Gate::parse("consul:namenode passing"), passing(1));
        assert_eq!(Gate::parse("consul:namenode passing>=2"), passing(2));
        for wrong in ["", "hdfs:", "hdfs:live-datanodes", "consul:", "consul:x", "consul:x failing"]
        {
            assert_eq!(Gate::parse(wrong), None, "{wrong}");
        }
    }
}
