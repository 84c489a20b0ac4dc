//! listOpenFiles: who writes what.

use hdfs_wire::Fault;
use hdfs_wire::proto::hdfs::{
    ListOpenFilesRequestProto, ListOpenFilesResponseProto, OpenFilesBatchResponseProto,
};

use super::super::{Caller, Namenode, path};

impl Namenode {
    /// `listOpenFiles`: files being written, by inode id from `id` on, a page at a time.
    ///
    /// # Errors
    /// `AccessControlException` for all but superusers.
    pub fn list_open_files(
        &self,
        caller: &Caller<'_>,
        request: &ListOpenFilesRequestProto,
    ) -> Result<ListOpenFilesResponseProto, Fault> {
        self.checker(caller).superuser("listOpenFiles")?;
        let prefix = path::normalize(request.path.as_deref().unwrap_or("/"))?;
        let mut files: Vec<_> = self
            .leases
            .files()
            .filter(|&(id, _)| i64::try_from(id).is_ok_and(|id| id > request.id))
            .filter_map(|(id, writer)| Some((id, self.tree.path(self.tree.by_id(id)?), writer)))
            .filter(|(_, file, _)| path::is_below(file, &prefix))
            .collect();
        files.sort_unstable_by_key(|&(id, ..)| id);
        let has_more = files.len() > self.config.open_files_limit;
        files.truncate(self.config.open_files_limit);
        let entries = files.into_iter().map(|(id, path, writer)| OpenFilesBatchResponseProto {
            id: id as i64,
            path,
            client_name: writer.holder.to_string(),
            client_machine: writer.machine.to_string(),
        });
        Ok(ListOpenFilesResponseProto {
            entries: entries.collect(),
            has_more,
            types: request.types.clone(),
        })
    }
}
