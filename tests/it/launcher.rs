//! What flokkr's launcher did before a program, done by the agent: fetch, wait, prepare, retry, and
//! the old names of the environment. No Consul: the configuration is the environment or a folder.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::binary;
use tests::ports::Offset;
use tests::process::{Guard, tail};
use tests::stack::call;

use crate::common;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const RPC: u16 = 8020;
const WEB: u16 = 9870;
const TELEMETRY: u16 = 9180;

/// One agent with one unit.
struct Host {
    root: tempfile::TempDir,
    offset: Offset,
    environment: Vec<(String, String)>,
    agent: Option<Guard>,
}

impl Host {
    /// `unit` is the inside of the unit's block; the layers are a folder.
    fn new(name: &str, unit: &str) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let offset = Offset::take();
        fs::create_dir(root.path().join("layer")).expect("a layer");
        let text = format!(
            "state_dir = \"{root}/state\"\nstore {{ files = \"{root}/layer\" }}\n\
             telemetry {{ listen = \"127.0.0.1:{port}\" }}\n\
             unit \"{name}\" {{\n  quiesce = {{ min = \"10ms\", max = \"100ms\" }}\n{unit}\n}}\n",
            root = root.path().display(),
            port = offset.port(TELEMETRY),
        );
        let text = text.replace("ROOT", &root.path().display().to_string());
        fs::write(root.path().join("agent.hcl"), text).expect("a configuration");
        Self { root, offset, environment: Vec::new(), agent: None }
    }

    /// A real namenode whose job has `ENSURE_NAMENODE_DIR`, and nothing else about its format.
    fn namenode() -> Self {
        let program = binary::howdah();
        let mut host = Self::new(
            "namenode",
            &format!(
                "  command = [\"{}\", \"namenode\", \"--conf\", \"${{conf_dir}}\"]\n\
                 ready = {{ http = \"http://127.0.0.1:WEB/healthz\" }}\n\
                 restart = {{ backoff = \"50ms\", cap = \"200ms\" }}\n",
                program.display()
            ),
        );
        let web = host.offset.port(WEB);
        host.edit("WEB", &web.to_string());
        let at = |port: u16| format!("127.0.0.1:{}", host.offset.port(port));
        let folder = host.name_folder().display().to_string();
        for (name, value) in [
            ("CORE-SITE.XML_fs.defaultFS", format!("hdfs://{}", at(RPC))),
            ("HDFS-SITE.XML_dfs.namenode.rpc-address", at(RPC)),
            ("HDFS-SITE.XML_dfs.namenode.http-address", at(WEB)),
            ("HDFS-SITE.XML_dfs.namenode.name.dir", format!("file://{folder}")),
            ("HDFS-SITE.XML_dfs.namenode.safemode.extension", "0".to_owned()),
            ("CONFIG_TYPE", "simple".to_owned()),
            ("ENSURE_NAMENODE_DIR", folder),
        ] {
            host.environment.push((name.to_owned(), value));
        }
        host
    }

    fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn name_folder(&self) -> PathBuf {
        self.path("name")
    }

    fn edit(&self, from: &str, to: &str) {
        let path = self.path("agent.hcl");
        let text = fs::read_to_string(&path).expect("a configuration");
        fs::write(&path, text.replace(from, to)).expect("a configuration");
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary::howdah());
        command.args(words).arg("--config").arg(self.path("agent.hcl"));
        command.env("RUST_LOG", "info").env("HOWDAH_NODE", "box");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn launch(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log"));
        let mut command = self.command(&["agent"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log"));
        self.agent = Some(Guard::new(command.spawn().expect("an agent")));
    }

    fn agent(&mut self) -> &mut Guard {
        self.agent.as_mut().expect("it was launched")
    }

    fn stop(&mut self) {
        self.agent().signal(Signal::SIGTERM);
        let status = self.agent().wait(PATIENCE).expect("it ends");
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn unit(&self) -> Value {
        let address = format!("127.0.0.1:{}", self.offset.port(TELEMETRY));
        let status = call(&address, "GET", "/v1/status", &[], None);
        status.map_or(Value::Null, |(_, value)| value["units"][0].clone())
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let start = std::time::Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "in vain: {what}\n{:#}\n{}",
                self.unit(),
                tail(&self.path("log"))
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn until_ready(&self) {
        self.until("it is ready", |host| (host.unit()["ready"] == true).then_some(()));
    }

    /// Why the program is not started, once the agent says so.
    fn until_held(&self, because: &str) -> String {
        self.until(because, |host| {
            let told = host.unit()["launch"].as_str()?.to_owned();
            told.contains(because).then_some(told)
        })
    }

    /// How often a line of the log has this in it.
    fn told(&self, what: &str) -> usize {
        self.log().lines().filter(|line| line.contains(what)).count()
    }

    fn cluster_id(&self) -> String {
        let version = fs::read_to_string(self.name_folder().join("current/VERSION"));
        let version = version.expect("a VERSION");
        let line = version.lines().find(|line| line.starts_with("clusterID=")).expect("an id");
        line.to_owned()
    }

    async fn has(&self, path: &str) -> bool {
        let client = common::native(&format!("hdfs://127.0.0.1:{}", self.offset.port(RPC)));
        client.get_file_info(path).await.is_ok()
    }

    async fn make(&self, path: &str) {
        let client = common::native(&format!("hdfs://127.0.0.1:{}", self.offset.port(RPC)));
        client.mkdirs(path, 0o755, true).await.expect("a folder");
    }
}

/// A server of one file; the requests it saw.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(body: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = requests.clone();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut head = Vec::new();
                let mut piece = [0; 1024];
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    match stream.read(&mut piece) {
                        Ok(length) if length > 0 => head.extend_from_slice(&piece[..length]),
                        _ => break,
                    }
                }
                let text = String::from_utf8_lossy(&head).into_owned();
                seen.lock().expect("a list").push(text);
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> usize {
        self.requests.lock().expect("a list").len()
    }
}

/// `tar` and `sha256sum` of the system, as a user makes a component.
fn packed(folder: &Path, name: &str) -> (Vec<u8>, String) {
    let archive = folder.with_extension("tgz");
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(&archive).arg("-C").arg(folder).arg(name);
    assert!(tar.status().expect("tar").success());
    let sum = Command::new("sha256sum").arg(&archive).output().expect("sha256sum").stdout;
    let sum = String::from_utf8_lossy(&sum).split(' ').next().expect("a sum").to_owned();
    (fs::read(&archive).expect("an archive"), sum)
}

/// A component with a program `run` in `tool-1/bin` that says so and stays.
fn component() -> (tempfile::TempDir, Vec<u8>, String) {
    let root = tempfile::tempdir().expect("a folder");
    let source = root.path().join("source");
    fs::create_dir_all(source.join("tool-1/bin")).expect("folders");
    let run = source.join("tool-1/bin/run");
    fs::write(&run, "#!/bin/sh\necho the tool runs\nexec sleep 1000\n").expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&run, mode).expect("a mode");
    let (bytes, sum) = packed(&source, "tool-1");
    (root, bytes, sum)
}

/// The namenode of a fresh host formats itself, keeps what is written over restarts, and an emptied
/// folder is not filled with a new, empty namespace.
#[test]
fn a_namenode_formats_its_empty_folder_once() {
    let mut host = Host::namenode().set("ENSURE_NAMENODE_CLUSTERID", "CID-of-the-job");
    host.launch();
    host.until_ready();
    assert_eq!(host.cluster_id(), "clusterID=CID-of-the-job");
    assert_eq!(host.told("is prepared by"), 1);
    common::runtime().block_on(host.make("/kept"));
    host.stop();

    host.launch();
    host.until_ready();
    assert!(common::runtime().block_on(host.has("/kept")));
    assert_eq!(host.told("is prepared by"), 1, "only once");
    host.stop();
    let history = host.command(&["history"]).output().expect("howdah runs");
    assert!(String::from_utf8_lossy(&history.stdout).contains("namenode prepared "));

    fs::rename(host.name_folder(), host.path("away")).expect("moved");
    host.launch();
    let told = host.until_held("is its disk mounted?");
    assert!(told.starts_with("prepare failed: ") && !told.contains('\n'), "{told}");
    assert!(!host.name_folder().exists());
    let status = host.command(&["status"]).output().expect("howdah runs");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("  not started: prepare failed: "), "{status}");
    host.agent().kill();
    fs::rename(host.path("away"), host.name_folder()).expect("moved back");
    host.launch();
    host.until_ready();
    assert!(common::runtime().block_on(host.has("/kept")));
}

/// What somebody has in the folder is never touched, also when it is no namespace.
#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let mut host = Host::namenode();
    fs::create_dir(host.name_folder()).expect("a folder");
    fs::write(host.name_folder().join("precious"), "data").expect("a file");
    host.launch();
    host.until("the namenode's complaint", |host| {
        host.log().contains("holds no file system").then_some(())
    });
    assert_eq!(host.told("is prepared by"), 0);
    let names: Vec<_> = fs::read_dir(host.name_folder()).expect("there").flatten().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(fs::read(host.name_folder().join("precious")).expect("there"), b"data");
}

/// A format killed anywhere leaves nothing that stands in the way, and never loses a namespace.
#[test]
fn a_format_may_be_killed_at_any_time() {
    const ROUNDS: u64 = 30;
    let mut host = Host::namenode();
    let root = host.root.path().display().to_string();
    let (hold, held) = (host.path("hold"), host.path("held"));
    let version = host.name_folder().join("current/VERSION");
    // With `hold` there, a format is everything but its last step, and stays so.
    let program = binary::howdah().display().to_string();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *-format*) if test -e {root}/hold; then\n\
         {program} \"$@\" && rm {root}/name/current/VERSION && touch {root}/held\n\
         exec sleep 1000; fi;; esac\nexec {program} \"$@\"\n"
    );
    fs::write(host.path("program"), script).expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(host.path("program"), mode).expect("a mode");
    host.edit(&program, &format!("{root}/program"));

    let mut formatted: Option<String> = None;
    let (mut unfinished, mut kept) = (0, 0);
    for round in 0..ROUNDS {
        let began = host.told("is prepared by");
        let _ = (fs::remove_file(&hold), fs::remove_file(&held));
        if round % 3 == 0 {
            fs::write(&hold, "").expect("a file");
        }
        host.launch();
        match (&formatted, round % 3) {
            (Some(_), _) => host.until_ready(),
            (None, 0) => host.until("all but the end", |_| held.exists().then_some(())),
            (None, 1) => host.until("a format", |host| {
                (host.told("is prepared by") > began || version.exists()).then_some(())
            }),
            (None, _) => host.until("all of it", |_| version.exists().then_some(())),
        }
        // Not a wait: each round kills at another time.
        std::thread::sleep(Duration::from_millis(round * 7 % 23));
        host.agent().kill();
        // A child that is about to end has no words any more, and may still hold the port.
        let port = host.offset.port(TELEMETRY);
        host.until("nothing is left", |_| {
            TcpListener::bind(("127.0.0.1", port)).ok()?;
            tests::process::with_argument(&root).is_empty().then_some(())
        });
        match (&formatted, version.exists()) {
            (Some(id), _) => {
                assert_eq!(host.cluster_id(), *id, "formatted twice, round {round}");
                kept += 1;
                // Over again, from a folder that is empty and an agent that knows nothing.
                fs::remove_dir_all(host.name_folder()).expect("removed");
                fs::remove_dir_all(host.path("state")).expect("removed");
                formatted = None;
            }
            (None, true) => formatted = Some(host.cluster_id()),
            (None, false) => unfinished += 1,
        }
    }
    assert!(unfinished > 0 && kept > 0, "{unfinished} killed in the middle, {kept} kept");
    let _ = fs::remove_file(&hold);
    host.launch();
    host.until_ready();
}

/// A preparation that was interrupted waited for the next look at everything, five seconds later,
/// since no file of the unit changed at that start. Files that are in force already are enough.
#[test]
fn an_interrupted_preparation_goes_on_at_once() {
    let unit = "  command = [\"/bin/sleep\", \"1000\"]\n\
                prepare = { when_empty = \"ROOT/data\", made = \"whole\", \
                command = [\"/bin/sh\", \"-c\", \"mkdir -p ROOT/data; \
                test -e ROOT/go && touch ROOT/data/whole || exec sleep 1000\"] }\n";
    let mut host = Host::new("plain", unit);
    host.launch();
    host.until("half of it", |host| host.path("data").exists().then_some(()));
    assert!(
        host.unit()["launch"].as_str().expect("a reason").starts_with("is prepared by /bin/sh")
    );
    host.agent().kill();
    fs::write(host.path("data/half"), "").expect("a file");
    fs::write(host.path("go"), "").expect("a file");
    let began = std::time::Instant::now();
    host.launch();
    host.until_ready();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(host.path("data/half").exists(), "the agent empties nothing");
    host.stop();
}

/// A failed preparation is told in one line, counts, and is tried again after growing pauses.
#[test]
fn a_preparation_that_fails_counts() {
    let unit = "  command = [\"/bin/sleep\", \"1000\"]\n\
                prepare = { when_empty = \"ROOT/data\", \
                command = [\"/bin/sh\", \"-c\", \"echo tried; echo no luck >&2; exit 3\"] }\n\
                restart = { backoff = \"20ms\", cap = \"1s\", max_failures = 3 }\n";
    let mut host = Host::new("plain", unit);
    host.launch();
    let status = host.agent().wait(PATIENCE).expect("it gives up");
    assert_eq!(status.code(), Some(1), "{}", host.log());
    assert_eq!(host.told("[plain] tried"), 3, "{}", host.log());
    assert_eq!(host.told("/bin/sh failed (exit code 3): no luck"), 3);
    for pause in ["20ms", "40ms", "80ms"] {
        assert_eq!(host.told(&format!("prepare failed, again after {pause}")), 1);
    }
    assert!(!host.path("data").exists());
}

/// The program comes with the job's environment: `INSTALLER_TOOL`, and is there before it starts.
#[test]
fn a_component_is_installed_before_the_start() {
    let (_root, bytes, sum) = component();
    let server = Server::start(bytes);
    let url = format!("http://{}/tool-1.tgz", server.address);
    let mut host = Host::new("tool", "  command = [\"ROOT/opt/tool/bin/run\"]\n")
        .set("INSTALLER_TOOL", format!("{url}?checksum=sha256:{sum}"));
    let opt = host.path("opt").display().to_string();
    host = host.set("INSTALLER_DIR", opt);
    host.launch();
    host.until_ready();
    host.until("the tool's own line", |host| {
        host.log().contains("[tool] the tool runs").then_some(())
    });
    assert!(host.path("opt/tool/bin/run").exists());
    host.stop();
    host.launch();
    host.until_ready();
    assert_eq!(server.requests(), 1, "what is there is kept");
    host.stop();

    // Another version that is not what it should be: the old one stays, and nothing starts.
    host = host.set("INSTALLER_TOOL", format!("{url}?checksum=sha256:{}", "0".repeat(64)));
    host.launch();
    let told = host.until_held("nothing has changed");
    assert!(told.contains(&sum) && told.contains(&"0".repeat(64)), "{told}");
    assert!(host.path("opt/tool/bin/run").exists());
    host.stop();
}

#[test]
fn an_archive_that_leaves_its_folder_is_refused() {
    let root = tempfile::tempdir().expect("a folder");
    let source = root.path().join("source");
    fs::create_dir(&source).expect("a folder");
    fs::write(source.join("fine"), "").expect("a file");
    std::os::unix::fs::symlink("../../../escaped", source.join("link")).expect("a link");
    let (_, sum) = packed(&source, ".");
    let archive = source.with_extension("tgz");
    let unit = format!(
        "  command = [\"/bin/sleep\", \"1000\"]\n  fetch \"bad\" {{\n    url = \"file://{}\"\n    \
         checksum = \"sha256:{sum}\"\n    to = \"ROOT/opt/bad\"\n  }}\n",
        archive.display()
    );
    let mut host = Host::new("plain", &unit);
    host.launch();
    let told = host.until_held("leaves the folder");
    assert!(told.starts_with("fetch failed: bad: entry \"./link\""), "{told}");
    assert!(!host.path("opt/bad").exists());
    host.stop();
}

#[test]
fn a_program_waits_for_an_address() {
    let offset = Offset::take();
    let address = format!("127.0.0.1:{}", offset.port(RPC));
    let mut host = Host::new("plain", "  command = [\"/bin/sleep\", \"1000\"]\n")
        .set("WAITFOR", address.clone())
        .set("WAITFOR_TIMEOUT", "1")
        .set("CONSUL_KEY", "plain");
    host.launch();
    let told = host.until_held("waits for");
    assert_eq!(told, format!("waits for {address}"));
    host.until("a timeout in vain", |host| host.log().contains("in vain").then_some(()));
    assert_eq!(host.unit()["starts"], 0);
    let listener = TcpListener::bind(&address).expect("the port");
    host.until_ready();
    drop(listener);
    host.stop();
}

/// Another version of a component after SIGHUP: it is fetched beside the running program, which is
/// then restarted; one that cannot be had changes nothing.
#[test]
fn another_component_restarts_the_program() {
    let root = tempfile::tempdir().expect("a folder");
    let version = |name: &str| {
        let path = root.path().join(name);
        fs::write(&path, format!("#!/bin/sh\necho version {name}\nexec sleep 1000\n")).expect("it");
        let sum = Command::new("sha256sum").arg(&path).output().expect("sha256sum").stdout;
        let sum = String::from_utf8_lossy(&sum).split(' ').next().expect("a sum").to_owned();
        (format!("file://{}", path.display()), format!("sha256:{sum}"))
    };
    let (one, two) = (version("one"), version("two"));
    let unit = format!(
        "  command = [\"ROOT/opt/tool\"]\n  fetch \"tool\" {{\n    url = \"{}\"\n    \
         checksum = \"{}\"\n    to = \"ROOT/opt/tool\"\n    mode = \"0755\"\n  }}\n\
         restart = {{ backoff = \"20ms\", cap = \"50ms\", max_failures = 3 }}\n",
        one.0, one.1
    );
    let mut host = Host::new("tool", &unit);
    host.launch();
    host.until("version one", |host| host.log().contains("[tool] version one").then_some(()));
    host.until_ready();

    // Not to be had, more often than its failures would be allowed: it runs on.
    host.edit(&one.0, "file:///nowhere");
    host.edit(&one.1, &two.1);
    host.agent().signal(Signal::SIGHUP);
    host.until("some tries", |host| (host.told("fetch failed, again after") > 5).then_some(()));
    assert_eq!(host.unit()["starts"], 1);
    assert_eq!(host.unit()["ready"], true);

    host.edit("file:///nowhere", &two.0);
    host.agent().signal(Signal::SIGHUP);
    host.until("version two", |host| host.log().contains("[tool] version two").then_some(()));
    host.until_ready();
    host.stop();
}

/// flokkr's retries: after so many failures in a row the agent ends, so that Nomad acts.
#[test]
fn retries_have_an_end() {
    let mut host = Host::new("plain", "  command = [\"/bin/false\"]\n").set("RETRY_NUMBER", "1");
    host.launch();
    let status = host.agent().wait(PATIENCE).expect("it gives up");
    assert_eq!(status.code(), Some(1), "{}", host.log());

    let mut host = Host::new("plain", "  command = [\"/bin/false\"]\n").set("RETRY_NUMBER", "3");
    host.launch();
    host.until("the first pause of ten seconds", |host| host.log().contains("10000").then_some(()));
    host.stop();
}

/// Names that mean nothing get a line each, with what to use; names that must not be lost end it.
#[test]
fn old_names_are_answered() {
    let mut host = Host::new("plain", "  command = [\"/bin/sleep\", \"1000\"]\n")
        .set("SSHD_ENABLE", "true")
        .set("PERMISSION_FIX", "true");
    let link = host.path("etc/plain");
    host = host.set("CONF_DIR", link.display().to_string());
    host.launch();
    host.until_ready();
    for name in ["SSHD_ENABLE", "PERMISSION_FIX"] {
        assert_eq!(host.told(&format!("{name} has no effect: ")), 1, "{}", host.log());
    }
    assert!(fs::read_link(link).expect("a link").ends_with("state/units/plain/conf"));
    host.stop();

    let refused = [
        ("ENSURE_STANDBY_NAMENODE_DIR", "/data/name", "no high availability yet"),
        ("NAMENODE_INIT", "mkdir /x", "use howdah dfs once"),
        ("INSTALLER_TOOL", "http://127.0.0.1:1/a.tgz", "a checksum is required"),
        ("KERBEROS_KEYTABS", "nn", "add a vault block"),
    ];
    for (name, value, expected) in refused {
        let host = Host::new("plain", "  command = [\"/bin/true\"]\n").set(name, value);
        let output = host.command(&["agent"]).output().expect("howdah runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(name) && told.contains(expected), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

/// A keytab of Vault, or of the folder that stands in for it, is a file of its bytes.
#[test]
fn keytabs_are_rendered() {
    let mut host = Host::new("plain", "  command = [\"/bin/sleep\", \"1000\"]\n")
        .set("KERBEROS_KEYTABS", "nn");
    let folder = host.path("secrets/secret/hdfs/keytabs/box");
    fs::create_dir_all(&folder).expect("folders");
    fs::write(folder.join("nn"), "{\"keytab\": \"BQIA/w==\"}").expect("a secret");
    host.edit(
        "store {",
        &format!("secrets {{ files = \"{}/secrets\" }}\nstore {{", host.root.path().display()),
    );
    host.launch();
    host.until_ready();
    let file = host.path("state/units/plain/conf/nn.keytab");
    assert_eq!(fs::read(&file).expect("a keytab"), [5, 2, 0, 255]);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).expect("it").permissions());
    assert_eq!(mode & 0o777, 0o600);
    host.stop();
}
