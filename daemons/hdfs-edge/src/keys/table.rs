//! The key table. Defaults are Hadoop 3.4's; the reader's tests check that each is a value of its
//! own kind. Rows are sorted by name, because look-ups are binary searches.

use super::{Change, Daemon, Key, Kind, Unit};

/// Declares one constant per key and the table of all.
macro_rules! keys {
    ($($ident:ident = $name:literal, $kind:expr, $default:literal, $change:ident,
       [$($daemon:ident),+], $doc:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $doc)]
            pub static $ident: Key = Key {
                name: $name,
                kind: $kind,
                default: $default,
                change: Change::$change,
                daemons: &[$(Daemon::$daemon),+],
                doc: $doc,
            };
        )*
        /// Every key, sorted by name.
        pub static ALL: &[&Key] = &[$(&$ident,)*];
    };
}

keys! {
    DFS_BATCHED_LS_LIMIT =
        "dfs.batched.ls.limit", Kind::Integer(1, 10000), "100", Restart, [Namenode],
        "Most paths in one batched listing.";
    DFS_BLOCK_ACCESS_TOKEN_ENABLE =
        "dfs.block.access.token.enable", Kind::Boolean, "false", Restart, [Namenode, Datanode],
        "Whether datanodes ask for block tokens.";
    DFS_BLOCK_INVALIDATE_LIMIT =
        "dfs.block.invalidate.limit", Kind::Integer(1, i64::MAX), "1000", Reload, [Namenode],
        "Most deletions ordered with one heartbeat.";
    DFS_BLOCK_REPLICATOR_CLASSNAME =
        "dfs.block.replicator.classname", Kind::Text,
        "org.apache.hadoop.hdfs.server.blockmanagement.BlockPlacementPolicyDefault",
        Restart, [Namenode],
        "The placement rule; only the default one is known.";
    DFS_BLOCKREPORT_INCREMENTAL_INTERVAL_MSEC =
        "dfs.blockreport.incremental.intervalMsec", Kind::Time(Unit::Millis, 0, i64::MAX),
        "0", Restart, [Datanode],
        "Least time between incremental block reports; 0 means at once.";
    DFS_BLOCKREPORT_INITIAL_DELAY =
        "dfs.blockreport.initialDelay", Kind::Time(Unit::Seconds, 0, i64::MAX),
        "0s", Restart, [Datanode],
        "The first full block report is sent after a random time up to this.";
    DFS_BLOCKREPORT_INTERVAL_MSEC =
        "dfs.blockreport.intervalMsec", Kind::Time(Unit::Millis, 1000, i64::MAX),
        "21600000", Reload, [Datanode],
        "Time between full block reports.";
    DFS_BLOCKREPORT_SPLIT_THRESHOLD =
        "dfs.blockreport.split.threshold", Kind::Integer(0, i64::MAX),
        "1000000", Reload, [Datanode],
        "More blocks than this are reported one storage per message.";
    DFS_BLOCKSIZE =
        "dfs.blocksize", Kind::Size(512, 1 << 50), "134217728", Reload, [Namenode, Client],
        "Block size of new files in bytes.";
    DFS_BYTES_PER_CHECKSUM =
        "dfs.bytes-per-checksum", Kind::Integer(1, 1 << 24),
        "512", Reload, [Namenode, Client],
        "Data bytes covered by one checksum.";
    DFS_CHECKSUM_TYPE =
        "dfs.checksum.type", Kind::Choice(&["NULL", "CRC32", "CRC32C"]),
        "CRC32C", Reload, [Namenode, Client],
        "Checksum of new files.";
    DFS_CLIENT_WRITE_PACKET_SIZE =
        "dfs.client-write-packet-size", Kind::Integer(512, 16 << 20),
        "65536", Reload, [Namenode, Client],
        "Bytes in one packet of a write.";
    DFS_CLIENT_BLOCK_WRITE_LOCATE_FOLLOWING_BLOCK_RETRIES =
        "dfs.client.block.write.locateFollowingBlock.retries", Kind::Integer(0, 100000),
        "5", None, [Client],
        "Attempts of a client to close a file or get the next block.";
    DFS_CLIENT_BLOCK_WRITE_REPLACE_DATANODE_ON_FAILURE_ENABLE =
        "dfs.client.block.write.replace-datanode-on-failure.enable", Kind::Boolean,
        "true", None, [Client],
        "Whether a failed datanode of a pipeline is replaced.";
    DFS_CLIENT_BLOCK_WRITE_REPLACE_DATANODE_ON_FAILURE_POLICY =
        "dfs.client.block.write.replace-datanode-on-failure.policy",
        Kind::Choice(&["ALWAYS", "DEFAULT", "NEVER"]),
        "DEFAULT", None, [Client],
        "When a failed datanode of a pipeline is replaced.";
    DFS_CLIENT_BLOCK_WRITE_RETRIES =
        "dfs.client.block.write.retries", Kind::Integer(0, 100000), "3", None, [Client],
        "Attempts of a client to write a block.";
    DFS_CLIENT_DATANODE_RESTART_TIMEOUT =
        "dfs.client.datanode-restart.timeout", Kind::Time(Unit::Seconds, 0, i64::MAX),
        "30", None, [Client],
        "How long a writer waits for a restarting datanode.";
    DFS_CLIENT_FAILOVER_MAX_ATTEMPTS =
        "dfs.client.failover.max.attempts", Kind::Integer(0, 100000), "15", None, [Client],
        "Attempts of a client over the namenodes of a pair.";
    DFS_CLIENT_READ_PREFETCH_SIZE =
        "dfs.client.read.prefetch.size", Kind::Size(0, i64::MAX), "0", None, [Client],
        "Bytes of block locations asked for at once; 0 means ten blocks.";
    DFS_CLIENT_READ_SHORTCIRCUIT =
        "dfs.client.read.shortcircuit", Kind::Boolean, "false", None, [Client, Datanode],
        "Whether a client on the datanode's host reads files itself.";
    DFS_CLIENT_SOCKET_TIMEOUT =
        "dfs.client.socket-timeout", Kind::Time(Unit::Millis, 1, i64::MAX),
        "60000", Restart, [Datanode, Client],
        "A read from a datanode fails after this long.";
    DFS_CLIENT_USE_DATANODE_HOSTNAME =
        "dfs.client.use.datanode.hostname", Kind::Boolean, "false", None, [Client],
        "Whether clients reach datanodes by name.";
    DFS_CLUSTER_ADMINISTRATORS =
        "dfs.cluster.administrators", Kind::Text, "", Restart, [Namenode, Datanode],
        "Users and groups who may see the administrative pages.";
    DFS_CONTENT_SUMMARY_LIMIT =
        "dfs.content-summary.limit", Kind::Integer(0, i64::MAX), "5000", None, [Namenode],
        "Entries counted before the lock is let go; 0 means never.";
    DFS_CONTENT_SUMMARY_SLEEP_MICROSEC =
        "dfs.content-summary.sleep-microsec", Kind::Integer(0, i64::MAX), "500", None, [Namenode],
        "Pause of a summary between two holds of the lock.";
    DFS_DATA_TRANSFER_PROTECTION =
        "dfs.data.transfer.protection", Kind::List, "", Restart, [Datanode, Client],
        "SASL protection of block data: authentication, integrity, privacy.";
    DFS_DATANODE_ADDRESS =
        "dfs.datanode.address", Kind::Address, "0.0.0.0:9866", Restart, [Datanode],
        "Where block data is sent and read.";
    DFS_DATANODE_BALANCE_BANDWIDTH_PER_SEC =
        "dfs.datanode.balance.bandwidthPerSec", Kind::Size(1024, i64::MAX),
        "100m", Reload, [Datanode],
        "Limit of balancing in bytes per second.";
    DFS_DATANODE_BALANCE_MAX_CONCURRENT_MOVES =
        "dfs.datanode.balance.max.concurrent.moves", Kind::Integer(1, 100000),
        "100", Reload, [Datanode],
        "Blocks moved at once by the balancer.";
    DFS_DATANODE_DATA_DIR =
        "dfs.datanode.data.dir", Kind::Folders,
        "file://${hadoop.tmp.dir}/dfs/data", Reload, [Datanode],
        "Folders for blocks, each with an optional [SSD], [DISK], [ARCHIVE], [RAM_DISK] or \
         [NVDIMM].";
    DFS_DATANODE_DATA_DIR_PERM =
        "dfs.datanode.data.dir.perm", Kind::Text, "700", Restart, [Datanode],
        "Mode of the folders for blocks.";
    DFS_DATANODE_DIRECTORYSCAN_INTERVAL =
        "dfs.datanode.directoryscan.interval", Kind::Time(Unit::Seconds, -1, i64::MAX),
        "21600s", Restart, [Datanode],
        "Time between comparisons of memory and disk; -1 turns them off.";
    DFS_DATANODE_DNS_INTERFACE =
        "dfs.datanode.dns.interface", Kind::Text, "default", None, [Datanode],
        "The interface whose address names the datanode.";
    DFS_DATANODE_DROP_CACHE_BEHIND_READS =
        "dfs.datanode.drop.cache.behind.reads", Kind::Boolean, "false", Restart, [Datanode],
        "Whether read data is dropped from the page cache.";
    DFS_DATANODE_DROP_CACHE_BEHIND_WRITES =
        "dfs.datanode.drop.cache.behind.writes", Kind::Boolean, "false", Restart, [Datanode],
        "Whether written data is dropped from the page cache.";
    DFS_DATANODE_DU_RESERVED =
        "dfs.datanode.du.reserved", Kind::Size(0, i64::MAX), "0", Reload, [Datanode],
        "Bytes of each folder's disk left for others.";
    DFS_DATANODE_FAILED_VOLUMES_TOLERATED =
        "dfs.datanode.failed.volumes.tolerated", Kind::Integer(-1, 1000), "0", Restart, [Datanode],
        "Folders that may fail before the datanode stops; -1 means all but one.";
    DFS_DATANODE_FSDATASET_VOLUME_CHOOSING_POLICY =
        "dfs.datanode.fsdataset.volume.choosing.policy", Kind::Text,
        "org.apache.hadoop.hdfs.server.datanode.fsdataset.RoundRobinVolumeChoosingPolicy",
        Restart, [Datanode],
        "How the folder of a new block is chosen.";
    DFS_DATANODE_HANDLER_COUNT =
        "dfs.datanode.handler.count", Kind::Integer(1, 100000), "10", None, [Datanode],
        "Hadoop's number of handler threads.";
    DFS_DATANODE_HOSTNAME =
        "dfs.datanode.hostname", Kind::Text, "", Restart, [Datanode],
        "The name the datanode announces; empty means the host's.";
    DFS_DATANODE_HTTP_ADDRESS =
        "dfs.datanode.http.address", Kind::Address, "0.0.0.0:9864", Restart, [Datanode],
        "The datanode's web address.";
    DFS_DATANODE_HTTPS_ADDRESS =
        "dfs.datanode.https.address", Kind::Address, "0.0.0.0:9865", Restart, [Datanode],
        "The datanode's address for web pages over TLS.";
    DFS_DATANODE_IPC_ADDRESS =
        "dfs.datanode.ipc.address", Kind::Address, "0.0.0.0:9867", Restart, [Datanode],
        "The datanode's RPC address.";
    DFS_DATANODE_KERBEROS_PRINCIPAL =
        "dfs.datanode.kerberos.principal", Kind::Text, "", Restart, [Datanode, Namenode, Client],
        "The datanode's Kerberos name.";
    DFS_DATANODE_KEYTAB_FILE =
        "dfs.datanode.keytab.file", Kind::Path, "", Restart, [Datanode],
        "The datanode's keytab.";
    DFS_DATANODE_MAX_LOCKED_MEMORY =
        "dfs.datanode.max.locked.memory", Kind::Size(0, i64::MAX), "0", Restart, [Datanode],
        "Most bytes of blocks locked in memory.";
    DFS_DATANODE_MAX_TRANSFER_THREADS =
        "dfs.datanode.max.transfer.threads", Kind::Integer(1, 65536), "4096", Reload, [Datanode],
        "Most transfers at once.";
    DFS_DATANODE_MIN_SUPPORTED_NAMENODE_VERSION =
        "dfs.datanode.min.supported.namenode.version", Kind::Text, "2.1.0-beta", None, [Datanode],
        "Oldest namenode the datanode works with.";
    DFS_DATANODE_PLUGINS =
        "dfs.datanode.plugins", Kind::List, "", None, [Datanode],
        "Java plug-ins; none are loaded.";
    DFS_DATANODE_READAHEAD_BYTES =
        "dfs.datanode.readahead.bytes", Kind::Size(0, 1 << 30), "4194304", Restart, [Datanode],
        "Bytes read ahead for a reader.";
    DFS_DATANODE_RESTART_REPLICA_EXPIRATION =
        "dfs.datanode.restart.replica.expiration", Kind::Time(Unit::Seconds, 0, i64::MAX),
        "50", Restart, [Datanode],
        "Replicas being written survive a restart shorter than this.";
    DFS_DATANODE_SCAN_PERIOD_HOURS =
        "dfs.datanode.scan.period.hours", Kind::Integer(-1, 100000), "504", Restart, [Datanode],
        "Hours in which every block is read once; 0 means the default, -1 never.";
    DFS_DATANODE_SOCKET_REUSE_KEEPALIVE =
        "dfs.datanode.socket.reuse.keepalive", Kind::Time(Unit::Millis, 0, i64::MAX),
        "4000", Restart, [Datanode],
        "How long a reader's connection is kept for the next request.";
    DFS_DATANODE_SOCKET_WRITE_TIMEOUT =
        "dfs.datanode.socket.write.timeout", Kind::Time(Unit::Millis, 0, i64::MAX),
        "480000", Restart, [Datanode],
        "A write to a peer fails after this long.";
    DFS_DATANODE_SYNC_BEHIND_WRITES =
        "dfs.datanode.sync.behind.writes", Kind::Boolean, "false", Restart, [Datanode],
        "Whether written data is pushed to the disk at once.";
    DFS_DATANODE_SYNCONCLOSE =
        "dfs.datanode.synconclose", Kind::Boolean, "false", Restart, [Datanode],
        "Whether a block is synced when it is finalised.";
    DFS_DATANODE_TRANSFER_SOCKET_RECV_BUFFER_SIZE =
        "dfs.datanode.transfer.socket.recv.buffer.size", Kind::Integer(0, 1 << 30),
        "0", None, [Datanode],
        "Receive buffer of transfers; 0 leaves it to the kernel.";
    DFS_DATANODE_TRANSFER_SOCKET_SEND_BUFFER_SIZE =
        "dfs.datanode.transfer.socket.send.buffer.size", Kind::Integer(0, 1 << 30),
        "0", None, [Datanode],
        "Send buffer of transfers; 0 leaves it to the kernel.";
    DFS_DATANODE_TRANSFER_TO_ALLOWED =
        "dfs.datanode.transferTo.allowed", Kind::Boolean, "true", Restart, [Datanode],
        "Whether the kernel may copy from file to socket.";
    DFS_DATANODE_USE_DATANODE_HOSTNAME =
        "dfs.datanode.use.datanode.hostname", Kind::Boolean, "false", Restart, [Datanode],
        "Whether datanodes reach each other by name.";
    DFS_DOMAIN_SOCKET_PATH =
        "dfs.domain.socket.path", Kind::Text, "", None, [Client, Datanode],
        "The socket of short-circuit reads.";
    DFS_ENCRYPT_DATA_TRANSFER =
        "dfs.encrypt.data.transfer", Kind::Boolean, "false", Restart, [Namenode, Datanode, Client],
        "Whether block data is encrypted on the wire.";
    DFS_HA_AUTOMATIC_FAILOVER_ENABLED =
        "dfs.ha.automatic-failover.enabled", Kind::Boolean, "false", Restart, [Namenode, Failover],
        "Whether failover happens without an operator.";
    DFS_HA_LOG_ROLL_PERIOD =
        "dfs.ha.log-roll.period", Kind::Time(Unit::Seconds, -1, i64::MAX),
        "120s", Restart, [Namenode],
        "How often a standby asks the active to begin a new segment.";
    DFS_HA_NAMENODE_ID =
        "dfs.ha.namenode.id", Kind::Text, "", Restart, [Namenode, Failover],
        "Which namenode of the name service this one is.";
    DFS_HA_TAIL_EDITS_PERIOD =
        "dfs.ha.tail-edits.period", Kind::Time(Unit::Seconds, 0, i64::MAX),
        "60s", Restart, [Namenode],
        "How often a standby reads new transactions.";
    DFS_HEARTBEAT_INTERVAL =
        "dfs.heartbeat.interval", Kind::Time(Unit::Seconds, 1, 86400),
        "3", Reload, [Namenode, Datanode],
        "Time between heartbeats of a datanode.";
    DFS_HOSTS =
        "dfs.hosts", Kind::Path, "", Reload, [Namenode],
        "A file with the datanodes that may connect; empty means all.";
    DFS_HOSTS_EXCLUDE =
        "dfs.hosts.exclude", Kind::Path, "", Reload, [Namenode],
        "A file with the datanodes to be decommissioned.";
    DFS_HTTP_POLICY =
        "dfs.http.policy", Kind::Choice(&["HTTP_ONLY", "HTTPS_ONLY", "HTTP_AND_HTTPS"]),
        "HTTP_ONLY", Restart, [Namenode, Datanode, Journalnode, Secondary],
        "Which web servers run.";
    DFS_IMAGE_COMPRESS =
        "dfs.image.compress", Kind::Boolean, "false", Restart, [Namenode, Secondary],
        "Whether the image is compressed.";
    DFS_IMAGE_COMPRESSION_CODEC =
        "dfs.image.compression.codec", Kind::Text,
        "org.apache.hadoop.io.compress.DefaultCodec", Restart, [Namenode, Secondary],
        "Codec of a compressed image.";
    DFS_IMAGE_TRANSFER_BANDWIDTH_PER_SEC =
        "dfs.image.transfer.bandwidthPerSec", Kind::Size(0, i64::MAX),
        "52428800", None, [Namenode, Secondary],
        "Limit of image transfers in bytes per second; 0 means none.";
    DFS_IMAGE_TRANSFER_TIMEOUT =
        "dfs.image.transfer.timeout", Kind::Time(Unit::Millis, 1, i64::MAX),
        "60000", Restart, [Namenode, Secondary],
        "An image transfer without progress fails after this long.";
    DFS_INTERNAL_NAMESERVICES =
        "dfs.internal.nameservices", Kind::List, "", Restart, [Datanode],
        "Name services the datanodes report to; empty means all.";
    DFS_JOURNALNODE_EDITS_DIR =
        "dfs.journalnode.edits.dir", Kind::Path,
        "/tmp/hadoop/dfs/journalnode/", Restart, [Journalnode],
        "The folder of the journals.";
    DFS_JOURNALNODE_HTTP_ADDRESS =
        "dfs.journalnode.http-address", Kind::Address, "0.0.0.0:8480", Restart, [Journalnode],
        "The journalnode's web address.";
    DFS_JOURNALNODE_RPC_ADDRESS =
        "dfs.journalnode.rpc-address", Kind::Address, "0.0.0.0:8485", Restart, [Journalnode],
        "The journalnode's RPC address.";
    DFS_LS_LIMIT =
        "dfs.ls.limit", Kind::Integer(1, 1000000), "1000", Reload, [Namenode],
        "Most entries in one answer to a listing.";
    DFS_NAMENODE_ACCESSTIME_PRECISION =
        "dfs.namenode.accesstime.precision", Kind::Time(Unit::Millis, 0, i64::MAX),
        "3600000", Reload, [Namenode],
        "Access times are kept to this precision; 0 turns them off.";
    DFS_NAMENODE_ACLS_ENABLED =
        "dfs.namenode.acls.enabled", Kind::Boolean, "true", Reload, [Namenode],
        "Whether access lists may be set.";
    DFS_NAMENODE_AUDIT_LOG_ASYNC =
        "dfs.namenode.audit.log.async", Kind::Boolean, "false", None, [Namenode],
        "Whether the audit log is written by another thread.";
    DFS_NAMENODE_AUDIT_LOGGERS =
        "dfs.namenode.audit.loggers", Kind::List, "default", None, [Namenode],
        "Classes that get audit events.";
    DFS_NAMENODE_AVOID_READ_STALE_DATANODE =
        "dfs.namenode.avoid.read.stale.datanode", Kind::Boolean, "false", Restart, [Namenode],
        "Whether readers are sent to stale datanodes last.";
    DFS_NAMENODE_AVOID_WRITE_STALE_DATANODE =
        "dfs.namenode.avoid.write.stale.datanode", Kind::Boolean, "false", Restart, [Namenode],
        "Whether stale datanodes get no new blocks.";
    DFS_NAMENODE_BLOCK_PLACEMENT_MIN_BLOCKS_FOR_WRITE =
        "dfs.namenode.block-placement.min-blocks-for.write", Kind::Integer(1, 1000),
        "1", Restart, [Namenode],
        "Room for this many blocks must be left on a datanode that gets a new one.";
    DFS_NAMENODE_BLOCKS_PER_POSTPONEDBLOCKS_RESCAN =
        "dfs.namenode.blocks.per.postponedblocks.rescan", Kind::Integer(1, i64::MAX),
        "10000", None, [Namenode],
        "Postponed blocks looked at in one round.";
    DFS_NAMENODE_CHECKPOINT_CHECK_PERIOD =
        "dfs.namenode.checkpoint.check.period", Kind::Time(Unit::Seconds, 1, i64::MAX),
        "60s", Restart, [Namenode, Secondary],
        "How often the two limits of a checkpoint are looked at.";
    DFS_NAMENODE_CHECKPOINT_CHECK_QUIET_MULTIPLIER =
        "dfs.namenode.checkpoint.check.quiet-multiplier", Kind::Float(0.0, 1000.0),
        "1.5", None, [Namenode],
        "Factor on the checkpoint period within which a standby uploads quietly.";
    DFS_NAMENODE_CHECKPOINT_DIR =
        "dfs.namenode.checkpoint.dir", Kind::Folders,
        "file://${hadoop.tmp.dir}/dfs/namesecondary", Restart, [Secondary],
        "Folders of the secondary namenode's images.";
    DFS_NAMENODE_CHECKPOINT_EDITS_DIR =
        "dfs.namenode.checkpoint.edits.dir", Kind::Folders,
        "${dfs.namenode.checkpoint.dir}", Restart, [Secondary],
        "Folders of the secondary namenode's transactions.";
    DFS_NAMENODE_CHECKPOINT_PERIOD =
        "dfs.namenode.checkpoint.period", Kind::Time(Unit::Seconds, 1, i64::MAX),
        "3600s", Restart, [Namenode, Secondary],
        "Longest time between two images.";
    DFS_NAMENODE_CHECKPOINT_TXNS =
        "dfs.namenode.checkpoint.txns", Kind::Integer(1, i64::MAX),
        "1000000", Restart, [Namenode, Secondary],
        "Transactions after which a new image is made.";
    DFS_NAMENODE_DATANODE_REGISTRATION_IP_HOSTNAME_CHECK =
        "dfs.namenode.datanode.registration.ip-hostname-check", Kind::Boolean,
        "true", Restart, [Namenode],
        "Whether a datanode's address must have a host name.";
    DFS_NAMENODE_DECOMMISSION_INTERVAL =
        "dfs.namenode.decommission.interval", Kind::Time(Unit::Seconds, 1, i64::MAX),
        "30s", Restart, [Namenode],
        "How often draining datanodes are looked at.";
    DFS_NAMENODE_DELEGATION_KEY_UPDATE_INTERVAL =
        "dfs.namenode.delegation.key.update-interval", Kind::Time(Unit::Millis, 1, i64::MAX),
        "86400000", Restart, [Namenode],
        "Time between master keys.";
    DFS_NAMENODE_DELEGATION_TOKEN_MAX_LIFETIME =
        "dfs.namenode.delegation.token.max-lifetime", Kind::Time(Unit::Millis, 1, i64::MAX),
        "604800000", Restart, [Namenode],
        "Longest life of a delegation token.";
    DFS_NAMENODE_DELEGATION_TOKEN_RENEW_INTERVAL =
        "dfs.namenode.delegation.token.renew-interval", Kind::Time(Unit::Millis, 1, i64::MAX),
        "86400000", Restart, [Namenode],
        "A delegation token must be renewed within this time.";
    DFS_NAMENODE_EDIT_LOG_AUTOROLL_CHECK_INTERVAL_MS =
        "dfs.namenode.edit.log.autoroll.check.interval.ms", Kind::Time(Unit::Millis, 1, i64::MAX),
        "300000", Restart, [Namenode],
        "How often the length of the open segment is looked at.";
    DFS_NAMENODE_EDIT_LOG_AUTOROLL_MULTIPLIER_THRESHOLD =
        "dfs.namenode.edit.log.autoroll.multiplier.threshold", Kind::Float(0.0, 1000.0),
        "0.5", Restart, [Namenode],
        "A segment longer than this share of checkpoint.txns is closed by the namenode itself.";
    DFS_NAMENODE_EDITS_DIR =
        "dfs.namenode.edits.dir", Kind::Folders, "${dfs.namenode.name.dir}", Restart, [Namenode],
        "Folders for transactions when they are not with the image.";
    DFS_NAMENODE_EDITS_NOEDITLOGCHANNELFLUSH =
        "dfs.namenode.edits.noeditlogchannelflush", Kind::Boolean, "false", None, [Namenode],
        "Hadoop's switch to skip the sync of transactions; never skipped here.";
    DFS_NAMENODE_ENABLE_RETRYCACHE =
        "dfs.namenode.enable.retrycache", Kind::Boolean, "true", Restart, [Namenode],
        "Whether repeated calls are recognised.";
    DFS_NAMENODE_FS_LIMITS_MAX_BLOCKS_PER_FILE =
        "dfs.namenode.fs-limits.max-blocks-per-file", Kind::Integer(1, 1 << 31),
        "10000", Reload, [Namenode],
        "Most blocks of a file.";
    DFS_NAMENODE_FS_LIMITS_MAX_COMPONENT_LENGTH =
        "dfs.namenode.fs-limits.max-component-length", Kind::Integer(0, 65535),
        "255", Reload, [Namenode],
        "Longest name in bytes; 0 means no limit.";
    DFS_NAMENODE_FS_LIMITS_MAX_DIRECTORY_ITEMS =
        "dfs.namenode.fs-limits.max-directory-items", Kind::Integer(1, 6400000),
        "1048576", Reload, [Namenode],
        "Most entries of a directory.";
    DFS_NAMENODE_FS_LIMITS_MAX_XATTR_SIZE =
        "dfs.namenode.fs-limits.max-xattr-size", Kind::Size(0, 32768), "16384", Reload, [Namenode],
        "Most bytes of an attribute's name and value together.";
    DFS_NAMENODE_FS_LIMITS_MAX_XATTRS_PER_INODE =
        "dfs.namenode.fs-limits.max-xattrs-per-inode", Kind::Integer(0, 10000),
        "32", Reload, [Namenode],
        "Most extended attributes of a file or directory.";
    DFS_NAMENODE_FS_LIMITS_MIN_BLOCK_SIZE =
        "dfs.namenode.fs-limits.min-block-size", Kind::Size(0, 1 << 50),
        "1048576", Reload, [Namenode],
        "Smallest block size of a new file in bytes.";
    DFS_NAMENODE_HANDLER_COUNT =
        "dfs.namenode.handler.count", Kind::Integer(1, 100000), "10", None, [Namenode],
        "Hadoop's number of handler threads; here calls run on the workers.";
    DFS_NAMENODE_HEARTBEAT_RECHECK_INTERVAL =
        "dfs.namenode.heartbeat.recheck-interval", Kind::Time(Unit::Millis, 1, i64::MAX),
        "300000", Reload, [Namenode],
        "Twice this plus ten heartbeats without a word, and a datanode is dead.";
    DFS_NAMENODE_HTTP_ADDRESS =
        "dfs.namenode.http-address", Kind::Address,
        "0.0.0.0:9870", Restart, [Namenode, Datanode, Secondary, Client],
        "The namenode's web address.";
    DFS_NAMENODE_HTTP_BIND_HOST =
        "dfs.namenode.http-bind-host", Kind::Text, "", Restart, [Namenode],
        "The address the web server listens on.";
    DFS_NAMENODE_HTTPS_ADDRESS =
        "dfs.namenode.https-address", Kind::Address,
        "0.0.0.0:9871", Restart, [Namenode, Secondary, Client],
        "The namenode's address for web pages over TLS.";
    DFS_NAMENODE_INVALIDATE_WORK_PCT_PER_ITERATION =
        "dfs.namenode.invalidate.work.pct.per.iteration", Kind::Float(0.0, 1.0),
        "0.32f", Restart, [Namenode],
        "Share of datanodes that get deletions in one round.";
    DFS_NAMENODE_KERBEROS_PRINCIPAL =
        "dfs.namenode.kerberos.principal", Kind::Text,
        "", Restart, [Namenode, Datanode, Secondary, Client],
        "The namenode's Kerberos name.";
    DFS_NAMENODE_KEYTAB_FILE =
        "dfs.namenode.keytab.file", Kind::Path, "", Restart, [Namenode],
        "The namenode's keytab.";
    DFS_NAMENODE_LEASE_HARD_LIMIT_SEC =
        "dfs.namenode.lease-hard-limit-sec", Kind::Time(Unit::Seconds, 60, i64::MAX),
        "1200", Reload, [Namenode],
        "A file whose writer was silent for this long is closed by the namenode.";
    DFS_NAMENODE_LEASE_RECHECK_INTERVAL_MS =
        "dfs.namenode.lease-recheck-interval-ms", Kind::Time(Unit::Millis, 1, i64::MAX),
        "2000", Reload, [Namenode],
        "How often leases are looked at.";
    DFS_NAMENODE_LIFELINE_RPC_ADDRESS =
        "dfs.namenode.lifeline.rpc-address", Kind::Address, "", Restart, [Namenode, Datanode],
        "A separate RPC address for lifeline messages.";
    DFS_NAMENODE_LIST_OPENFILES_NUM_RESPONSES =
        "dfs.namenode.list.openfiles.num.responses", Kind::Integer(1, 100000),
        "1000", Reload, [Namenode],
        "Open files in one answer.";
    DFS_NAMENODE_MAX_LOCK_HOLD_TO_RELEASE_LEASE_MS =
        "dfs.namenode.max-lock-hold-to-release-lease-ms", Kind::Time(Unit::Millis, 1, i64::MAX),
        "25", None, [Namenode],
        "Longest hold of the lock by the lease check.";
    DFS_NAMENODE_MAX_EXTRA_EDITS_SEGMENTS_RETAINED =
        "dfs.namenode.max.extra.edits.segments.retained", Kind::Integer(1, 1 << 30),
        "10000", Restart, [Namenode, Secondary],
        "Most segments kept for the extra transactions.";
    DFS_NAMENODE_MAX_OBJECTS =
        "dfs.namenode.max.objects", Kind::Integer(0, i64::MAX), "0", Restart, [Namenode],
        "Most files, directories and blocks; 0 means no limit.";
    DFS_NAMENODE_MAX_OP_SIZE =
        "dfs.namenode.max.op.size", Kind::Size(1024, 1 << 30), "52428800", Restart, [Namenode],
        "Longest transaction a reader accepts, in bytes.";
    DFS_NAMENODE_NAME_DIR =
        "dfs.namenode.name.dir", Kind::Folders,
        "file://${hadoop.tmp.dir}/dfs/name", Restart, [Namenode],
        "Folders for image and transactions; each holds a full copy.";
    DFS_NAMENODE_NAME_DIR_RESTORE =
        "dfs.namenode.name.dir.restore", Kind::Boolean, "false", None, [Namenode],
        "Whether a folder that failed is tried again at a checkpoint.";
    DFS_NAMENODE_NUM_CHECKPOINTS_RETAINED =
        "dfs.namenode.num.checkpoints.retained", Kind::Integer(1, 1000),
        "2", Restart, [Namenode, Secondary],
        "Images kept.";
    DFS_NAMENODE_NUM_EXTRA_EDITS_RETAINED =
        "dfs.namenode.num.extra.edits.retained", Kind::Integer(0, i64::MAX),
        "1000000", Restart, [Namenode, Secondary],
        "Transactions kept beyond what the kept images need.";
    DFS_NAMENODE_PATH_BASED_CACHE_REFRESH_INTERVAL_MS =
        "dfs.namenode.path.based.cache.refresh.interval.ms", Kind::Time(Unit::Millis, 1, i64::MAX),
        "30000", None, [Namenode],
        "Time between looks at cached paths.";
    DFS_NAMENODE_PLUGINS =
        "dfs.namenode.plugins", Kind::List, "", None, [Namenode],
        "Java plug-ins; none are loaded.";
    DFS_NAMENODE_POSIX_ACL_INHERITANCE_ENABLED =
        "dfs.namenode.posix.acl.inheritance.enabled", Kind::Boolean, "true", Reload, [Namenode],
        "Whether a default access list takes the place of the client's umask.";
    DFS_NAMENODE_RECONSTRUCTION_PENDING_TIMEOUT_SEC =
        "dfs.namenode.reconstruction.pending.timeout-sec", Kind::Time(Unit::Seconds, 1, i64::MAX),
        "300", Reload, [Namenode],
        "An ordered copy that is not reported in this time is ordered again.";
    DFS_NAMENODE_REDUNDANCY_CONSIDER_LOAD =
        "dfs.namenode.redundancy.considerLoad", Kind::Boolean, "true", Restart, [Namenode],
        "Whether placement avoids busy datanodes.";
    DFS_NAMENODE_REDUNDANCY_CONSIDER_LOAD_FACTOR =
        "dfs.namenode.redundancy.considerLoad.factor", Kind::Float(0.1, 1000.0),
        "2.0", Restart, [Namenode],
        "A datanode is busy above this multiple of the mean load.";
    DFS_NAMENODE_REDUNDANCY_INTERVAL_SECONDS =
        "dfs.namenode.redundancy.interval.seconds", Kind::Time(Unit::Seconds, 1, i64::MAX),
        "3s", Reload, [Namenode],
        "How often missing replicas are looked for.";
    DFS_NAMENODE_REPLICATION_MAX_STREAMS =
        "dfs.namenode.replication.max-streams", Kind::Integer(1, 1000000), "2", Reload, [Namenode],
        "Copies a datanode sends at once.";
    DFS_NAMENODE_REPLICATION_MAX_STREAMS_HARD_LIMIT =
        "dfs.namenode.replication.max-streams-hard-limit", Kind::Integer(1, 1000000),
        "4", Reload, [Namenode],
        "Copies a datanode sends at once when a block is about to be lost.";
    DFS_NAMENODE_REPLICATION_MIN =
        "dfs.namenode.replication.min", Kind::Integer(1, 512), "1", Restart, [Namenode],
        "Replicas that must be reported before a block counts as complete.";
    DFS_NAMENODE_REPLICATION_WORK_MULTIPLIER_PER_ITERATION =
        "dfs.namenode.replication.work.multiplier.per.iteration", Kind::Integer(1, 1000000),
        "2", Reload, [Namenode],
        "Blocks copied in one round for each live datanode.";
    DFS_NAMENODE_RESOURCE_CHECK_INTERVAL =
        "dfs.namenode.resource.check.interval", Kind::Time(Unit::Millis, 100, i64::MAX),
        "5000", Restart, [Namenode],
        "How often free space is looked at.";
    DFS_NAMENODE_RESOURCE_CHECKED_VOLUMES =
        "dfs.namenode.resource.checked.volumes", Kind::Folders, "", Restart, [Namenode],
        "More folders whose free space is looked at.";
    DFS_NAMENODE_RESOURCE_CHECKED_VOLUMES_MINIMUM =
        "dfs.namenode.resource.checked.volumes.minimum", Kind::Integer(1, 1000),
        "1", Restart, [Namenode],
        "Redundant folders that must have space left.";
    DFS_NAMENODE_RESOURCE_DU_RESERVED =
        "dfs.namenode.resource.du.reserved", Kind::Size(0, i64::MAX),
        "104857600", Restart, [Namenode],
        "Free bytes below which the namenode goes into safe mode.";
    DFS_NAMENODE_RETRYCACHE_EXPIRYTIME_MILLIS =
        "dfs.namenode.retrycache.expirytime.millis", Kind::Time(Unit::Millis, 1, i64::MAX),
        "600000", Reload, [Namenode],
        "How long a call is remembered.";
    DFS_NAMENODE_RETRYCACHE_HEAP_PERCENT =
        "dfs.namenode.retrycache.heap.percent", Kind::Float(0.0, 100.0), "0.03f", None, [Namenode],
        "Hadoop's memory share of the table of calls.";
    DFS_NAMENODE_RPC_ADDRESS =
        "dfs.namenode.rpc-address", Kind::Address,
        "", Restart, [Namenode, Datanode, Secondary, Failover, Client],
        "Where clients and datanodes reach the namenode; without it the address of fs.defaultFS \
         counts.";
    DFS_NAMENODE_RPC_BIND_HOST =
        "dfs.namenode.rpc-bind-host", Kind::Text, "", Restart, [Namenode],
        "The address the RPC server listens on when it differs from the announced one.";
    DFS_NAMENODE_SAFEMODE_EXTENSION =
        "dfs.namenode.safemode.extension", Kind::Time(Unit::Millis, 0, i64::MAX),
        "30000", Restart, [Namenode],
        "Time in safe mode after the threshold is reached.";
    DFS_NAMENODE_SAFEMODE_MIN_DATANODES =
        "dfs.namenode.safemode.min.datanodes", Kind::Integer(0, 1000000), "0", Restart, [Namenode],
        "Datanodes that must be alive before safe mode ends.";
    DFS_NAMENODE_SAFEMODE_RECHECK_INTERVAL =
        "dfs.namenode.safemode.recheck.interval", Kind::Time(Unit::Millis, 1, i64::MAX),
        "1000", None, [Namenode],
        "Time between looks at the limits of safe mode.";
    DFS_NAMENODE_SAFEMODE_REPLICATION_MIN =
        "dfs.namenode.safemode.replication.min", Kind::Integer(0, 512), "0", Restart, [Namenode],
        "Replicas that make a block count for safe mode; 0 means as dfs.namenode.replication.min.";
    DFS_NAMENODE_SAFEMODE_THRESHOLD_PCT =
        "dfs.namenode.safemode.threshold-pct", Kind::Float(0.0, 1.5), "0.999f", Restart, [Namenode],
        "Share of blocks that must be reported before safe mode ends; above 1 means never by \
         itself.";
    DFS_NAMENODE_SECONDARY_HTTP_ADDRESS =
        "dfs.namenode.secondary.http-address", Kind::Address,
        "0.0.0.0:9868", Restart, [Namenode, Secondary],
        "The secondary namenode's web address.";
    DFS_NAMENODE_SERVICE_HANDLER_COUNT =
        "dfs.namenode.service.handler.count", Kind::Integer(1, 100000), "10", None, [Namenode],
        "Handler threads of the service address.";
    DFS_NAMENODE_SERVICERPC_ADDRESS =
        "dfs.namenode.servicerpc-address", Kind::Address,
        "", Restart, [Namenode, Datanode, Secondary, Failover],
        "A separate RPC address for daemons.";
    DFS_NAMENODE_SERVICERPC_BIND_HOST =
        "dfs.namenode.servicerpc-bind-host", Kind::Text, "", Restart, [Namenode],
        "The address the service RPC server listens on.";
    DFS_NAMENODE_SHARED_EDITS_DIR =
        "dfs.namenode.shared.edits.dir", Kind::Text, "", Restart, [Namenode],
        "Where namenodes of a pair share transactions: qjournal://host:port;.../name.";
    DFS_NAMENODE_SNAPSHOT_MAX_LIMIT =
        "dfs.namenode.snapshot.max.limit", Kind::Integer(0, 65536), "65536", Restart, [Namenode],
        "Most snapshots of one directory.";
    DFS_NAMENODE_SNAPSHOTDIFF_LISTING_LIMIT =
        "dfs.namenode.snapshotdiff.listing.limit", Kind::Integer(1, 1000000),
        "1000", Restart, [Namenode],
        "Entries in one page of a snapshot difference.";
    DFS_NAMENODE_STALE_DATANODE_INTERVAL =
        "dfs.namenode.stale.datanode.interval", Kind::Time(Unit::Millis, 1, i64::MAX),
        "30000", Reload, [Namenode],
        "Time without a heartbeat after which a datanode is stale.";
    DFS_NAMENODE_STARTUP_DELAY_BLOCK_DELETION_SEC =
        "dfs.namenode.startup.delay.block.deletion.sec", Kind::Time(Unit::Seconds, 0, i64::MAX),
        "0", Restart, [Namenode],
        "No block is deleted for this long after a start.";
    DFS_NAMENODE_STATE_CONTEXT_ENABLED =
        "dfs.namenode.state.context.enabled", Kind::Boolean, "false", Restart, [Namenode],
        "Whether answers carry the last transaction for readers of observers.";
    DFS_NAMENODE_SUPPORT_ALLOW_FORMAT =
        "dfs.namenode.support.allow.format", Kind::Boolean, "true", Restart, [Namenode],
        "Whether the namenode's folders may be formatted.";
    DFS_NAMENODE_WRITE_STALE_DATANODE_RATIO =
        "dfs.namenode.write.stale.datanode.ratio", Kind::Float(0.0, 1.0),
        "0.5f", Restart, [Namenode],
        "Above this share of stale datanodes they are used again.";
    DFS_NAMENODE_XATTRS_ENABLED =
        "dfs.namenode.xattrs.enabled", Kind::Boolean, "true", Reload, [Namenode],
        "Whether extended attributes may be set.";
    DFS_NAMESERVICE_ID =
        "dfs.nameservice.id", Kind::Text, "", Restart, [Namenode, Secondary],
        "The name service this namenode belongs to.";
    DFS_NAMESERVICES =
        "dfs.nameservices", Kind::List,
        "", Restart, [Namenode, Datanode, Journalnode, Failover, Client],
        "Names of the name services of the cluster.";
    DFS_PERMISSIONS_ENABLED =
        "dfs.permissions.enabled", Kind::Boolean, "true", Reload, [Namenode],
        "Whether permissions are checked.";
    DFS_PERMISSIONS_SUPERUSERGROUP =
        "dfs.permissions.superusergroup", Kind::Text, "supergroup", Restart, [Namenode, Datanode],
        "The group whose members may do everything.";
    DFS_REPLICATION =
        "dfs.replication", Kind::Integer(1, 512), "3", Reload, [Namenode, Client],
        "Replicas of a file when its writer names no number.";
    DFS_REPLICATION_MAX =
        "dfs.replication.max", Kind::Integer(1, 32767), "512", Reload, [Namenode],
        "Most replicas a file may ask for.";
    DFS_STORAGE_POLICY_ENABLED =
        "dfs.storage.policy.enabled", Kind::Boolean, "true", Restart, [Namenode],
        "Whether storage policies may be set.";
    DFS_WEBHDFS_ENABLED =
        "dfs.webhdfs.enabled", Kind::Boolean, "true", None, [Namenode, Datanode],
        "Whether WebHDFS is served; Hadoop 3 always serves it.";
    FS_DEFAULT_FS =
        "fs.defaultFS", Kind::Uri,
        "file:///", Restart, [Namenode, Datanode, Secondary, Failover, Client],
        "The file system of paths without a scheme. Its host and port are the namenode's RPC \
         address where that has no key of its own.";
    FS_PERMISSIONS_UMASK_MODE =
        "fs.permissions.umask-mode", Kind::Text, "022", None, [Client],
        "Mode bits removed from what clients create.";
    FS_TRASH_CHECKPOINT_INTERVAL =
        "fs.trash.checkpoint.interval", Kind::Time(Unit::Minutes, 0, i64::MAX),
        "0", Restart, [Namenode, Client],
        "Minutes between trash checkpoints; 0 means as fs.trash.interval.";
    FS_TRASH_INTERVAL =
        "fs.trash.interval", Kind::Time(Unit::Minutes, 0, i64::MAX),
        "0", Reload, [Namenode, Client],
        "Minutes after which trash is deleted; 0 turns trash off.";
    HA_ZOOKEEPER_QUORUM =
        "ha.zookeeper.quorum", Kind::List, "", None, [Failover],
        "ZooKeeper servers of Hadoop's failover controller; not used here.";
    HADOOP_CALLER_CONTEXT_ENABLED =
        "hadoop.caller.context.enabled", Kind::Boolean, "false", Restart, [Namenode],
        "Whether the caller's context is written to the audit log.";
    HADOOP_HTTP_AUTHENTICATION_TYPE =
        "hadoop.http.authentication.type", Kind::Text,
        "simple", Restart, [Namenode, Datanode, Journalnode, Secondary],
        "Authentication of the web pages.";
    HADOOP_HTTP_STATICUSER_USER =
        "hadoop.http.staticuser.user", Kind::Text, "dr.who", Restart, [Namenode, Datanode],
        "The user behind web requests that name none.";
    HADOOP_PROMETHEUS_ENDPOINT_ENABLED =
        "hadoop.prometheus.endpoint.enabled", Kind::Boolean, "false", None, [Namenode, Datanode],
        "Hadoop's switch for /prom; here the page is always there.";
    HADOOP_RPC_PROTECTION =
        "hadoop.rpc.protection", Kind::List,
        "authentication", Restart, [Namenode, Datanode, Journalnode, Secondary, Failover, Client],
        "Protection of RPC when SASL is used: authentication, integrity, privacy.";
    HADOOP_SECURITY_AUTH_TO_LOCAL =
        "hadoop.security.auth_to_local", Kind::Text,
        "", Restart, [Namenode, Datanode, Journalnode, Secondary, Client],
        "Rules from Kerberos principals to user names.";
    HADOOP_SECURITY_AUTHENTICATION =
        "hadoop.security.authentication", Kind::Choice(&["simple", "kerberos"]),
        "simple", Restart, [Namenode, Datanode, Journalnode, Secondary, Failover, Client],
        "How users prove who they are.";
    HADOOP_SECURITY_AUTHORIZATION =
        "hadoop.security.authorization", Kind::Boolean,
        "false", Restart, [Namenode, Datanode, Journalnode, Secondary, Failover],
        "Whether service-level access lists are checked.";
    HADOOP_SECURITY_GROUP_MAPPING =
        "hadoop.security.group.mapping", Kind::Text,
        "org.apache.hadoop.security.JniBasedUnixGroupsMappingWithFallback", Restart, [Namenode],
        "Where groups come from. Any class that asks the operating system is answered by the \
         operating system.";
    HADOOP_SECURITY_GROUPS_CACHE_SECS =
        "hadoop.security.groups.cache.secs", Kind::Time(Unit::Seconds, 0, i64::MAX),
        "300", Restart, [Namenode],
        "How long the groups of a user are remembered.";
    HADOOP_SECURITY_GROUPS_NEGATIVE_CACHE_SECS =
        "hadoop.security.groups.negative-cache.secs", Kind::Time(Unit::Seconds, 0, i64::MAX),
        "30", Restart, [Namenode],
        "How long it is remembered that a user has no groups.";
    HADOOP_TMP_DIR =
        "hadoop.tmp.dir", Kind::Path,
        "/tmp/hadoop-${user.name}", Restart, [Namenode, Datanode, Journalnode, Secondary, Client],
        "Base of folders that have no key of their own.";
    HADOOP_USER_GROUP_STATIC_MAPPING_OVERRIDES =
        "hadoop.user.group.static.mapping.overrides", Kind::Text, "dr.who=;", Restart, [Namenode],
        "Groups given here instead of asked: user=group,group;user=...";
    HOWDAH_LOG_LEVEL =
        "howdah.log.level", Kind::LogLevel, "", Reload, [Namenode, Datanode, Secondary],
        "Log level (off, error, warn, info, debug, trace), or target=level, or several separated \
         by commas; empty means as RUST_LOG says. Not one of Hadoop's keys.";
    HOWDAH_RPC_TRACE =
        "howdah.rpc.trace", Kind::List, "off", Reload, [Namenode, Datanode],
        "RPC methods whose calls are logged, one line each, at level info and with the target \
         rpc_trace; * means all, off none. Not one of Hadoop's keys.";
    HOWDAH_RPC_TRACE_RATE =
        "howdah.rpc.trace.rate", Kind::Integer(1, 1_000_000), "100", Reload, [Namenode, Datanode],
        "Most lines of howdah.rpc.trace in a second; the rest is counted and told.";
    IO_COMPRESSION_CODECS =
        "io.compression.codecs", Kind::List, "", None, [Client],
        "Compression classes of clients.";
    IO_FILE_BUFFER_SIZE =
        "io.file.buffer.size", Kind::Integer(1, 1 << 30),
        "4096", Reload, [Namenode, Client],
        "Buffer of file streams in bytes.";
    IO_SERIALIZATIONS =
        "io.serializations", Kind::List, "", None, [Client],
        "Serialisation classes of clients.";
    IPC_CLIENT_CONNECT_MAX_RETRIES =
        "ipc.client.connect.max.retries", Kind::Integer(0, 100000), "10", None, [Datanode, Client],
        "Attempts to connect to a server before giving up.";
    IPC_CLIENT_CONNECT_TIMEOUT =
        "ipc.client.connect.timeout", Kind::Time(Unit::Millis, 1, i64::MAX),
        "20000", Restart, [Datanode, Client],
        "Longest wait for a connection to a server.";
    IPC_CLIENT_CONNECTION_MAXIDLETIME =
        "ipc.client.connection.maxidletime", Kind::Time(Unit::Millis, 0, i64::MAX),
        "10000", None, [Datanode, Client],
        "A client closes a connection that was idle for this long.";
    IPC_CLIENT_PING =
        "ipc.client.ping", Kind::Boolean, "true", None, [Client],
        "Whether clients ping while they wait.";
    IPC_CLIENT_RPC_TIMEOUT_MS =
        "ipc.client.rpc-timeout.ms", Kind::Time(Unit::Millis, 0, i64::MAX),
        "120000", Restart, [Datanode, Client],
        "A call without an answer fails after this long; 0 means never.";
    IPC_MAXIMUM_DATA_LENGTH =
        "ipc.maximum.data.length", Kind::Size(1024, 1 << 30),
        "134217728", Restart, [Namenode, Datanode, Journalnode],
        "Longest RPC request in bytes.";
    IPC_MAXIMUM_RESPONSE_LENGTH =
        "ipc.maximum.response.length", Kind::Size(1024, 1 << 31), "134217728", None, [Client],
        "Longest RPC response a client accepts, in bytes.";
    IPC_PING_INTERVAL =
        "ipc.ping.interval", Kind::Time(Unit::Millis, 1, i64::MAX), "60000", None, [Client],
        "Time between pings of a waiting client.";
    IPC_SERVER_HANDLER_QUEUE_SIZE =
        "ipc.server.handler.queue.size", Kind::Integer(1, 1000000),
        "100", None, [Namenode, Datanode],
        "Calls that may wait for each handler; here the limit is per connection.";
    IPC_SERVER_LISTEN_QUEUE_SIZE =
        "ipc.server.listen.queue.size", Kind::Integer(1, 65535),
        "256", Restart, [Namenode, Datanode, Journalnode],
        "Connections the kernel may hold before they are accepted.";
    IPC_SERVER_MAX_CONNECTIONS =
        "ipc.server.max.connections", Kind::Integer(0, 1000000),
        "0", Restart, [Namenode, Datanode, Journalnode],
        "Most RPC connections at once; 0 means a limit from the process's open files.";
    IPC_SERVER_TCPNODELAY =
        "ipc.server.tcpnodelay", Kind::Boolean, "true", None, [Namenode, Datanode],
        "Whether small responses are sent at once.";
    NET_TOPOLOGY_NODE_SWITCH_MAPPING_IMPL =
        "net.topology.node.switch.mapping.impl", Kind::Text,
        "org.apache.hadoop.net.ScriptBasedMapping", Restart, [Namenode],
        "How racks are found: by script or by table.";
    NET_TOPOLOGY_SCRIPT_FILE_NAME =
        "net.topology.script.file.name", Kind::Path, "", Restart, [Namenode],
        "A program that prints the rack of each address it is given.";
    NET_TOPOLOGY_SCRIPT_NUMBER_ARGS =
        "net.topology.script.number.args", Kind::Integer(1, 100000), "100", Restart, [Namenode],
        "Most addresses for one run of the rack program.";
    NET_TOPOLOGY_TABLE_FILE_NAME =
        "net.topology.table.file.name", Kind::Path, "", Restart, [Namenode],
        "A file with a host and its rack on each line.";
}
