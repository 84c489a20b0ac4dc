//! Racks by a program of the operator's (`net.topology.script.file.name`): it gets addresses as
//! arguments and prints a rack for each. Asked when a datanode registers, never under the lock.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use hdfs_core::namenode::Namenode;
use hdfs_edge::rpc::Responder;
use hdfs_wire::proto::hdfs::datanode::RegisterDatanodeRequestProto;
use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::server::{Received, Server};

/// The program's time; Java has no limit and hangs with it.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes the program may print: two racks.
const ANSWER_LENGTH_MAX: u64 = 64 << 10;

/// Nodes whose racks are remembered; a flood of names ends there.
const NODES_MAX: usize = 100_000;

/// What is known of racks.
pub(crate) struct Racks {
    script: Option<PathBuf>,
    known: Mutex<HashMap<String, String>>,
    /// One program at a time.
    turn: Semaphore,
}

impl Racks {
    pub(crate) fn new(script: Option<PathBuf>) -> Self {
        Self { script, known: Mutex::default(), turn: Semaphore::new(1) }
    }

    /// Forgets the program's answers and begins with these.
    pub(crate) fn reset(&self, table: HashMap<String, String>) -> HashMap<String, String> {
        let mut known = self.known.lock();
        known.clone_from(&table);
        table
    }

    /// Asks the program about a node; says the whole map when it learnt something.
    async fn learn(&self, node: &str) -> Option<HashMap<String, String>> {
        let script = self.script.as_ref()?;
        let _turn = self.turn.acquire().await.ok()?;
        if self.known.lock().contains_key(node) {
            return None;
        }
        match tokio::time::timeout(ANSWER_TIME_MAX, ask(script, node)).await {
            Ok(Ok(rack)) => {
                let mut known = self.known.lock();
                if known.len() < NODES_MAX {
                    known.insert(node.to_owned(), rack);
                }
                Some(known.clone())
            }
            Ok(Err(error)) => {
                tracing::warn!(script = %script.display(), node, %error, "the rack is not known");
                None
            }
            Err(_) => {
                tracing::warn!(script = %script.display(), node, "the program took too long");
                None
            }
        }
    }
}

async fn ask(script: &PathBuf, node: &str) -> std::io::Result<String> {
    let mut child = Command::new(script)
        .arg(node)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut text = String::new();
    if let Some(output) = child.stdout.take() {
        output.take(ANSWER_LENGTH_MAX).read_to_string(&mut text).await?;
    }
    let status = child.wait().await?;
    match text.split_whitespace().next() {
        Some(rack) if status.success() && rack.starts_with('/') => Ok(rack.to_owned()),
        _ => Err(std::io::Error::other(format!("it ended with {status} and printed {text:?}"))),
    }
}

impl Server {
    /// The `registerDatanode` method.
    pub(crate) fn register_datanode(self: &Arc<Self>, received: Received, responder: Responder) {
        if self.racks.script.is_none() {
            return self.report(&received, responder, Namenode::register_datanode);
        }
        let server = self.clone();
        tokio::spawn(async move {
            if received.request::<RegisterDatanodeRequestProto>().is_ok()
                && let Some(racks) = server.racks.learn(&received.address).await
            {
                server.change(|state| state.set_racks(racks));
            }
            server.report(&received, responder, Namenode::register_datanode);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(text: &str) -> (tempfile::TempDir, PathBuf) {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("racks");
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
        (folder, path)
    }

    #[tokio::test]
    async fn the_programs_word_is_taken_once_and_nonsense_is_not() {
        let (_folder, path) = program("#!/bin/sh\necho /rack-$1\n");
        let racks = Racks::new(Some(path));
        let known = racks.learn("10.0.0.1").await.expect("learnt");
        assert_eq!(known["10.0.0.1"], "/rack-10.0.0.1");
        assert!(racks.learn("10.0.0.1").await.is_none());
        for text in ["#!/bin/sh\necho nonsense\n", "#!/bin/sh\necho /a; exit 1\n", "no program"] {
            let (_folder, path) = program(text);
            assert!(Racks::new(Some(path)).learn("10.0.0.1").await.is_none(), "{text}");
        }
        assert!(Racks::new(None).learn("10.0.0.1").await.is_none());
    }
}
