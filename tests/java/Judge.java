// One JVM that runs many Hadoop commands, driven by lines on standard input (a JVM start costs
// seconds). A command is one line of tab-separated words, escaped with \t \n \\. The answer is
// "@@ <exit code> <bytes of out> <bytes of err>\n", then those bytes. It never decides pass or
// fail: the Rust side judges.

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FsShell;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.hdfs.tools.DFSAdmin;
import org.apache.hadoop.hdfs.tools.DebugAdmin;
import org.apache.hadoop.hdfs.tools.offlineEditsViewer.OfflineEditsViewer;
import org.apache.hadoop.hdfs.tools.offlineImageViewer.OfflineImageViewerPB;
import org.apache.hadoop.util.ToolRunner;
import org.junit.runner.JUnitCore;
import org.junit.runner.Result;
import org.junit.runner.notification.Failure;

public final class Judge {
  private static File confDir;

  public static void main(String[] unused) throws Exception {
    PrintStream out = System.out;
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      ByteArrayOutputStream outBytes = new ByteArrayOutputStream();
      ByteArrayOutputStream errBytes = new ByteArrayOutputStream();
      System.setOut(new PrintStream(outBytes, true, "UTF-8"));
      System.setErr(new PrintStream(errBytes, true, "UTF-8"));
      int code;
      try {
        code = run(words(line));
      } catch (Throwable problem) {
        problem.printStackTrace();
        code = 255;
      }
      FileSystem.closeAll();
      System.out.flush();
      System.err.flush();
      out.print("@@ " + code + " " + outBytes.size() + " " + errBytes.size() + "\n");
      outBytes.writeTo(out);
      errBytes.writeTo(out);
      out.flush();
    }
    System.exit(0);
  }

  private static String[] words(String line) {
    String[] words = line.split("\t", -1);
    for (int i = 0; i < words.length; i++) {
      StringBuilder word = new StringBuilder();
      for (int k = 0; k < words[i].length(); k++) {
        char c = words[i].charAt(k);
        if (c == '\\' && k + 1 < words[i].length()) {
          char next = words[i].charAt(++k);
          c = next == 't' ? '\t' : next == 'n' ? '\n' : next;
        }
        word.append(c);
      }
      words[i] = word.toString();
    }
    return words;
  }

  static Configuration conf() {
    Configuration conf = new HdfsConfiguration();
    if (confDir != null) {
      conf.addResource(new Path(new File(confDir, "core-site.xml").toURI()));
      conf.addResource(new Path(new File(confDir, "hdfs-site.xml").toURI()));
    }
    return conf;
  }

  private static int run(String[] words) throws Exception {
    String[] args = Arrays.copyOfRange(words, 1, words.length);
    switch (words[0]) {
      case "conf":
        confDir = new File(args[0]);
        return 0;
      case "fs":
        return ToolRunner.run(conf(), new FsShell(), args);
      case "dfsadmin":
        return ToolRunner.run(conf(), new DFSAdmin(), args);
      case "debug":
        return ToolRunner.run(conf(), new DebugAdmin(conf()), args);
      case "oiv":
        return OfflineImageViewerPB.run(args);
      case "oev":
        return ToolRunner.run(conf(), new OfflineEditsViewer(), args);
      case "probe":
        return new Probe(conf()).run(System.out);
      case "churn":
        return Churn.run(conf(), args);
      case "junit":
        return junit(args);
      default:
        System.err.println("no such verb: " + words[0]);
        return 254;
    }
  }

  // First word: the file system URI for the shadow contract; the rest: test classes.
  private static int junit(String[] args) throws Exception {
    System.setProperty("test.uri", args[0]);
    Class<?>[] classes = new Class<?>[args.length - 1];
    for (int i = 1; i < args.length; i++) {
      classes[i - 1] = Class.forName(args[i]);
    }
    Result result = new JUnitCore().run(classes);
    System.out.println(
        "run " + result.getRunCount() + " failed " + result.getFailureCount()
            + " ignored " + result.getIgnoreCount());
    for (Failure failure : result.getFailures()) {
      String text = String.valueOf(failure.getMessage());
      System.out.println("FAILED " + failure.getTestHeader() + ": " + text.split("\n")[0]);
      System.err.println(failure.getTestHeader() + "\n" + failure.getTrace());
    }
    return result.wasSuccessful() ? 0 : 1;
  }
}
