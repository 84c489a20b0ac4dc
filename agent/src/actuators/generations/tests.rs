//! Generations on a real disk, whole after every interruption.

use super::*;

fn files(entries: &[(&str, &str)]) -> Files {
    entries.iter().map(|(name, text)| ((*name).to_owned(), File::plain(*text))).collect()
}

#[test]
fn one_swap_per_change() {
    let root = tempfile::tempdir().unwrap();
    let generations = Generations::new(root.path(), root.path().join("conf"));
    assert_eq!(generations.current(), None);
    assert!(generations.commit(&files(&[("a.xml", "1"), ("b.xml", "1")])).unwrap());
    assert_eq!(generations.current(), Some(1));
    assert!(!generations.commit(&files(&[("a.xml", "1"), ("b.xml", "1")])).unwrap());
    assert!(generations.commit(&files(&[("a.xml", "2")])).unwrap());
    assert_eq!(generations.current(), Some(2));
    let conf = root.path().join("conf");
    assert_eq!(fs::read_to_string(conf.join("a.xml")).unwrap(), "2");
    assert!(!conf.join("b.xml").exists(), "a file nobody wants any more is gone");
    assert_eq!(fs::read_link(&conf).unwrap(), Path::new("generations/2"));
    generations.roll_back(1).unwrap();
    assert_eq!(fs::read_to_string(conf.join("b.xml")).unwrap(), "1");
    assert_eq!((generations.current(), generations.previous()), (Some(1), None));
}

#[test]
fn a_hand_edit_is_seen_and_repaired() {
    let root = tempfile::tempdir().unwrap();
    let generations = Generations::new(root.path(), root.path().join("conf"));
    let wanted = files(&[("a.xml", "1"), ("b.xml", "1")]);
    generations.commit(&wanted).unwrap();
    assert!(generations.drift().is_empty());
    fs::write(root.path().join("conf/a.xml"), "edited").unwrap();
    fs::remove_file(root.path().join("conf/b.xml")).unwrap();
    fs::write(root.path().join("conf/c.xml"), "").unwrap();
    assert_eq!(generations.drift(), ["a.xml was changed", "b.xml is gone", "c.xml was added"]);
    assert!(!generations.holds(&wanted));
    // Story: with drift only reported, a changed file also kept out new configuration.
    assert!(generations.put(&wanted));
    assert!(!generations.put(&files(&[("a.xml", "2"), ("b.xml", "1")])));
    assert!(generations.commit(&wanted).unwrap());
    assert!(generations.holds(&wanted) && generations.drift().is_empty());
}

#[test]
fn old_generations_go_but_never_the_good_one() {
    let root = tempfile::tempdir().unwrap();
    let generations = Generations::new(root.path(), root.path().join("conf"));
    for number in 0..9 {
        generations.commit(&files(&[("a.xml", &number.to_string())])).unwrap();
        if number == 1 {
            generations.mark_good(2).unwrap();
        }
    }
    assert_eq!(generations.numbers(), [2, 5, 6, 7, 8, 9]);
    assert_eq!(generations.good(), Some(2));
    assert!(generations.meta(1).is_none() && generations.meta(9).is_some());
}

/// Many files: every generation is whole whatever was shared to make it, and a change writes only
/// what changed.
#[test]
fn many_files_are_shared() {
    use std::os::unix::fs::MetadataExt as _;
    let root = tempfile::tempdir().unwrap();
    let generations = Generations::new(root.path(), root.path().join("conf"));
    let conf = root.path().join("conf");
    let mut wanted: Files =
        (0..40).map(|n| (format!("{n}.txt"), File::plain(format!("{n}")))).collect();
    let inode = |name: &str| fs::metadata(conf.join(name)).unwrap().ino();
    for round in 0..20 {
        wanted.insert("0.txt".to_owned(), File::plain(format!("round {round}")));
        let (added, gone) = (format!("added-{round}"), format!("added-{}", round.max(3) - 3));
        wanted.insert(added, File::plain("x"));
        wanted.remove(&gone);
        let before = (round > 0).then(|| (inode("0.txt"), inode("1.txt")));
        assert!(generations.commit(&wanted).unwrap());
        assert!(generations.holds(&wanted) && generations.drift().is_empty(), "round {round}");
        if let Some((changed, same)) = before {
            assert!(inode("0.txt") != changed && inode("1.txt") == same);
        }
        for number in generations.numbers() {
            let (meta, files) =
                (generations.meta(number).unwrap(), generations.files(number).unwrap());
            assert_eq!(meta.files.len(), files.len());
            for (name, file) in files {
                assert_eq!(meta.files[&name].sha256, hash(&file.content), "{number}/{name}");
            }
        }
    }
    // Right after a write, with the size and perhaps the time as they were.
    fs::write(conf.join("7.txt"), "8").unwrap();
    assert_eq!(generations.drift(), ["7.txt was changed"]);
    assert!(!generations.holds(&wanted));
    assert!(generations.commit(&wanted).unwrap());
    assert_eq!(fs::read_to_string(conf.join("7.txt")).unwrap(), "7");
    wanted.insert("key".to_owned(), File { secret: true, mode: 0o600, ..File::plain("s") });
    for round in 0..9 {
        wanted.insert("0.txt".to_owned(), File::plain(format!("again {round}")));
        generations.commit(&wanted).unwrap();
    }
    let spare = root.path().join("generations/spare");
    assert!(!spare.exists(), "no secret outlives the generations that are kept");
}

#[test]
fn secrets_are_for_the_owner_only() {
    let root = tempfile::tempdir().unwrap();
    let generations = Generations::new(root.path(), root.path().join("conf"));
    let secret =
        File { content: Content::new([0xff, 0]), secret: true, mode: 0o600, ..File::default() };
    let wanted = Files::from([("k.keytab".to_owned(), secret)]);
    generations.commit(&wanted).unwrap();
    let mode = fs::metadata(root.path().join("conf/k.keytab")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(generations.holds(&wanted) && generations.files(1).unwrap()["k.keytab"].secret);
    let nobody = File { user: Some("no-such-user".to_owned()), ..File::plain("x") };
    let error = generations.commit(&Files::from([("x".to_owned(), nobody)])).unwrap_err();
    assert!(error.to_string().contains("there is no user no-such-user"), "{error}");
    assert_eq!(generations.current(), Some(1), "what was in force stays");
}

/// What stands on the disk after a kill at each step of a commit: the old generation is in force
/// and whole, and the next commit succeeds and leaves nothing behind.
#[test]
fn interrupted_commits() {
    let (old, new) = (files(&[("a.xml", "1")]), files(&[("a.xml", "2"), ("b.xml", "2")]));
    for step in 0..4 {
        let root = tempfile::tempdir().unwrap();
        let generations = Generations::new(root.path(), root.path().join("conf"));
        generations.commit(&old).unwrap();
        let staged = generations.stage(&new).unwrap();
        match step {
            0 => fs::remove_file(staged.folder().join("b.xml")).unwrap(),
            1 => {}
            2 => fs::write(root.path().join("generations/2.json"), "{\"half").unwrap(),
            _ => {
                // Whole, but not in force yet.
                generations.publish(staged, &new, Meta::default()).unwrap();
                generations.roll_back(1).unwrap();
                symlink("generations/2", root.path().join("conf.next")).unwrap();
            }
        }
        assert!(generations.holds(&old), "step {step}");
        assert!(generations.commit(&new).unwrap());
        assert!(generations.holds(&new));
        let left = fs::read_dir(root.path().join("generations")).unwrap().flatten();
        let names: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
        assert!(
            names.iter().all(|name| !name.contains('.') || name.ends_with(".json")),
            "{names:?}"
        );
        assert!(!root.path().join("conf.next").is_symlink());
    }
}

#[test]
fn never_replaces_a_folder_of_the_user() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("conf")).unwrap();
    let generations = Generations::new(root.path(), root.path().join("conf"));
    let error = generations.commit(&files(&[("a.xml", "1")])).unwrap_err().to_string();
    assert!(error.contains("move it away"), "{error}");
}

/// A power failure may tear a generation that was not in force yet.
#[test]
fn a_torn_generation_is_told_by_file() {
    let root = tempfile::tempdir().unwrap();
    let generations = Generations::new(root.path(), root.path().join("conf"));
    generations.commit(&files(&[("a.xml", "1"), ("b.xml", "1")])).unwrap();
    generations.commit(&files(&[("a.xml", "2"), ("b.xml", "2")])).unwrap();
    generations.intact(1).unwrap();
    fs::write(root.path().join("generations/1/b.xml"), "").unwrap();
    let error = generations.intact(1).unwrap_err().to_string();
    assert!(error.contains("b.xml was changed"), "{error}");
    generations.intact(2).unwrap();
}
