// Stands in front of Hadoop's class of this name, so that its contract tests judge a cluster that
// already runs (system property test.uri) in place of a MiniDFSCluster.

package org.apache.hadoop.fs.contract.hdfs;

import java.io.IOException;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.contract.AbstractFSContract;
import org.apache.hadoop.fs.contract.AbstractFSContractTestBase;
import org.apache.hadoop.hdfs.MiniDFSCluster;

public class HDFSContract extends AbstractFSContract {
  public static final String CONTRACT_HDFS_XML = "contract/hdfs.xml";
  public static final int BLOCK_SIZE = AbstractFSContractTestBase.TEST_FILE_LEN;

  public HDFSContract(Configuration conf) {
    super(conf);
    addConfResource(CONTRACT_HDFS_XML);
  }

  public static void createCluster() throws IOException {}

  public static void createCluster(Configuration conf) throws IOException {}

  public static void destroyCluster() throws IOException {}

  public static MiniDFSCluster getCluster() {
    return null;
  }

  @Override
  public void init() throws IOException {
    super.init();
  }

  @Override
  public FileSystem getTestFileSystem() throws IOException {
    Configuration conf = new Configuration(getConf());
    conf.setInt("dfs.blocksize", BLOCK_SIZE);
    return FileSystem.get(URI.create(System.getProperty("test.uri")), conf);
  }

  @Override
  public String getScheme() {
    return "hdfs";
  }

  @Override
  public Path getTestPath() {
    return new Path("/test");
  }
}
