//! One JVM that runs many Hadoop commands (`java/Judge.java`): a JVM start costs seconds.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use crate::hadoop::Hadoop;
use crate::process::Guard;

/// What a command said.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Answer {
    /// The output of a command that must succeed.
    ///
    /// # Panics
    /// When it did not.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "out:\n{}\nerr:\n{}", self.out, self.err);
        self.out
    }
}

/// The JVM. Commands run one after another.
#[derive(Debug)]
pub struct Judge {
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _guard: Guard,
}

impl Judge {
    /// Starts a JVM whose commands use a configuration folder.
    ///
    /// # Panics
    /// When Java does not start.
    pub fn start(hadoop: &Hadoop, conf: &Path) -> Self {
        Self::start_as(hadoop, conf, None)
    }

    /// As `start`, with another user's name on the wire.
    ///
    /// # Panics
    /// When Java does not start.
    pub fn start_as(hadoop: &Hadoop, conf: &Path, user: Option<&str>) -> Self {
        let mut command = Command::new("java");
        // Quick to start, and small.
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", "-cp"]);
        command.arg(hadoop.class_path(conf)).arg("Judge");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(user) = user {
            command.env("HADOOP_USER_NAME", user);
        }
        let mut child = command.spawn().expect("java starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let judge = Self { pipes: Mutex::new((stdin, stdout)), _guard: Guard::new(child) };
        judge.run(&["conf", &conf.display().to_string()]).ok();
        judge
    }

    /// Runs one command: the verb and its words.
    ///
    /// # Panics
    /// When the JVM died.
    pub fn run(&self, words: &[&str]) -> Answer {
        let escape =
            |word: &&str| word.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n");
        let line = words.iter().map(escape).collect::<Vec<_>>().join("\t");
        // A test that failed while it held the lock has not left half an answer behind.
        let mut pipes = self.pipes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (stdin, stdout) = &mut *pipes;
        writeln!(stdin, "{line}").expect("the JVM reads");
        loop {
            let mut head = String::new();
            stdout.read_line(&mut head).expect("the JVM answers");
            assert!(!head.is_empty(), "the JVM died during {words:?}");
            // Java's own warnings may come before the answer.
            let Some(numbers) = head.strip_prefix("@@ ") else { continue };
            let numbers: Vec<i32> =
                numbers.split_whitespace().filter_map(|number| number.parse().ok()).collect();
            let mut text = |length: i32| {
                let mut bytes = vec![0; usize::try_from(length).expect("a length")];
                stdout.read_exact(&mut bytes).expect("the JVM answers");
                String::from_utf8_lossy(&bytes).into_owned()
            };
            return Answer { code: numbers[0], out: text(numbers[1]), err: text(numbers[2]) };
        }
    }

    /// `hdfs dfs WORDS`.
    pub fn fs(&self, words: &[&str]) -> Answer {
        self.with("fs", words)
    }

    /// `hdfs dfsadmin WORDS`.
    pub fn dfsadmin(&self, words: &[&str]) -> Answer {
        self.with("dfsadmin", words)
    }

    fn with(&self, verb: &str, words: &[&str]) -> Answer {
        let all: Vec<&str> = std::iter::once(verb).chain(words.iter().copied()).collect();
        self.run(&all)
    }
}
