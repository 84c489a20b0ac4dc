//! `howdah dfs`: the file system shell, with words, messages and exit codes of Hadoop's FsShell.
//!
//! Exit code 0: all done; 1: something was told on standard error; 255: the words were wrong.

mod change;
mod copy;
pub(super) mod format;
mod list;
mod mode;
mod path;
mod progress;
mod shell;

use std::io::Write as _;

use super::client::{self, Generic};
use format::Misuse;
use shell::{Abort, Problem, Shell};

/// Exit code for wrong words: Java's -1.
const EXIT_MISUSE: i32 = 255;

/// What usage lines begin with.
const USAGE: &str = "Usage: hadoop fs [generic options]";

/// One command: name, arguments, meaning.
struct Command {
    name: &'static str,
    usage: &'static str,
    help: &'static str,
}

macro_rules! commands {
    ($($name:literal, $usage:literal, $help:literal;)*) => {
        /// Every command, by name.
        const COMMANDS: &[Command] = &[$(Command { name: $name, usage: $usage, help: $help }),*];
    };
}

commands! {
    "cat", "[-ignoreCrc] <src> ...", "Print files to standard output.";
    "chgrp", "[-R] GROUP PATH...", "Change the group of files; -R with all below them.";
    "chmod", "[-R] <MODE[,MODE]... | OCTALMODE> PATH...",
        "Change permissions, octal (755, 1777) or symbolic (u+x,go-w); -R with all below.";
    "chown", "[-R] [OWNER][:[GROUP]] PATH...", "Change owner and group; -R with all below.";
    "copyFromLocal", "[-f] [-p] [-l] [-d] [-t <thread count>] [-q <thread pool queue size>] \
        <localsrc> ... <dst>", "The same as -put.";
    "copyToLocal", "[-f] [-p] [-crc] [-ignoreCrc] [-t <thread count>] \
        [-q <thread pool queue size>] <src> ... <localdst>", "The same as -get.";
    "count", "[-q] [-h] [-v] [-x] <path> ...",
        "Count folders, files and bytes; -q adds quotas, -v a header, -h makes sizes readable.";
    "du", "[-s] [-h] [-v] [-x] <path> ...",
        "Show the bytes of files, and with all replicas; -s sums up, -v adds a header.";
    "get", "[-f] [-p] [-crc] [-ignoreCrc] [-t <thread count>] [-q <thread pool queue size>] \
        <src> ... <localdst>",
        "Copy files to this host; -f overwrites, -p keeps times and mode; '-' is standard output.";
    "help", "[cmd ...]", "Explain commands.";
    "ls", "[-C] [-d] [-h] [-q] [-R] [-t] [-S] [-r] [-u] [<path> ...]",
        "List files: -d folders themselves, -R all below, -h readable sizes, -C only paths, \
        -t by time, -S by size, -r reversed, -u access times, -q '?' for control characters.";
    "mkdir", "[-p] <path> ...", "Make folders; -p also those above, and none may exist.";
    "moveFromLocal", "[-f] [-p] [-l] [-d] <localsrc> ... <dst>", "-put, then delete the source.";
    "mv", "<src> ... <dst>", "Rename files, or move them into a folder.";
    "put", "[-f] [-p] [-l] [-d] [-t <thread count>] [-q <thread pool queue size>] \
        <localsrc> ... <dst>",
        "Copy files from this host: -f overwrites, -p keeps times, owner and mode, -d writes \
        without a temporary name; '-' is standard input.";
    "rm", "[-f] [-r|-R] [-skipTrash] <src> ...",
        "Delete files; -r folders with all below, -f no complaint about missing ones.";
    "rmdir", "[--ignore-fail-on-non-empty] <dir> ...", "Delete empty folders.";
    "setrep", "[-R] [-w] <rep> <path> ...",
        "Set the number of replicas, of folders for all files below; -w waits for them.";
    "stat", "[format] <path> ...",
        "Print by format: %a %A mode, %b bytes, %F kind, %g group, %n name, %o block size, \
        %r replicas, %u owner, %x %X access time, %y %Y modification time.";
    "tail", "[-f] [-s <sleep interval>] <file>", "Print the last KiB; -f goes on with what comes.";
    "test", "-[defswrz] <path>",
        "Answer by exit code: -e exists, -d folder, -f file, -s not empty, -z empty, -r readable, \
        -w writable.";
    "touchz", "<path> ...", "Make empty files.";
    "usage", "[cmd ...]", "Show the words of commands.";
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// Runs `howdah dfs WORDS` and returns the exit code.
pub(super) fn run(mut words: Vec<String>) -> i32 {
    let generic = match Generic::take(&mut words) {
        Ok(generic) => generic,
        Err(mistake) => {
            eprintln!("dfs: {mistake}");
            return EXIT_MISUSE;
        }
    };
    if words.is_empty() {
        eprint!("{}", usage_of_all());
        return EXIT_MISUSE;
    }
    let word = words.remove(0);
    let named = word.strip_prefix('-').unwrap_or("");
    // The long forms that people try first.
    let named = if word == "--help" || word == "-h" { "help" } else { named };
    let Some(command) = find(named) else {
        eprintln!("{word}: Unknown command");
        if find(&word).is_some() {
            eprintln!("Did you mean -{word}?  This command begins with a dash.");
        }
        eprint!("{}", usage_of_all());
        return EXIT_MISUSE;
    };
    if matches!(command.name, "help" | "usage") {
        return explain(command, &words);
    }
    execute(command, generic, words)
}

fn execute(command: &'static Command, generic: Generic, words: Vec<String>) -> i32 {
    let settings = match generic.settings() {
        Ok(settings) => settings,
        Err(mistake) => {
            eprintln!("{}: {mistake}", command.name);
            return super::EXIT_USER;
        }
    };
    let runtime = match client::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{}: {error}", command.name);
            return 1;
        }
    };
    let code = runtime.block_on(async {
        let mut shell = match Shell::new(command.name, &settings) {
            Ok(shell) => shell,
            Err(mistake) => {
                eprintln!("{}: {mistake}", command.name);
                return super::EXIT_USER;
            }
        };
        let result = dispatch(&mut shell, words).await;
        finish(&mut shell, command, result)
    });
    // A thread may still be blocked on standard input.
    runtime.shutdown_background();
    code
}

async fn dispatch(shell: &mut Shell<'_>, words: Vec<String>) -> Result<(), Abort> {
    match shell.name {
        "cat" => copy::cat(shell, words).await,
        "chgrp" => change::chgrp(shell, words).await,
        "chmod" => change::chmod(shell, words).await,
        "chown" => change::chown(shell, words).await,
        "count" => list::count(shell, words).await,
        "du" => list::du(shell, words).await,
        "get" | "copyToLocal" => copy::get(shell, words).await,
        "ls" => list::ls(shell, words).await,
        "mkdir" => change::mkdir(shell, words).await,
        "moveFromLocal" => copy::move_from_local(shell, words).await,
        "mv" => change::mv(shell, words).await,
        "put" | "copyFromLocal" => copy::put(shell, words).await,
        "rm" => change::rm(shell, words).await,
        "rmdir" => change::rmdir(shell, words).await,
        "setrep" => change::setrep(shell, words).await,
        "stat" => list::stat(shell, words).await,
        "tail" => copy::tail(shell, words).await,
        "test" => list::test(shell, words).await,
        "touchz" => change::touchz(shell, words).await,
        other => Err(Misuse(format!("{other}: Unknown command")).into()),
    }
}

fn finish(shell: &mut Shell<'_>, command: &Command, result: Result<(), Abort>) -> i32 {
    match result {
        Ok(()) => {}
        Err(Abort::Misuse(Misuse(message))) => {
            let _ = shell.flush();
            eprintln!("-{}: {message}", command.name);
            eprintln!("{USAGE} -{} {}", command.name, command.usage);
            return EXIT_MISUSE;
        }
        Err(Abort::Problem(problem)) => shell.complain(&problem),
    }
    match shell.flush() {
        Ok(()) => i32::from(shell.problems > 0),
        Err(Problem::Closed) => 1,
        Err(problem) => {
            shell.complain(&problem);
            1
        }
    }
}

fn usage_of_all() -> String {
    let mut text = format!("{USAGE}\n");
    for command in COMMANDS {
        text.push_str(&format!("\t[-{} {}]\n", command.name, command.usage));
    }
    text + "\nGeneric options supported are:\n\
        -conf <folder>        folder with core-site.xml and hdfs-site.xml (or HADOOP_CONF_DIR)\n\
        -D <property=value>   set one property\n\
        -fs <hdfs://host:port>  the file system, in place of fs.defaultFS\n"
}

/// `-help` and `-usage`.
fn explain(how: &Command, words: &[String]) -> i32 {
    let mut text = String::new();
    if words.is_empty() {
        text = usage_of_all();
    }
    let all = words.is_empty() && how.name == "help";
    let names: Vec<&str> = if all {
        COMMANDS.iter().map(|command| command.name).collect()
    } else {
        words.iter().map(|word| word.trim_start_matches('-')).collect()
    };
    for name in names {
        let Some(command) = find(name) else {
            print!("{text}");
            eprintln!("-{}: `{name}': Unknown command", how.name);
            eprintln!("{USAGE} -{} {}", how.name, how.usage);
            return EXIT_MISUSE;
        };
        let Command { name, usage, help } = command;
        if how.name == "usage" {
            text.push_str(&format!("{USAGE} -{name} {usage}\n"));
        } else {
            text.push_str(&format!("-{name} {usage} :\n  {help}\n"));
        }
    }
    let _ = std::io::stdout().write_all(text.as_bytes());
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_sorted_and_stand_once() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.name < b.name));
    }
}
