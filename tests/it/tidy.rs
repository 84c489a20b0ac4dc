//! The repository's own rules, checked as text: heads, columns, sizes, banned calls.

use std::fs;
use std::path::PathBuf;

use tests::root;

/// This file, which names what it bans.
const OWN: &str = "tests/it/tidy.rs";

/// Columns of a line.
const COLUMNS_MAX: usize = 100;

/// Lines of a file and of a function.
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Files that may be longer: tables that are one list. Only shrinks.
const LONG_FILES: &[&str] = &["daemons/hdfs-edge/src/keys/table.rs"];

/// Functions that may be longer: tables that are one list. Only shrinks.
const LONG_FUNCTIONS: &[&str] = &["fn rich()"];

/// Crates without any effect on the world, and what they may not name.
const PURE: [&str; 3] = ["daemons/hdfs-wire/src", "daemons/hdfs-disk/src", "daemons/hdfs-core/src"];
const EFFECTS: [&str; 10] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "tokio",
    "parking_lot",
    "Mutex",
    "thread_rng",
];

struct Source {
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    for folder in ["agent", "daemons", "tests"] {
        collect(&root().join(folder), &mut files);
    }
    assert!(files.len() > 20, "the sources were not found");
    files
}

fn collect(folder: &PathBuf, files: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a source folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("sources are UTF-8");
            let path = path.strip_prefix(root()).expect("below the root").display().to_string();
            files.push(Source { path, text });
        }
    }
}

/// Fails with all offenders at once.
fn none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

/// The lines before the tests of a file, without comments, and their numbers.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let test_names = ["/tests.rs", "_tests.rs", "/disk/memory.rs"];
    let test_file = source.path.contains("/tests/")
        || test_names.iter().any(|name| source.path.ends_with(name));
    let lines = source.text.lines().enumerate();
    let lines = lines.take_while(move |(_, line)| !test_file && line.trim() != "#[cfg(test)]");
    lines.filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(n, line)| (n + 1, line))
}

/// Places in which a pattern stands in code of files that `concerned` picks.
fn places(concerned: impl Fn(&str) -> bool, patterns: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| concerned(&source.path)) {
        for (number, line) in code(source) {
            if let Some(pattern) = patterns.iter().find(|pattern| line.contains(**pattern)) {
                found.push(format!("{}:{number}: {pattern}", source.path));
            }
        }
    }
    found
}

fn outside_tests(path: &str) -> bool {
    !path.starts_with("tests/")
}

#[test]
fn every_file_says_what_it_is() {
    let files = sources();
    let bare = files.iter().filter(|source| !source.text.starts_with("//!"));
    none("a file opens with //!", &bare.map(|source| source.path.clone()).collect::<Vec<_>>());
}

#[test]
fn lines_fit() {
    let mut long = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            // A row of a table in the docs cannot be broken.
            let is_row = line.trim_start().starts_with("//! |");
            if !is_row && line.chars().count() > COLUMNS_MAX {
                long.push(format!("{}:{}", source.path, number + 1));
            }
        }
    }
    none("a line has at most 100 columns", &long);
}

#[test]
fn files_are_short() {
    let files = sources();
    let long = files.iter().filter(|source| {
        let known = LONG_FILES.contains(&source.path.as_str());
        source.text.lines().count() > FILE_LINES_MAX && !known
    });
    none("a file has at most 600 lines", &long.map(|s| s.path.clone()).collect::<Vec<_>>());
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for source in sources() {
        let mut open: Option<(usize, String, String)> = None;
        for (number, line) in source.text.lines().enumerate() {
            let text = line.trim_start();
            let indent = &line[..line.len() - text.len()];
            if is_function(text) {
                open = Some((number, indent.to_owned(), text.to_owned()));
            }
            let ends = open.as_ref().is_some_and(|(_, at, _)| at == indent && text == "}");
            if let (true, Some((start, _, head))) = (ends, &open) {
                let known = LONG_FUNCTIONS.iter().any(|name| head.contains(name));
                if number + 1 - start > FUNCTION_LINES_MAX && !known {
                    long.push(format!("{}:{} {head}", source.path, start + 1));
                }
                open = None;
            }
        }
    }
    none("a function has at most 70 lines", &long);
}

fn is_function(text: &str) -> bool {
    let words = text.split_whitespace();
    let mut words = words.skip_while(|word| {
        word.starts_with("pub")
            || ["async", "const", "unsafe", "in"].contains(word)
            || word.ends_with(')')
    });
    words.next() == Some("fn")
}

#[test]
fn the_core_has_no_effects() {
    let pure = |path: &str| PURE.iter().any(|folder| path.starts_with(folder));
    none("wire, disk and core touch nothing but values", &places(pure, &EFFECTS));
}

#[test]
fn renames_go_through_the_audited_function() {
    let concerned = |path: &str| {
        // The port of the disk performs them; the agent swaps generations by a symlink, and
        // components whole.
        let audited = [
            "daemons/hdfs-edge/src/disk",
            "agent/src/actuators/generations",
            "agent/src/actuators/durable.rs",
            "agent/src/actuators/fetch/place.rs",
        ];
        outside_tests(path) && !audited.iter().any(|prefix| path.starts_with(prefix))
    };
    none("raw renames", &places(concerned, &["fs::rename"]));
}

#[test]
fn queues_have_bounds() {
    let patterns = ["unbounded_channel", "mpsc::channel()", "unbounded()"];
    none("every queue has a named bound", &places(|path| path != OWN, &patterns));
}

#[test]
fn unsafe_has_one_owner() {
    let concerned = |path: &str| path != OWN && !path.starts_with("daemons/hdfs-edge/");
    let patterns = ["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code)"];
    none("unsafe outside hdfs-edge", &places(concerned, &patterns));
}

#[test]
fn nothing_is_left_to_do() {
    let patterns = ["todo!", "unimplemented!", "dbg!("];
    none("unfinished code", &places(outside_tests, &patterns));
    let files = sources();
    let marks = files.iter().filter(|source| {
        source.path != OWN
            && ["FIXME", "XXX:", "HACK"].iter().any(|mark| source.text.contains(mark))
    });
    none("marks of unfinished work", &marks.map(|s| s.path.clone()).collect::<Vec<_>>());
}

#[test]
fn no_test_is_ignored() {
    let files = sources();
    let ignored = files.iter().filter(|s| s.text.contains(concat!("#[", "ignore")));
    none("ignored tests", &ignored.map(|s| s.path.clone()).collect::<Vec<_>>());
}

#[test]
fn the_papers_are_there() {
    let names = ["README.md", "ARCHITECTURE.md", "STYLE.md", "CHANGELOG.md", "LICENSE", ".ci/run"];
    let missing = names.iter().filter(|name| !root().join(name).exists());
    none("papers", &missing.map(|name| (*name).to_owned()).collect::<Vec<_>>());
}
