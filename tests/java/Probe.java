// Asks a NameNode every edge case of the fact sheet over the raw client protocol and prints one
// line a case: "<name>\t<answer>". An exception prints as "<class>: <first line of the wire text>".
// The same program makes the golden file from Java's NameNode and judges ours.

import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.security.PrivilegedExceptionAction;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.crypto.CryptoProtocolVersion;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.StorageType;
import org.apache.hadoop.fs.XAttr;
import org.apache.hadoop.fs.XAttrSetFlag;
import org.apache.hadoop.fs.permission.AclEntry;
import org.apache.hadoop.fs.permission.FsAction;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.hdfs.DistributedFileSystem;
import org.apache.hadoop.hdfs.NameNodeProxiesClient;
import org.apache.hadoop.hdfs.protocol.ClientProtocol;
import org.apache.hadoop.hdfs.protocol.DirectoryListing;
import org.apache.hadoop.hdfs.protocol.HdfsConstants;
import org.apache.hadoop.hdfs.protocol.HdfsFileStatus;
import org.apache.hadoop.hdfs.protocol.LocatedBlocks;
import org.apache.hadoop.io.EnumSetWritable;
import org.apache.hadoop.ipc.RemoteException;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.hadoop.security.token.Token;

final class Probe {
  private interface Call {
    Object run() throws Exception;
  }

  private static final long BLOCK = 1 << 20;
  private static final String WHO = System.getProperty("user.name");
  private static final FsPermission DIR = new FsPermission((short) 0755);
  private static final FsPermission FILE = new FsPermission((short) 0644);

  private final Configuration conf;
  private final DistributedFileSystem fs;
  private final ClientProtocol nn;
  private PrintStream out;

  Probe(Configuration conf) throws Exception {
    this.conf = conf;
    this.fs = (DistributedFileSystem) FileSystem.get(conf);
    this.nn = connect();
  }

  private ClientProtocol connect() throws Exception {
    URI uri = FileSystem.getDefaultUri(conf);
    return NameNodeProxiesClient.createProxyWithClientProtocol(conf, uri, null).getProxy();
  }

  int run(PrintStream to) throws Exception {
    out = to;
    setUp();
    lookups();
    mkdirs();
    creates();
    leases();
    attributes();
    deletes();
    renames();
    renames2();
    concats();
    quotas();
    aclsAndXattrs();
    various();
    safeMode();
    bob();
    snapshots();
    return 0;
  }

  private void row(String name, Call call) {
    String answer;
    try {
      answer = show(call.run());
    } catch (RemoteException problem) {
      answer = problem.getClassName() + ": " + first(problem.getMessage());
    } catch (Throwable problem) {
      answer = "local " + problem.getClass().getName() + ": " + first(problem.getMessage());
    }
    answer = answer.replace(":" + WHO + ":", ":USER:").replace("user=" + WHO, "user=USER");
    out.println(name + "\t" + answer);
  }

  // A void call: its success reads "ok".
  private interface Deed {
    void run() throws Exception;
  }

  private void deed(String name, Deed deed) {
    row(name, () -> {
      deed.run();
      return "ok";
    });
  }

  private static String first(String text) {
    return text == null ? "null" : text.split("\n", 2)[0];
  }

  private String show(Object value) {
    if (value == null) {
      return "null";
    }
    if (value instanceof HdfsFileStatus) {
      HdfsFileStatus s = (HdfsFileStatus) value;
      return (s.isDirectory() ? "dir" : "file") + " len=" + s.getLen() + " rep="
          + s.getReplication() + " block=" + s.getBlockSize() + " mode=" + s.getPermission()
          + " owner=" + (s.getOwner().equals(WHO) ? "USER" : s.getOwner()) + " group="
          + s.getGroup() + " path='" + new String(s.getLocalNameInBytes()) + "' children="
          + s.getChildrenNum() + " policy=" + s.getStoragePolicy() + " acl="
          + s.hasAcl() + " snap=" + s.isSnapshotEnabled();
    }
    if (value instanceof DirectoryListing) {
      DirectoryListing listing = (DirectoryListing) value;
      StringBuilder text = new StringBuilder();
      text.append(listing.getPartialListing().length).append(" left ");
      text.append(listing.getRemainingEntries());
      for (HdfsFileStatus status : listing.getPartialListing()) {
        text.append(" '").append(new String(status.getLocalNameInBytes())).append("'");
      }
      return text.toString();
    }
    if (value instanceof LocatedBlocks) {
      LocatedBlocks blocks = (LocatedBlocks) value;
      return "length " + blocks.getFileLength() + " blocks " + blocks.locatedBlockCount()
          + " open " + blocks.isUnderConstruction() + " complete "
          + blocks.isLastBlockComplete();
    }
    return value.toString();
  }

  private HdfsFileStatus create(String path, String client, CreateFlag... flags)
      throws Exception {
    return create(nn, path, client, true, (short) 1, BLOCK, flags);
  }

  private static HdfsFileStatus create(ClientProtocol nn, String path, String client,
      boolean parents, short replication, long block, CreateFlag... flags) throws Exception {
    EnumSet<CreateFlag> set = EnumSet.noneOf(CreateFlag.class);
    set.addAll(Arrays.asList(flags));
    return nn.create(path, FILE, client, new EnumSetWritable<>(set, CreateFlag.class), parents,
        replication, block, CryptoProtocolVersion.supported(), null, null);
  }

  private Object append(String path, String client) throws Exception {
    return nn.append(path, client,
        new EnumSetWritable<>(EnumSet.of(CreateFlag.APPEND), CreateFlag.class));
  }

  private void write(String path, int length) throws Exception {
    try (OutputStream stream = fs.create(new Path(path), true, 4096, (short) 1, BLOCK)) {
      stream.write(new byte[length]);
    }
  }

  private static String repeat(String text, int times) {
    return String.join("", Collections.nCopies(times, text));
  }

  private void setUp() throws Exception {
    fs.delete(new Path("/pr"), true);
    fs.mkdirs(new Path("/pr/d1"));
    fs.mkdirs(new Path("/pr/d2"));
    write("/pr/f", 5000);
    write("/pr/g", 5000);
    write("/pr/d1/h", 5000);
    write("/pr/empty", 0);
    write("/pr/empty2", 0);
  }

  private void lookups() {
    row("getFileInfo missing", () -> nn.getFileInfo("/nope"));
    row("getFileInfo file", () -> nn.getFileInfo("/pr/f"));
    row("getFileInfo dir", () -> nn.getFileInfo("/pr/d1"));
    row("getFileInfo under file", () -> nn.getFileInfo("/pr/f/x"));
    row("getFileInfo relative", () -> nn.getFileInfo("pr"));
    row("getFileInfo '//'", () -> nn.getFileInfo("//pr") != null);
    row("getFileInfo trailing /", () -> nn.getFileInfo("/pr/"));
    row("getFileInfo dot", () -> nn.getFileInfo("/pr/."));
    row("getFileInfo empty", () -> nn.getFileInfo(""));
    row("getFileLinkInfo file", () -> nn.getFileLinkInfo("/pr/f"));
    row("getListing missing", () -> nn.getListing("/nope", new byte[0], false));
    row("getListing dir", () -> nn.getListing("/pr", new byte[0], false));
    row("getListing after", () -> nn.getListing("/pr", "empty".getBytes(), false));
    row("getListing file", () -> nn.getListing("/pr/f", new byte[0], false));
    row("getListing located", () -> nn.getListing("/pr", new byte[0], true));
    row("getListing under file", () -> nn.getListing("/pr/f/x", new byte[0], false));
    row("getBlockLocations missing", () -> nn.getBlockLocations("/nope", 0, 1));
    row("getBlockLocations dir", () -> nn.getBlockLocations("/pr", 0, 1));
    row("getBlockLocations file", () -> nn.getBlockLocations("/pr/f", 0, 10));
    row("getBlockLocations past end", () -> nn.getBlockLocations("/pr/f", 9999, 10));
    row("getBlockLocations negative", () -> nn.getBlockLocations("/pr/f", -1, 10));
    row("getBlockLocations empty file", () -> nn.getBlockLocations("/pr/empty", 0, 1));
    row("getPreferredBlockSize", () -> nn.getPreferredBlockSize("/pr/f"));
    row("getContentSummary", () -> nn.getContentSummary("/pr").toString(false).trim());
    row("getServerDefaults", () -> nn.getServerDefaults().getBlockSize());
  }

  private void mkdirs() {
    row("mkdirs existing", () -> nn.mkdirs("/pr/d1", DIR, true));
    row("mkdirs over file", () -> nn.mkdirs("/pr/f", DIR, true));
    row("mkdirs under file", () -> nn.mkdirs("/pr/f/x", DIR, true));
    row("mkdirs noparent", () -> nn.mkdirs("/pr/no/x", DIR, false));
    row("mkdirs colon", () -> nn.mkdirs("/pr/a:b", DIR, true));
    row("mkdirs ..", () -> nn.mkdirs("/pr/../x", DIR, true));
    row("mkdirs .snapshot", () -> nn.mkdirs("/pr/.snapshot", DIR, true));
    row("mkdirs longname", () -> nn.mkdirs("/pr/" + repeat("x", 256), DIR, true));
    row("mkdirs root", () -> nn.mkdirs("/", DIR, true));
    row("mkdirs .reserved", () -> nn.mkdirs("/.reserved", DIR, true));
    row("mkdirs deep", () -> nn.mkdirs("/pr" + repeat("/a", 1001), DIR, true));
    row("mkdirs longpath", () -> nn.mkdirs("/pr" + repeat("/" + repeat("y", 200), 45), DIR, true));
  }

  private void creates() {
    CreateFlag c = CreateFlag.CREATE;
    CreateFlag o = CreateFlag.OVERWRITE;
    row("create over dir", () -> create("/pr/d1", "cl", c));
    row("create over dir overwrite", () -> create("/pr/d1", "cl", c, o));
    row("create exists no overwrite", () -> create("/pr/f", "cl", c));
    row("create noparent",
        () -> create(nn, "/pr/no/x", "cl", false, (short) 1, BLOCK, c));
    row("create under file", () -> create("/pr/f/x", "cl", c));
    row("create rep 0", () -> create(nn, "/pr/n1", "cl", true, (short) 0, BLOCK, c));
    row("create rep 600", () -> create(nn, "/pr/n1", "cl", true, (short) 600, BLOCK, c));
    row("create small block", () -> create(nn, "/pr/n1", "cl", true, (short) 1, 512, c));
    row("create no CREATE flag", () -> create("/pr/n2", "cl", o));
    row("create bad name", () -> create("/pr/a//b", "cl", c));
  }

  private void leases() {
    CreateFlag c = CreateFlag.CREATE;
    row("create open1", () -> create("/pr/open", "cl", c));
    row("create open again same holder", () -> create("/pr/open", "cl", c));
    row("create open other holder", () -> create("/pr/open", "cl2", c));
    row("append open same holder", () -> append("/pr/open", "cl"));
    row("append open other", () -> append("/pr/open", "cl2"));
    row("isFileClosed open", () -> nn.isFileClosed("/pr/open"));
    row("create overwrite open by other",
        () -> create("/pr/open", "cl2", c, CreateFlag.OVERWRITE));
    row("addBlock lost lease",
        () -> nn.addBlock("/pr/open", "cl", null, null, 0, null, null));
    row("complete lost lease", () -> nn.complete("/pr/open", "cl", null, 0));
    row("addBlock missing file",
        () -> nn.addBlock("/pr/zz", "cl", null, null, 0, null, null));
    row("addBlock closed file",
        () -> nn.addBlock("/pr/f", "cl", null, null, 0, null, null));
    row("complete closed file", () -> nn.complete("/pr/f", "cl", null, 0));
    row("complete missing file", () -> nn.complete("/pr/zz", "cl", null, 0));
    deed("fsync missing file", () -> nn.fsync("/pr/zz", 0, "cl", 0));
    row("complete by holder empty", () -> nn.complete("/pr/open", "cl2", null, 0));
    row("complete again", () -> nn.complete("/pr/open", "cl2", null, 0));
    row("append missing", () -> append("/nope", "cl"));
    row("append dir", () -> append("/pr", "cl"));
    row("recoverLease missing", () -> nn.recoverLease("/nope", "cl"));
    row("recoverLease closed", () -> nn.recoverLease("/pr/f", "cl"));
    row("isFileClosed", () -> nn.isFileClosed("/pr/f"));
    row("isFileClosed missing", () -> nn.isFileClosed("/nope"));
    row("isFileClosed dir", () -> nn.isFileClosed("/pr"));
    deed("renewLease unknown", () -> nn.renewLease("nobody", null));
  }

  private void attributes() {
    row("setReplication dir", () -> nn.setReplication("/pr/d1", (short) 2));
    row("setReplication missing", () -> nn.setReplication("/nope", (short) 2));
    row("setReplication 0", () -> nn.setReplication("/pr/f", (short) 0));
    row("setReplication 600", () -> nn.setReplication("/pr/f", (short) 600));
    row("setReplication same", () -> nn.setReplication("/pr/f", (short) 1));
    deed("setTimes missing", () -> nn.setTimes("/nope", 1, 1));
    deed("setTimes dir", () -> nn.setTimes("/pr/d2", 1, 1));
    deed("setPermission missing", () -> nn.setPermission("/nope", FILE));
    deed("setPermission file", () -> nn.setPermission("/pr/g", FILE));
    deed("setOwner missing", () -> nn.setOwner("/nope", "a", "b"));
    row("getContentSummary missing", () -> nn.getContentSummary("/nope"));
    deed("checkAccess", () -> nn.checkAccess("/pr/f", FsAction.READ));
    deed("checkAccess missing", () -> nn.checkAccess("/nope", FsAction.READ));
  }

  private void deletes() throws Exception {
    row("delete missing", () -> nn.delete("/nope", true));
    row("delete nonempty", () -> nn.delete("/pr", false));
    row("delete root", () -> nn.delete("/", true));
    row("delete under file", () -> nn.delete("/pr/f/x", true));
    nn.mkdirs("/pr/ed", DIR, true);
    row("delete empty dir nonrec", () -> nn.delete("/pr/ed", false));
  }

  @SuppressWarnings("deprecation")
  private void renames() throws Exception {
    row("rename missing", () -> nn.rename("/nope", "/pr/x"));
    row("rename to existing file", () -> nn.rename("/pr/f", "/pr/g"));
    row("rename self", () -> nn.rename("/pr/f", "/pr/f"));
    row("rename dir self", () -> nn.rename("/pr/d1", "/pr/d1"));
    row("rename into own child", () -> nn.rename("/pr/d1", "/pr/d1/x"));
    row("rename missing parent", () -> nn.rename("/pr/f", "/pr/none/x"));
    row("rename parent is file", () -> nn.rename("/pr/f", "/pr/g/x"));
    row("rename root", () -> nn.rename("/", "/pr/x"));
    row("rename to root", () -> nn.rename("/pr/f", "/"));
    row("rename back", () -> nn.rename("/f", "/pr/f"));
    row("rename into dir", () -> nn.rename("/pr/f", "/pr/d1"));
    row("rename back2", () -> nn.rename("/pr/d1/f", "/pr/f"));
  }

  private void rename2(String name, String from, String to, Options.Rename... how) {
    deed(name, () -> nn.rename2(from, to, how));
  }

  private void renames2() {
    Options.Rename ow = Options.Rename.OVERWRITE;
    rename2("rename2 missing", "/nope", "/pr/x");
    rename2("rename2 exists", "/pr/f", "/pr/g");
    rename2("rename2 self", "/pr/f", "/pr/f");
    rename2("rename2 file over dir ow", "/pr/f", "/pr/d1", ow);
    rename2("rename2 dir over file ow", "/pr/d1", "/pr/f", ow);
    rename2("rename2 missing parent", "/pr/f", "/pr/none/x");
    rename2("rename2 parent file", "/pr/f", "/pr/g/x");
    rename2("rename2 under self", "/pr/d1", "/pr/d1/x");
    rename2("rename2 dir over nonempty ow", "/pr/d2", "/pr/d1", ow);
    rename2("rename2 to root", "/pr/f", "/");
    rename2("rename2 of root", "/", "/pr/x");
    rename2("rename2 file over file ow", "/pr/empty", "/pr/empty3");
    rename2("rename2 back", "/pr/empty3", "/pr/empty", ow);
  }

  private void concats() {
    deed("concat empty srcs target empty",
        () -> nn.concat("/pr/empty", new String[] {"/pr/g"}));
    deed("concat src empty", () -> nn.concat("/pr/f", new String[] {"/pr/empty2"}));
    deed("concat otherdir", () -> nn.concat("/pr/f", new String[] {"/pr/d1/h"}));
    deed("concat self", () -> nn.concat("/pr/f", new String[] {"/pr/f"}));
    deed("concat none", () -> nn.concat("/pr/f", new String[] {}));
    deed("concat missing", () -> nn.concat("/pr/f", new String[] {"/pr/none"}));
    row("truncate larger", () -> nn.truncate("/pr/f", 99999, "cl"));
    row("truncate same", () -> nn.truncate("/pr/f", 5000, "cl"));
    row("truncate missing", () -> nn.truncate("/nope", 0, "cl"));
    row("truncate neg", () -> nn.truncate("/pr/f", -1, "cl"));
    row("truncate dir", () -> nn.truncate("/pr", 0, "cl"));
  }

  private void quotas() throws Exception {
    long max = HdfsConstants.QUOTA_DONT_SET;
    long reset = HdfsConstants.QUOTA_RESET;
    row("getQuotaUsage", () -> nn.getQuotaUsage("/pr").toString().trim());
    deed("setQuota missing", () -> nn.setQuota("/nope", 5, max, null));
    deed("setQuota file", () -> nn.setQuota("/pr/f", 5, max, null));
    deed("setQuota ns=0 ds clear", () -> nn.setQuota("/pr/d1", 1, reset, null));
    deed("setQuota clear root", () -> nn.setQuota("/", reset, max, null));
    row("mkdirs over namespace quota", () -> nn.mkdirs("/pr/d1/q", DIR, true));
    deed("setQuota space", () -> nn.setQuota("/pr/d1", reset, 100, null));
    create("/pr/d1/sq", "cl", CreateFlag.CREATE);
    row("addBlock over space quota",
        () -> nn.addBlock("/pr/d1/sq", "cl", null, null, 0, null, null));
    nn.delete("/pr/d1/sq", false);
    deed("setQuota cleared", () -> nn.setQuota("/pr/d1", reset, reset, null));
  }

  private void aclsAndXattrs() {
    row("getAclStatus", () -> nn.getAclStatus("/pr/f").getEntries());
    row("getAclStatus missing", () -> nn.getAclStatus("/nope"));
    deed("setAcl bad", () -> nn.setAcl("/pr/f", AclEntry.parseAclSpec("user:bob:r--", true)));
    deed("setAcl default on file", () -> nn.setAcl("/pr/f", AclEntry.parseAclSpec(
        "user::rw-,group::r--,other::r--,default:user::rwx", true)));
    deed("setAcl", () -> nn.setAcl("/pr/f", AclEntry.parseAclSpec(
        "user::rw-,group::r--,other::r--,user:bob:r-x", true)));
    row("getAclStatus set", () -> nn.getAclStatus("/pr/f").getEntries());
    deed("modifyAclEntries", () -> nn.modifyAclEntries("/pr/f",
        AclEntry.parseAclSpec("group:staff:rwx", true)));
    row("getAclStatus modified", () -> nn.getAclStatus("/pr/f").getEntries());
    deed("removeAcl", () -> nn.removeAcl("/pr/f"));
    row("getFileInfo after acl", () -> nn.getFileInfo("/pr/f"));
    List<XAttr> n = Collections.singletonList(xattr("n", null));
    EnumSet<XAttrSetFlag> create = EnumSet.of(XAttrSetFlag.CREATE);
    EnumSet<XAttrSetFlag> replace = EnumSet.of(XAttrSetFlag.REPLACE);
    row("getXAttrs missing name", () -> nn.getXAttrs("/pr/f", n));
    deed("removeXAttr missing", () -> nn.removeXAttr("/pr/f", xattr("n", null)));
    deed("setXAttr replace missing",
        () -> nn.setXAttr("/pr/f", xattr("n", new byte[1]), replace));
    deed("setXAttr", () -> nn.setXAttr("/pr/f", xattr("n", new byte[1]), create));
    deed("setXAttr create exists",
        () -> nn.setXAttr("/pr/f", xattr("n", new byte[1]), create));
    deed("setXAttr big", () -> nn.setXAttr("/pr/f", xattr("m", new byte[20000]), create));
    deed("setXAttr system", () -> nn.setXAttr("/pr/f",
        new XAttr.Builder().setNameSpace(XAttr.NameSpace.SYSTEM).setName("b").build(), create));
    row("listXAttrs", () -> nn.listXAttrs("/pr/f").size());
  }

  private static XAttr xattr(String name, byte[] value) {
    return new XAttr.Builder().setNameSpace(XAttr.NameSpace.USER).setName(name)
        .setValue(value).build();
  }

  private void various() {
    deed("createSymlink", () -> nn.createSymlink("/pr/f", "/pr/link", DIR, true));
    row("getLinkTarget", () -> nn.getLinkTarget("/pr/f"));
    row("getEnclosingRoot", () -> nn.getEnclosingRoot("/pr/f"));
    row("getEZForPath", () -> nn.getEZForPath("/pr/f"));
    deed("createEncryptionZone", () -> nn.createEncryptionZone("/pr/d2", "key"));
    row("getDelegationToken",
        () -> nn.getDelegationToken(new org.apache.hadoop.io.Text("cl")));
    row("getDataEncryptionKey", () -> nn.getDataEncryptionKey());
    row("saveNamespace not safemode", () -> nn.saveNamespace(0, 0));
    row("getHAServiceState", () -> nn.getHAServiceState());
    deed("msync", () -> nn.msync());
    row("getStoragePolicy", () -> nn.getStoragePolicy("/pr/f"));
    row("getStoragePolicies", () -> nn.getStoragePolicies().length);
    deed("setStoragePolicy bad", () -> nn.setStoragePolicy("/pr/f", "zz"));
    row("getErasureCodingPolicy", () -> nn.getErasureCodingPolicy("/pr/d2"));
    deed("setEC", () -> nn.setErasureCodingPolicy("/pr/d2", null));
    deed("unsetEC none", () -> nn.unsetErasureCodingPolicy("/pr/d1"));
    deed("setEC disabled", () -> nn.setErasureCodingPolicy("/pr/d2", "RS-10-4-1024k"));
    row("reservedinode", () -> {
      long id = nn.getFileInfo("/pr/f").getFileId();
      return nn.getFileInfo("/.reserved/.inodes/" + id).getLen();
    });
    row("reserved", () -> nn.getFileInfo("/.reserved") != null);
    row("getCurrentEditLogTxid", () -> nn.getCurrentEditLogTxid() > 0);
    row("getStats", () -> nn.getStats().length);
    row("datanode report", () -> nn.getDatanodeReport(
        HdfsConstants.DatanodeReportType.LIVE).length > 0);
    row("slow datanodes", () -> nn.getSlowDatanodeReport().length);
  }

  private void safeMode() throws Exception {
    row("safemode enter",
        () -> nn.setSafeMode(HdfsConstants.SafeModeAction.SAFEMODE_ENTER, false));
    row("safemode get", () -> nn.setSafeMode(HdfsConstants.SafeModeAction.SAFEMODE_GET, false));
    row("safemode getFileInfo", () -> nn.getFileInfo("/pr") != null);
    row("safemode mkdirs", () -> nn.mkdirs("/pr/sm", DIR, true));
    row("safemode mkdirs existing", () -> nn.mkdirs("/pr/d1", DIR, true));
    row("safemode create", () -> create("/pr/sm", "cl", CreateFlag.CREATE));
    row("safemode append", () -> append("/pr/f", "cl"));
    row("safemode delete", () -> nn.delete("/pr/f", false));
    row("safemode delete missing", () -> nn.delete("/nope", false));
    row("safemode rename", () -> nn.rename("/pr/f", "/pr/ff"));
    rename2("safemode rename2", "/pr/f", "/pr/ff");
    deed("safemode setPermission", () -> nn.setPermission("/pr/f", FILE));
    deed("safemode setOwner", () -> nn.setOwner("/pr/f", "x", null));
    deed("safemode setTimes", () -> nn.setTimes("/pr/f", 1, 1));
    row("safemode setReplication", () -> nn.setReplication("/pr/f", (short) 2));
    row("safemode truncate", () -> nn.truncate("/pr/f", 1, "cl"));
    row("safemode recoverLease", () -> nn.recoverLease("/pr/f", "cl"));
    deed("safemode setQuota", () -> nn.setQuota("/pr/d1", 5, -1, null));
    row("saveNamespace in safemode", () -> nn.saveNamespace(0, 0));
    row("safemode leave",
        () -> nn.setSafeMode(HdfsConstants.SafeModeAction.SAFEMODE_LEAVE, false));
    row("safemode left", () -> nn.mkdirs("/pr/sm", DIR, true));
  }

  private void bob() throws Exception {
    fs.setPermission(new Path("/pr/d1"), new FsPermission((short) 0700));
    fs.setPermission(new Path("/pr/f"), new FsPermission((short) 0600));
    fs.delete(new Path("/sticky"), true);
    fs.mkdirs(new Path("/sticky"));
    fs.setPermission(new Path("/sticky"), new FsPermission((short) 01777));
    write("/sticky/mine", 0);
    UserGroupInformation bob =
        UserGroupInformation.createUserForTesting("bob", new String[] {"bobg"});
    bob.doAs((PrivilegedExceptionAction<Void>) () -> {
      asBob(connect());
      return null;
    });
    fs.delete(new Path("/sticky"), true);
  }

  private void asBob(ClientProtocol b) {
    CreateFlag c = CreateFlag.CREATE;
    row("bob mkdir", () -> b.mkdirs("/pr/bob", DIR, true));
    row("bob delete", () -> b.delete("/pr/f", false));
    row("bob create", () -> create(b, "/pr/bob", "cl", true, (short) 1, BLOCK, c));
    deed("bob setPermission", () -> b.setPermission("/pr/f", FILE));
    deed("bob setOwner", () -> b.setOwner("/pr/f", "bob", null));
    row("bob setReplication", () -> b.setReplication("/pr/f", (short) 2));
    deed("bob setTimes", () -> b.setTimes("/pr/f", 1, 1));
    row("bob safemode enter",
        () -> b.setSafeMode(HdfsConstants.SafeModeAction.SAFEMODE_ENTER, false));
    row("bob safemode get",
        () -> b.setSafeMode(HdfsConstants.SafeModeAction.SAFEMODE_GET, false));
    deed("bob setQuota", () -> b.setQuota("/pr/d1", 5, -1, null));
    row("bob list 700", () -> b.getListing("/pr/d1", new byte[0], false));
    row("bob stat in 700", () -> b.getFileInfo("/pr/d1/h"));
    row("bob stat of 700", () -> b.getFileInfo("/pr/d1") != null);
    row("bob open 600", () -> b.getBlockLocations("/pr/f", 0, 1));
    row("bob rename", () -> b.rename("/pr/f", "/pr/ff"));
    row("bob datanodeReport",
        () -> b.getDatanodeReport(HdfsConstants.DatanodeReportType.ALL));
    deed("bob allowSnapshot", () -> b.allowSnapshot("/pr"));
    deed("bob access", () -> b.checkAccess("/pr/f", FsAction.READ));
    row("bob sticky delete", () -> b.delete("/sticky/mine", false));
    row("bob sticky delete missing", () -> b.delete("/sticky/none", false));
    row("bob create ok",
        () -> create(b, "/sticky/his", "cl", true, (short) 1, BLOCK, c).getGroup());
    deed("bob chgrp own to bobg", () -> b.setOwner("/sticky/his", null, "bobg"));
    row("bob delete own", () -> b.delete("/sticky/his", false));
    row("bob getContentSummary", () -> b.getContentSummary("/pr"));
    row("bob saveNamespace", () -> b.saveNamespace(0, 0));
    deed("bob refreshNodes", () -> b.refreshNodes());
  }

  private void snapshots() {
    row("createSnapshot notsnap", () -> nn.createSnapshot("/pr", "x"));
    deed("allowSnapshot", () -> nn.allowSnapshot("/pr"));
    row("createSnapshot default",
        () -> nn.createSnapshot("/pr", null).replaceAll("s[0-9]{8}-[0-9]{6}\\.[0-9]{3}", "sDATE"));
    row("createSnapshot x", () -> nn.createSnapshot("/pr", "x"));
    row("createSnapshot dup", () -> nn.createSnapshot("/pr", "x"));
    row("write in snapshot", () -> nn.mkdirs("/pr/.snapshot/x/y", DIR, true));
    row("delete snapshot path", () -> nn.delete("/pr/.snapshot/x", true));
    row("delete snapdir", () -> nn.delete("/pr", true));
    deed("disallow with snaps", () -> nn.disallowSnapshot("/pr"));
    deed("deleteSnapshot none", () -> nn.deleteSnapshot("/pr", "zz"));
    deed("nested snapshottable", () -> nn.allowSnapshot("/pr/d1"));
  }
}
