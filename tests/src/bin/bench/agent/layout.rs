//! Which keys go into which files, and the same for both contenders.

/// What a change does to the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hears {
    /// There is none.
    Nothing,
    /// It gets SIGHUP.
    Signal,
    /// It is stopped and started.
    Restart,
}

impl Hears {
    /// In words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Signal => "the child's signal",
            Self::Restart => "the new child",
        }
    }
}

/// One way to spread keys over files.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) name: &'static str,
    pub(crate) files: usize,
    pub(crate) keys_per_file: usize,
    /// Whether files come from a template each, or from what the keys are called.
    pub(crate) templates: bool,
    /// Whether the peer reads a file's keys as one tree, and not one by one.
    pub(crate) tree: bool,
    /// Whether Consul takes more connections than it would by default.
    pub(crate) raised: bool,
    pub(crate) hears: Hears,
    pub(crate) changes: usize,
}

/// All layouts, with so many changes of those with one key.
pub(crate) fn all(changes: usize) -> Vec<Layout> {
    let one = |name, hears, changes| Layout {
        name,
        files: 1,
        keys_per_file: 1,
        templates: false,
        tree: false,
        raised: false,
        hears,
        changes,
    };
    let many = |name, files, keys_per_file| Layout {
        files,
        keys_per_file,
        ..one(name, Hears::Nothing, changes.div_ceil(2))
    };
    vec![
        one("1 key", Hears::Signal, changes),
        one("1 key, restart", Hears::Restart, changes.div_ceil(4)),
        many("1000 keys in 100 files", 100, 10),
        Layout { tree: true, ..many("1000 keys in 100 files, peer reads trees", 100, 10) },
        Layout { templates: true, raised: true, ..many("1000 templates", 1000, 1) },
    ]
}

impl Layout {
    /// How many keys there are.
    pub(crate) fn keys(&self) -> usize {
        self.files * self.keys_per_file
    }

    /// The name of a file.
    pub(crate) fn file(&self, file: usize) -> String {
        format!("f{file:04}.properties")
    }

    /// The file that shows a key.
    pub(crate) fn file_of(&self, key: usize) -> String {
        self.file(key % self.files)
    }

    /// The name of a key.
    pub(crate) fn key(&self, key: usize) -> String {
        format!("bench/{}/k{:02}", self.file_of(key), key / self.files)
    }
}
