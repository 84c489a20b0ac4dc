//! howdah and consul-template with the same work, and what they make of it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tests::process::Guard;
use tests::stack::{self, Agent, Consul};

use super::layout::{Hears, Layout};

/// Who.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contender {
    /// The peer.
    ConsulTemplate,
    /// Ours.
    Howdah,
}

enum Process {
    Peer(Guard, #[expect(dead_code, reason = "removed when dropped")] tempfile::TempDir),
    Ours(Agent),
}

/// One that runs.
pub(crate) struct Running {
    process: Process,
    /// The folder that shows the files.
    files: PathBuf,
    /// Tells of renames that make files visible.
    renames: OwnedFd,
}

impl Contender {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ConsulTemplate => "consul-template",
            Self::Howdah => "howdah",
        }
    }

    /// Starts it; `child` is the socket that its child talks to.
    pub(crate) fn start(
        self,
        layout: &Layout,
        consul: &Consul,
        child: &Path,
        logs: &Path,
    ) -> Running {
        let own = std::env::current_exe().expect("the benchmark has a path");
        let command = [own.display().to_string(), "child".to_owned(), child.display().to_string()];
        match self {
            Self::ConsulTemplate => peer(layout, consul, &command, logs),
            Self::Howdah => ours(layout, consul, &command),
        }
    }
}

fn ours(layout: &Layout, consul: &Consul, command: &[String; 3]) -> Running {
    let mut text = format!(
        "consul {{ address = \"{}\" }}\nlayer \"bench\" {{ kv = \"bench/\" }}\n\
         unit \"bench\" {{\n  quiesce = {{ min = \"0ms\", max = \"0ms\" }}\n",
        consul.address()
    );
    if layout.hears != Hears::Nothing {
        let _ = writeln!(text, "  command = {command:?}");
    }
    if layout.hears == Hears::Signal {
        text.push_str("  reload = { signal = \"SIGHUP\" }\n  change = { reload = [\"*\"] }\n");
    }
    if layout.templates {
        for file in 0..layout.files {
            let (name, key) = (layout.file(file), layout.key(file));
            let _ = writeln!(
                text,
                "  file \"{name}\" {{ template = \"k00: {{{{key \\\"{key}\\\"}}}}\\n\" }}"
            );
        }
    }
    text.push_str("}\n");
    let mut agent = Agent::new();
    agent.configure(&text);
    let conf = agent.conf("bench");
    let watched = conf.parent().expect("the unit's folder").to_owned();
    fs::create_dir_all(&watched).expect("a folder");
    let renames = watch(&watched);
    agent.start();
    Running { process: Process::Ours(agent), files: conf, renames }
}

fn peer(layout: &Layout, consul: &Consul, command: &[String; 3], logs: &Path) -> Running {
    let folder = tempfile::tempdir().expect("a folder");
    let files = folder.path().join("files");
    fs::create_dir(&files).expect("a folder");
    let mut text =
        format!("consul {{ address = \"{}\" }}\nlog_level = \"err\"\n", consul.address());
    if layout.hears != Hears::Nothing {
        let _ = writeln!(text, "exec {{\n  command = {command:?}\n  kill_signal = \"SIGTERM\"");
        if layout.hears == Hears::Signal {
            text.push_str("  reload_signal = \"SIGHUP\"\n");
        }
        text.push_str("}\n");
    }
    for file in 0..layout.files {
        let name = layout.file(file);
        let contents = if layout.tree {
            let line = "{{ .Key }}: {{ .Value }}\\n";
            format!("{{{{ range tree \\\"bench/{name}\\\" }}}}{line}{{{{ end }}}}")
        } else {
            let line = |slot: usize| {
                let key = layout.key(file + slot * layout.files);
                format!("k{slot:02}: {{{{ key \\\"{key}\\\" }}}}\\n")
            };
            (0..layout.keys_per_file).map(line).collect()
        };
        let destination = files.join(&name);
        let _ = writeln!(
            text,
            "template {{\n  contents = \"{contents}\"\n  destination = \"{}\"\n}}",
            destination.display()
        );
    }
    let config = folder.path().join("consul-template.hcl");
    fs::write(&config, text).expect("a configuration file");
    let renames = watch(&files);
    let log = File::options().create(true).append(true).open(logs.join("consul-template.log"));
    let log = log.expect("the log folder is writable");
    let child = Command::new(stack::consul_template_program().expect("built before"))
        .arg("-config")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("it starts");
    Running { process: Process::Peer(Guard::new(child), folder), files, renames }
}

fn watch(folder: &Path) -> OwnedFd {
    let renames = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("inotify");
    inotify::add_watch(&renames, folder, WatchFlags::MOVED_TO).expect("a watch");
    renames
}

impl Running {
    /// Its process id.
    pub(crate) fn id(&self) -> i32 {
        match &self.process {
            Process::Peer(guard, _) => guard.id(),
            Process::Ours(agent) => agent.process().expect("it runs"),
        }
    }

    /// Says why it runs no more.
    pub(crate) fn must_run(&mut self) {
        match &mut self.process {
            Process::Peer(guard, _) => assert!(guard.status().is_none(), "consul-template ended"),
            Process::Ours(agent) => assert!(!agent.ended(), "howdah ended: {}", agent.tail()),
        }
    }

    fn holds(&self, file: &str, value: &str) -> bool {
        fs::read_to_string(self.files.join(file)).is_ok_and(|text| text.contains(value))
    }

    /// Waits until every file is there with its keys; whether that came.
    pub(crate) fn all_right(&self, layout: &Layout, patience: Duration) -> bool {
        let began = Instant::now();
        let mut right = 0;
        while right < layout.files {
            if self.holds(&layout.file(right), "k00: 0")
                || self.holds(&layout.file(right), "k00: change")
            {
                right += 1;
            } else if began.elapsed() > patience {
                return false;
            } else {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        true
    }

    /// Forgets renames that were.
    pub(crate) fn drain(&self) {
        let mut events = [0; 4096];
        while rustix::io::read(&self.renames, &mut events).is_ok_and(|length| length > 0) {}
    }

    /// Waits until a file shows a value; whether that came.
    pub(crate) fn until_holds(&self, file: &str, value: &str, patience: Duration) -> bool {
        let began = Instant::now();
        loop {
            if self.holds(file, value) {
                return true;
            }
            let Some(left) = patience.checked_sub(began.elapsed()) else { return false };
            let left = Timespec::try_from(left).expect("a short time");
            let mut fds = [PollFd::new(&self.renames, PollFlags::IN)];
            let _ = poll(&mut fds, Some(&left));
            self.drain();
        }
    }
}
