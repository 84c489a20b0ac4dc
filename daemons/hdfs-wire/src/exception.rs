//! The one table from our errors to Hadoop's exception classes.
//!
//! A client decides by the class name whether to retry, fail over or give up, so names are exact
//! (source: Hadoop 3.4 `RemoteException` handling in its clients). The message's first line is what
//! command line tools print.

use std::fmt;

/// Declares [`Exception`] and both directions of the table.
macro_rules! exceptions {
    ($($(#[$doc:meta])* $name:ident = $class:literal;)*) => {
        /// What went wrong, as a Java client sees it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Exception { $($(#[$doc])* $name,)* }

        impl Exception {
            /// Every exception a server of ours can answer with.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The fully qualified Java class name, `$` before inner classes.
            pub const fn class_name(self) -> &'static str {
                match self { $(Self::$name => $class,)* }
            }
        }
    };
}

exceptions! {
    /// A path that must exist does not.
    FileNotFound = "java.io.FileNotFoundException";
    /// Create without overwrite on something that exists, or mkdir over a file.
    FileAlreadyExists = "org.apache.hadoop.fs.FileAlreadyExistsException";
    /// A component that should be a directory is a file.
    ParentNotDirectory = "org.apache.hadoop.fs.ParentNotDirectoryException";
    /// Non-recursive delete of a directory with entries.
    PathIsNotEmptyDirectory = "org.apache.hadoop.fs.PathIsNotEmptyDirectoryException";
    /// A directory was asked for and the path is a file.
    PathIsNotDirectory = "org.apache.hadoop.fs.PathIsNotDirectoryException";
    /// The caller lacks a permission.
    AccessControl = "org.apache.hadoop.security.AccessControlException";
    /// The caller may not act for another user.
    Authorization = "org.apache.hadoop.security.authorize.AuthorizationException";
    /// A symbolic link in the path must be resolved by the client.
    UnresolvedPath = "org.apache.hadoop.hdfs.protocol.UnresolvedPathException";
    /// The namenode accepts no changes at present.
    SafeMode = "org.apache.hadoop.hdfs.server.namenode.SafeModeException";
    /// The namenode is not the active one.
    Standby = "org.apache.hadoop.ipc.StandbyException";
    /// Try the same server again shortly.
    Retriable = "org.apache.hadoop.ipc.RetriableException";
    /// The caller no longer holds the lease, or the file is closed or gone.
    LeaseExpired = "org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException";
    /// Another client writes the file.
    AlreadyBeingCreated = "org.apache.hadoop.hdfs.protocol.AlreadyBeingCreatedException";
    /// The file's last block is being recovered.
    RecoveryInProgress = "org.apache.hadoop.hdfs.protocol.RecoveryInProgressException";
    /// The block before has too few reported replicas yet.
    NotReplicatedYet = "org.apache.hadoop.hdfs.server.namenode.NotReplicatedYetException";
    /// A quota on names is exceeded.
    NsQuotaExceeded = "org.apache.hadoop.hdfs.protocol.NSQuotaExceededException";
    /// A quota on bytes is exceeded.
    DsQuotaExceeded = "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException";
    /// A quota on bytes of one storage type is exceeded.
    QuotaByStorageTypeExceeded =
        "org.apache.hadoop.hdfs.protocol.QuotaByStorageTypeExceededException";
    /// A name is longer than the configured limit.
    PathComponentTooLong =
        "org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException";
    /// A directory has as many entries as it may.
    MaxDirectoryItemsExceeded =
        "org.apache.hadoop.hdfs.protocol.FSLimitException$MaxDirectoryItemsExceededException";
    /// A path that can never be valid.
    InvalidPath = "org.apache.hadoop.fs.InvalidPathException";
    /// A change below `.snapshot`.
    SnapshotAccessControl = "org.apache.hadoop.hdfs.protocol.SnapshotAccessControlException";
    /// A rule about snapshots is broken.
    Snapshot = "org.apache.hadoop.hdfs.protocol.SnapshotException";
    /// An ACL is invalid.
    Acl = "org.apache.hadoop.hdfs.protocol.AclException";
    /// A named extended attribute does not exist.
    XAttrNotFound = "org.apache.hadoop.hdfs.protocol.XAttrNotFoundException";
    /// A token is unknown, expired or forged.
    InvalidToken = "org.apache.hadoop.security.token.SecretManager$InvalidToken";
    /// No erasure coding policy to unset.
    NoEcPolicySet = "org.apache.hadoop.hdfs.protocol.NoECPolicySetException";
    /// An argument outside what the call accepts.
    HadoopIllegalArgument = "org.apache.hadoop.HadoopIllegalArgumentException";
    /// An argument outside what the call accepts, as the JDK says it.
    IllegalArgument = "java.lang.IllegalArgumentException";
    /// A state in which the call makes no sense.
    IllegalState = "java.lang.IllegalStateException";
    /// Java's assertion on a path that is not absolute.
    Assertion = "java.lang.AssertionError";
    /// A feature that is off or not there.
    UnsupportedOperation = "java.lang.UnsupportedOperationException";
    /// A datanode that the hosts files exclude.
    DisallowedDatanode = "org.apache.hadoop.hdfs.server.protocol.DisallowedDatanodeException";
    /// A datanode that never registered.
    UnregisteredNode = "org.apache.hadoop.hdfs.protocol.UnregisteredNodeException";
    /// A layout or software version that does not fit.
    IncorrectVersion = "org.apache.hadoop.hdfs.server.common.IncorrectVersionException";
    /// A storage folder of another cluster, or one that contradicts itself.
    InconsistentFsState =
        "org.apache.hadoop.hdfs.server.common.InconsistentFSStateException";
    /// A replica the datanode does not have.
    ReplicaNotFound = "org.apache.hadoop.hdfs.server.datanode.ReplicaNotFoundException";
    /// A replica the datanode has already.
    ReplicaAlreadyExists =
        "org.apache.hadoop.hdfs.server.datanode.ReplicaAlreadyExistsException";
    /// The volume has no room.
    DiskOutOfSpace = "org.apache.hadoop.util.DiskChecker$DiskOutOfSpaceException";
    /// High availability is not configured, or the transition is not possible.
    ServiceFailed = "org.apache.hadoop.ha.ServiceFailedException";
    /// The server has no such method.
    RpcNoSuchMethod = "org.apache.hadoop.ipc.RpcNoSuchMethodException";
    /// The server does not speak the protocol.
    RpcNoSuchProtocol = "org.apache.hadoop.ipc.RpcNoSuchProtocolException";
    /// The server speaks another version of RPC or of the protocol.
    RpcVersionMismatch = "org.apache.hadoop.ipc.RPC$VersionMismatch";
    /// The call could not be decoded or dispatched.
    RpcServer = "org.apache.hadoop.ipc.RpcServerException";
    /// Everything without a class of its own.
    Io = "java.io.IOException";
}

/// An error as it travels: what kind, and the text that people read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Decides the class name, and with it what the client does next.
    pub exception: Exception,
    /// Shown to the user; the first line is Java's exact text where a fact sheet gives one.
    pub message: String,
}

impl Fault {
    /// A fault of the given kind.
    pub fn new(exception: Exception, message: impl Into<String>) -> Self {
        Self { exception, message: message.into() }
    }

    /// A plain `java.io.IOException`.
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(Exception::Io, message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.exception.class_name(), self.message)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_name_stands_for_one_exception() {
        let mut names: Vec<_> = Exception::ALL.iter().map(|each| each.class_name()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(
            names.iter().all(|name| name.starts_with("java.") || name.starts_with("org.apache."))
        );
    }
}
