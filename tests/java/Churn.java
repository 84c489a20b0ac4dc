// Makes a small, varied tree through Java's own client, so that every edit op that an ordinary
// client causes appears in the log: create, blocks, append, rename, times, owner, delete.

import java.util.EnumSet;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.hdfs.DistributedFileSystem;

final class Churn {
  private Churn() {}

  static int run(Configuration conf, String[] args) throws Exception {
    DistributedFileSystem fs = (DistributedFileSystem) FileSystem.get(conf);
    Path root = new Path(args[0]);
    short replication = Short.parseShort(args[1]);
    fs.mkdirs(new Path(root, "a/b/c"));
    for (int i = 0; i < 20; i++) {
      write(fs, new Path(root, "a/f" + i), i * 1000, replication);
    }
    Path appended = new Path(root, "a/f3");
    try (FSDataOutputStream out = fs.append(appended)) {
      out.write(new byte[777]);
    }
    fs.rename(new Path(root, "a/f4"), new Path(root, "a/b/moved"));
    rename2(fs, new Path(root, "a/f5"), new Path(root, "a/f6"));
    fs.delete(new Path(root, "a/f7"), false);
    fs.setPermission(new Path(root, "a/f8"), new FsPermission((short) 0640));
    fs.setOwner(new Path(root, "a/f9"), "alice", "staff");
    fs.setTimes(new Path(root, "a/f10"), 1234567890123L, 1234567890456L);
    fs.setReplication(new Path(root, "a/f11"), (short) (replication + 1));
    write(fs, new Path(root, "a/f12"), 50, replication);
    fs.mkdirs(new Path(root, "\u00e9l\u00e9phant \ud83d\udc18"), new FsPermission((short) 01777));
    fs.close();
    return 0;
  }

  @SuppressWarnings("deprecation")
  private static void rename2(DistributedFileSystem fs, Path from, Path to) throws Exception {
    fs.rename(from, to, org.apache.hadoop.fs.Options.Rename.OVERWRITE);
  }

  private static void write(DistributedFileSystem fs, Path path, int length, short replication)
      throws Exception {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) (i * 31 + length);
    }
    try (FSDataOutputStream out =
        fs.create(path, FsPermission.getFileDefault(),
            EnumSet.of(CreateFlag.CREATE, CreateFlag.OVERWRITE), 4096, replication,
            1 << 20, null)) {
      out.write(bytes);
    }
  }
}
