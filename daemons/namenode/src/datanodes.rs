//! What datanodes ask for with a step outside the namespace lock: full reports are taken apart,
//! hosts
//! files are read, racks are looked up.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hdfs_core::namenode::Caller;
use hdfs_core::namenode::blocks::Hosts;
use hdfs_core::namenode::datanodes::decode_block_report;
use hdfs_edge::config::Config;
use hdfs_edge::keys;
use hdfs_edge::rpc::Responder;
use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::datanode::{BlockReportRequestProto, BlockReportResponseProto};
use hdfs_wire::proto::hdfs::{RefreshNodesRequestProto, RefreshNodesResponseProto};

use crate::server::{Received, Server};

/// Longest hosts or rack file; ten thousand nodes fit many times.
const FILE_LENGTH_MAX: u64 = 4 << 20;

/// Files that say which datanodes may connect and where they stand.
#[derive(Debug, Clone)]
pub(crate) struct Maps {
    include: Option<PathBuf>,
    exclude: Option<PathBuf>,
    racks: Option<PathBuf>,
}

impl Maps {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            include: config.path(&keys::DFS_HOSTS),
            exclude: config.path(&keys::DFS_HOSTS_EXCLUDE),
            racks: config.path(&keys::NET_TOPOLOGY_TABLE_FILE_NAME),
        }
    }

    /// Which datanodes may connect, and which are to leave.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub(crate) fn hosts(&self) -> Result<Hosts, String> {
        let lines = |file: &Option<PathBuf>| match file {
            None => Ok::<_, String>(Vec::new()),
            Some(file) => {
                let lines = lines(file)?;
                Ok(lines
                    .iter()
                    .flat_map(|line| line.split_whitespace())
                    .map(str::to_owned)
                    .collect())
            }
        };
        Ok(Hosts { include: lines(&self.include)?, exclude: lines(&self.exclude)? })
    }

    fn racks(&self) -> Result<HashMap<String, String>, String> {
        let Some(file) = &self.racks else { return Ok(HashMap::new()) };
        let lines = lines(file)?;
        let pairs = lines.iter().filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        });
        Ok(pairs.collect())
    }
}

/// The lines of a file without comments and empty ones.
fn lines(file: &Path) -> Result<Vec<String>, String> {
    let refuse = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(refuse)?;
    opened.take(FILE_LENGTH_MAX).read_to_string(&mut text).map_err(refuse)?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
    Ok(lines.filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Reads the files and tells the core.
///
/// # Errors
/// Names the file that cannot be read.
pub(crate) fn read_maps(server: &Server) -> Result<(), String> {
    let maps = server.maps.lock().clone();
    let hosts = maps.hosts()?;
    let racks = server.racks.reset(maps.racks()?);
    let now = crate::server::now();
    let ((), _) = server.change(|state| {
        state.set_hosts(now, hosts);
        state.set_racks(racks);
    });
    Ok(())
}

/// Other datanodes may connect from now on, or are to leave.
pub(crate) fn take_hosts(server: &Server, hosts: Hosts) {
    let now = crate::server::now();
    server.change(|state| state.set_hosts(now, hosts));
}

/// `refreshNodes`: the files are read again.
pub(crate) fn refresh_nodes(
    server: &Arc<Server>,
    caller: &Caller<'_>,
    request: &RefreshNodesRequestProto,
) -> Result<RefreshNodesResponseProto, Fault> {
    let (answer, _) = server.change(|state| state.refresh_nodes(caller, request));
    let answer = answer?;
    read_maps(server).map_err(Fault::io)?;
    Ok(answer)
}

impl Server {
    /// The `blockReport` method.
    pub(crate) fn block_report(self: &Arc<Self>, received: &Received, responder: Responder) {
        let outcome = received.request().and_then(|request: BlockReportRequestProto| {
            let replicas = decode_block_report(&request)?;
            let caller = received.caller();
            let (answer, aftermath) =
                self.change(|state| state.block_report_decoded(&caller, &request, &replicas));
            self.wake(&aftermath);
            answer
        });
        responder.send::<BlockReportResponseProto>(outcome);
    }
}
