//! The secondary namenode: ours for Java's NameNode, Java's for ours, ours for ours; killed, cut
//! off, doubled, pointed at another cluster.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use hdfs_native::Client;
use tests::hadoop::{self, Hadoop};
use tests::judge::Judge;
use tests::ports::Offset;
use tests::process::Guard;
use tests::stack::{Agent, Fault, Proxy, call_text};
use tests::{binary, java, ours, wait};

use crate::common;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A namenode's folder, a secondary's, and what both read.
struct Site {
    root: tempfile::TempDir,
    offset: Offset,
}

impl Site {
    fn new() -> Self {
        let site = Self { root: tempfile::tempdir().expect("a folder"), offset: Offset::take() };
        site.configure("conf", &[]);
        site
    }

    /// Writes a folder of configuration; every image is wanted unless `more` says otherwise.
    fn configure(&self, name: &str, more: &[(&str, String)]) -> PathBuf {
        let mut properties = java::namenode_properties(&self.offset, &self.names());
        let web = format!("127.0.0.1:{}", self.web());
        for (key, value) in [
            ("dfs.namenode.secondary.http-address", web),
            ("dfs.namenode.checkpoint.dir", self.second().display().to_string()),
            ("dfs.namenode.safemode.threshold-pct", "0".to_owned()),
            ("dfs.replication", "1".to_owned()),
            ("dfs.namenode.checkpoint.txns", "1".to_owned()),
            ("dfs.namenode.checkpoint.period", "1".to_owned()),
            ("dfs.namenode.checkpoint.check.period", "1".to_owned()),
        ] {
            properties.push((key.to_owned(), value));
        }
        properties.retain(|(key, _)| more.iter().all(|(other, _)| other != key));
        properties.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let conf = self.root.path().join(name);
        java::write_conf(&conf, &self.uri(), &properties);
        conf
    }

    fn conf(&self) -> PathBuf {
        self.root.path().join("conf")
    }

    fn names(&self) -> PathBuf {
        self.root.path().join("name")
    }

    fn second(&self) -> PathBuf {
        self.root.path().join("second")
    }

    fn rpc(&self) -> u16 {
        self.offset.port(8020)
    }

    fn web(&self) -> u16 {
        self.offset.port(9868)
    }

    fn uri(&self) -> String {
        format!("hdfs://127.0.0.1:{}", self.rpc())
    }

    fn namenode(&self) -> ours::Daemon {
        ours::Daemon::start("namenode", &self.conf(), self.rpc())
    }

    /// Our namenode on a new file system.
    fn formatted(&self) -> ours::Daemon {
        ours::Daemon::format(&self.conf());
        self.namenode()
    }

    /// A datanode, for files with bytes in them.
    fn datanode(&self) -> ours::Daemon {
        let data = java::datanode_properties(&self.offset, 0, &self.root.path().join("data"));
        let data: Vec<_> = data.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let conf = self.configure("conf-data", &data);
        ours::Daemon::start("datanode", &conf, self.offset.port(9866))
    }

    fn mkdirs(&self, names: impl IntoIterator<Item = String>) {
        common::runtime().block_on(async {
            let client = common::native(&self.uri());
            for name in names {
                client.mkdirs(&name, 0o755, true).await.expect("a folder");
            }
        });
    }

    /// Names in the root.
    fn listed(&self) -> BTreeSet<String> {
        common::runtime().block_on(async {
            let client: std::sync::Arc<Client> = common::native(&self.uri());
            let found = client.list_status("/", false).await.expect("a listing");
            found.into_iter().map(|status| status.path).collect()
        })
    }
}

/// Runs our secondary once.
fn once(conf: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(binary::howdah());
    command.arg("secondarynamenode").args(words).arg("--conf").arg(conf);
    command.output().expect("howdah starts")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `-checkpoint force`, which must do.
fn checkpoint(conf: &Path) {
    let output = once(conf, &["-checkpoint", "force"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("taken=true"), "{}", told(&output));
}

/// Transactions of the images of a folder that count, which are those with an MD5: it must be good.
fn images(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder.join("current")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: Vec<u64> =
        names.filter_map(|name| name.strip_prefix("fsimage_")?.parse().ok()).collect();
    found.sort_unstable();
    let disk = hdfs_edge::disk::LocalDisk::open(folder).expect("a folder");
    let folders = hdfs_disk::storage::NameFolders::new(vec![std::sync::Arc::new(disk)]);
    found.retain(|txid| {
        let image = folders.read_image(0, *txid);
        if !folder.join(format!("current/fsimage_{txid:019}.md5")).exists() {
            // An old one that is being removed, its MD5 first.
            return false;
        }
        hdfs_disk::image::ImageReader::open(&image.expect("a good MD5")).expect("a whole image");
        true
    });
    found
}

fn newest(folder: &Path) -> u64 {
    images(folder).last().copied().unwrap_or(0)
}

/// A page of our secondary.
fn page(site: &Site, path: &str) -> Option<String> {
    let (status, text) =
        call_text(&format!("127.0.0.1:{}", site.web()), "GET", path, &[], None).ok()?;
    (status == 200).then_some(text)
}

/// `ls -R` with one blank between the words.
fn tree(judge: &Judge) -> Vec<String> {
    let listing = judge.fs(&["-ls", "-R", "/"]).ok();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    listing.lines().map(words).collect()
}

/// A judge of a cluster that takes files.
fn start_judge(hadoop: &Hadoop, conf: &Path) -> Judge {
    let judge = Judge::start(hadoop, conf);
    wait::until("safe mode to end and a datanode", PATIENCE, || {
        let safe = judge.dfsadmin(&["-safemode", "get"]).out.contains("OFF");
        (safe && judge.dfsadmin(&["-report"]).out.contains("Live datanodes (1)")).then_some(())
    });
    judge
}

/// Java's NameNode takes our images, starts from them without any segment before them, and `oiv`
/// reads them.
#[test]
fn ours_for_a_namenode_of_java() {
    let Some(hadoop) = hadoop::for_test("ours_for_a_namenode_of_java") else { return };
    let site = Site::new();
    java::Daemon::format(hadoop, &site.conf(), "CID with space");
    let daemon = java::Daemon::namenode(hadoop, &site.conf(), site.rpc());
    let _datanode = site.datanode();
    let judge = start_judge(hadoop, &site.conf());
    for round in ["/one", "/two"] {
        judge.run(&["churn", round, "1"]).ok();
        judge.fs(&["-setfacl", "-m", "user:bob:r-x", &format!("{round}/a")]).ok();
        judge.fs(&["-setfattr", "-n", "user.k", "-v", "v", &format!("{round}/a")]).ok();
        checkpoint(&site.conf());
        let txid = newest(&site.names());
        assert!(txid > 20, "{txid}");
        assert_eq!(newest(&site.second()), txid);
    }
    let before = tree(&judge);
    let image = site.names().join(format!("current/fsimage_{:019}", newest(&site.names())));
    let out = site.root.path().join("oiv.txt").display().to_string();
    judge.run(&["oiv", "-p", "Delimited", "-i", &image.display().to_string(), "-o", &out]).ok();
    let viewed = fs::read_to_string(&out).expect("the viewer's text");
    // A heading and the root besides.
    assert_eq!(viewed.lines().count(), before.len() + 2, "{viewed}");
    daemon.stop();
    let segments = fs::read_dir(site.names().join("current")).expect("a folder").flatten();
    for entry in segments {
        let name = entry.file_name().to_string_lossy().into_owned();
        let closed = name.strip_prefix("edits_").and_then(|rest| rest.split_once('-'));
        let last = closed.and_then(|(_, last)| last.parse::<u64>().ok());
        if last.is_some_and(|last| last <= newest(&site.names())) {
            fs::remove_file(entry.path()).expect("removed");
        }
    }
    let _daemon = java::Daemon::namenode(hadoop, &site.conf(), site.rpc());
    assert_eq!(tree(&start_judge(hadoop, &site.conf())), before);
}

/// Java's SecondaryNameNode makes an image of ours, and our namenode starts from it; then ours goes
/// on in Java's folder.
#[test]
fn javas_for_our_namenode() {
    let Some(hadoop) = hadoop::for_test("javas_for_our_namenode") else { return };
    let site = Site::new();
    let daemon = site.formatted();
    let _datanode = site.datanode();
    let judge = start_judge(hadoop, &site.conf());
    judge.run(&["churn", "/one", "1"]).ok();
    let before = tree(&judge);
    let said = java::secondary(hadoop, &site.conf(), &["-checkpoint", "force"]);
    let txid = newest(&site.names());
    assert!(txid > 20, "{said}");
    judge.fs(&["-mkdir", "/more"]).ok();
    checkpoint(&site.conf());
    assert!(newest(&site.names()) > txid);
    assert_eq!(newest(&site.second()), newest(&site.names()));
    daemon.stop();
    let _daemon = site.namenode();
    let mut expected = before;
    expected.retain(|line| !line.contains("/more"));
    let mut after = tree(&judge);
    after.retain(|line| !line.ends_with(" /more"));
    assert_eq!(after, expected);
}

/// The daemon makes an image when there is something new, also after the namenode was away, keeps
/// two, and shows what it did.
#[test]
fn a_checkpoint_whenever_it_is_due() {
    let site = Site::new();
    let mut secondary = ours::Daemon::spawn("secondarynamenode", &{
        ours::Daemon::format(&site.conf());
        site.conf()
    });
    wait::until("its web server", PATIENCE, || {
        let address = format!("127.0.0.1:{}", site.web());
        let (status, text) = call_text(&address, "GET", "/healthz", &[], None).ok()?;
        assert_eq!(status, 503, "there is no namenode yet: {text}");
        Some(())
    });
    let mut done = 0;
    for round in 0..3 {
        let namenode = site.namenode();
        site.mkdirs((0..5).map(|index| format!("/round{round}-{index}")));
        done = wait::until("the next image", PATIENCE, || {
            assert!(secondary.wait(Duration::ZERO).is_none(), "{}", secondary.log());
            Some(newest(&site.names())).filter(|txid| *txid > done + 5)
        });
        tests::process::kill_hard(namenode.id());
    }
    let namenode = site.namenode();
    assert_eq!(site.listed().len(), 15);
    wait::until("it to be ready", PATIENCE, || page(&site, "/healthz"));
    let bean = "/jmx?qry=Hadoop:service=SecondaryNameNode,name=SecondaryNameNodeInfo";
    let shown = page(&site, bean).expect("a bean");
    assert!(!shown.contains("\"LastCheckpointTime\": 0"), "{shown}");
    for path in ["/", "/metrics", "/prom", "/conf", "/logLevel", "/stacks"] {
        assert!(page(&site, path).is_some_and(|text| !text.is_empty()), "{path}");
    }
    assert!(images(&site.second()).len() <= 4, "{:?}", images(&site.second()));
    secondary.stop();
    namenode.stop();
}

#[test]
fn the_words_of_hadoop() {
    let site = Site::new();
    let away = once(&site.conf(), &["-checkpoint"]);
    assert_eq!(away.status.code(), Some(1), "{}", told(&away));
    let _namenode = site.formatted();
    site.mkdirs((0..4).map(|index| format!("/{index}")));
    let size = once(&site.conf(), &["-geteditsize"]);
    let said = String::from_utf8_lossy(&size.stdout).into_owned();
    // The segment's first operation, and four folders.
    assert_eq!(said, "NameNode has 5 uncheckpointed transactions\n", "{}", told(&size));
    let patient = [("dfs.namenode.checkpoint.txns", "100".to_owned())];
    let skipped = once(&site.configure("patient", &patient), &["-checkpoint"]);
    assert_eq!(skipped.status.code(), Some(0));
    let said = String::from_utf8_lossy(&skipped.stdout).into_owned();
    assert!(said.contains("Skipping checkpoint."), "{said}");
    assert_eq!(newest(&site.names()), 0);
    let due = once(&site.conf(), &["-checkpoint"]);
    assert!(told(&due).contains("taken=true"), "{}", told(&due));
    assert_eq!(newest(&site.names()), 6);
    // The namenode's own rule: no image so soon after the last one.
    let again = once(&site.configure("patient", &patient), &["-checkpoint", "force"]);
    assert_eq!(again.status.code(), Some(0), "{}", told(&again));
}

/// Another cluster's namenode is refused, by a running secondary, too; `-format` begins anew.
#[test]
fn another_cluster_is_refused() {
    let (site, other) = (Site::new(), Site::new());
    let _namenode = site.formatted();
    checkpoint(&site.conf());
    let kept = images(&site.second());
    let stranger = other.formatted();
    let folder = [("dfs.namenode.checkpoint.dir", site.second().display().to_string())];
    let wrong = other.configure("wrong", &folder);
    let refused = once(&wrong, &["-checkpoint", "force"]);
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    let said = told(&refused);
    let line = said.lines().last().unwrap_or_default();
    assert!(line.contains("dfs.namenode.checkpoint.dir") && line.contains("-format"), "{line}");
    assert_eq!((images(&site.second()), newest(&other.names())), (kept, 0));
    let mut daemon = ours::Daemon::spawn("secondarynamenode", &wrong);
    let ended = daemon.wait(PATIENCE).and_then(|status| status.code());
    assert_eq!(ended, Some(2), "{}", daemon.log());
    let anew = once(&wrong, &["-format", "-checkpoint", "force"]);
    assert_eq!(anew.status.code(), Some(0), "{}", told(&anew));
    assert_eq!(newest(&site.second()), newest(&other.names()));
    stranger.stop();
}

/// A folder that is not a secondary's is left as it is, with `-format`, too.
#[test]
fn folders_of_others_are_left_alone() {
    let site = Site::new();
    let _namenode = site.formatted();
    let other = Site::new();
    ours::Daemon::format(&other.conf());
    let used = other.names();
    let conf =
        site.configure("wrong", &[("dfs.namenode.checkpoint.dir", used.display().to_string())]);
    let before = images(&used);
    for words in [&["-checkpoint", "force"][..], &["-format", "-checkpoint", "force"]] {
        let refused = once(&conf, words);
        assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
        assert!(told(&refused).contains("name folder of a namenode"), "{}", told(&refused));
    }
    assert_eq!(images(&used), before);
    fs::create_dir_all(site.second().join("current/precious")).expect("a folder");
    let refused = once(&site.conf(), &["-checkpoint", "force"]);
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    assert!(told(&refused).contains("no VERSION"), "{}", told(&refused));
    assert!(site.second().join("current/precious").exists());
}

/// Two at work on one namenode: each loses nothing but the race.
#[test]
fn two_secondaries() {
    let site = Site::new();
    let namenode = site.formatted();
    let confs: Vec<PathBuf> = (0..2)
        .map(|index| {
            let folder = site.root.path().join(format!("second{index}")).display().to_string();
            let more = [("dfs.namenode.checkpoint.dir", folder)];
            site.configure(&format!("conf{index}"), &more)
        })
        .collect();
    for round in 0..5 {
        site.mkdirs((0..20).map(|index| format!("/{round}-{index}")));
        let racing: Vec<_> = confs
            .iter()
            .map(|conf| {
                let mut command = Command::new(binary::howdah());
                command.args(["secondarynamenode", "-checkpoint", "force", "--conf"]).arg(conf);
                command.stderr(Stdio::piped()).spawn().expect("howdah starts")
            })
            .collect();
        let ends = racing.into_iter().map(|child| child.wait_with_output().expect("an end"));
        let ends: Vec<Output> = ends.collect();
        assert!(ends.iter().any(|end| told(end).contains("taken=true")), "{ends:?}");
        assert!(newest(&site.names()) >= 20 * (round + 1));
    }
    namenode.stop();
    let namenode = site.namenode();
    assert_eq!(site.listed().len(), 100);
    namenode.stop();
}

/// A network that cuts, stalls and lies: no half image anywhere, and all is well after it.
#[test]
fn transfers_that_break() {
    let site = Site::new();
    let namenode = site.formatted();
    site.mkdirs((0..300).map(|index| format!("/a-long-name-for-a-folder-{index}")));
    let proxy = Proxy::start(&format!("127.0.0.1:{}", site.offset.port(9870)));
    let through = ("dfs.namenode.http-address", proxy.address().to_owned());
    let hurried = ("dfs.image.transfer.timeout", "300ms".to_owned());
    let conf = site.configure("through", std::slice::from_ref(&through));
    let hurried = site.configure("hurried", &[through, hurried]);
    // The image of nothing has some 400 bytes, the segment 30 KB; heads have some 200.
    for fault in [
        Fault::Refuse,
        Fault::Reset,
        Fault::Garbage,
        Fault::Status(500),
        Fault::BlackHole,
        Fault::Cut(100),
        Fault::Cut(400),
        Fault::Stall(400),
        Fault::Stall(0),
    ] {
        proxy.set(fault);
        let output = once(&hurried, &["-checkpoint", "force"]);
        assert_eq!(output.status.code(), Some(1), "{fault:?}: {}", told(&output));
        assert_eq!(images(&site.second()).len(), 0, "{fault:?}");
        assert_eq!(images(&site.names()), [0], "{fault:?}");
    }
    proxy.set(Fault::None);
    checkpoint(&conf);
    site.mkdirs(["/last".to_owned()]);
    // The image is there now; the segments are cut.
    proxy.set(Fault::Cut(250));
    let output = once(&hurried, &["-checkpoint", "force"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    proxy.set(Fault::None);
    checkpoint(&conf);
    let left = fs::read_dir(site.second().join("current")).expect("a folder").flatten();
    let names: Vec<_> = left.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.contains("ckpt") || name.contains("tmp")), "{names:?}");
    namenode.stop();
    let namenode = site.namenode();
    assert_eq!(site.listed().len(), 301);
    namenode.stop();
}

/// Killed at moments spread over the whole of a checkpoint, fetching, saving and sending alike.
#[test]
fn killed_at_any_moment() {
    let site = Site::new();
    let namenode = site.formatted();
    site.mkdirs((0..2000).map(|index| format!("/{}/{index}", index % 50)));
    // How long one takes here, at its quickest.
    let takes = (0..3).map(|_| {
        let begun = std::time::Instant::now();
        checkpoint(&site.conf());
        begun.elapsed()
    });
    let takes = takes.min().unwrap_or_default();
    let mut killed = 0;
    for round in 1..=40 {
        let mut command = Command::new(binary::howdah());
        command.args(["secondarynamenode", "-checkpoint", "force", "--conf"]).arg(site.conf());
        command.stderr(Stdio::null());
        let mut process = Guard::new(command.spawn().expect("howdah starts"));
        if process.wait(takes * round / 40).is_none() {
            process.kill();
            killed += 1;
        }
        images(&site.names());
        images(&site.second());
    }
    assert!(killed > 5, "only {killed} were killed");
    wait::until("an image that is taken", PATIENCE, || {
        let output = once(&site.conf(), &["-checkpoint", "force"]);
        // The namenode may still hold the upload of the last one that was killed.
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        told(&output).contains("taken=true").then_some(())
    });
    assert_eq!(newest(&site.second()), newest(&site.names()));
    namenode.stop();
    let namenode = site.namenode();
    assert_eq!(site.listed().len(), 50);
    namenode.stop();
}

/// The unit of `templates/agent/secondarynamenode.hcl` becomes ready under an agent.
#[test]
fn ready_under_an_agent() {
    let site = Site::new();
    let namenode = site.formatted();
    let mut agent = Agent::new();
    let layer = agent.folder().join("layer");
    for name in ["core-site.xml", "hdfs-site.xml"] {
        fs::create_dir_all(&layer).expect("a folder");
        fs::copy(site.conf().join(name), layer.join(name)).expect("a copy");
    }
    agent.configure(&format!(
        r#"layer "test" {{ files = "{layer}" }}
unit "secondarynamenode" {{
  command = ["{program}", "secondarynamenode", "--conf", "${{conf_dir}}"]
  ready   = {{ http = "http://127.0.0.1:{web}/healthz", timeout = "60s" }}
  file "core-site.xml" {{}}
  file "hdfs-site.xml" {{}}
}}
"#,
        layer = layer.display(),
        program = binary::howdah().display(),
        web = site.web(),
    ));
    agent.start();
    agent.until("the unit to be ready", |agent| {
        (agent.unit("secondarynamenode")["ready"] == true).then_some(())
    });
    agent.until("an image", |_| (newest(&site.names()) > 0).then_some(()));
    assert_eq!(agent.stop(), Some(0));
    namenode.stop();
}
