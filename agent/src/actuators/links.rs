//! Links from where other programs look to the folders that the agent renders.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Makes `link` a symbolic link to `target`. An empty folder makes room; anything else that is
/// there stays and is named.
///
/// # Errors
/// One line: something else is there, or the system refuses.
pub fn place(link: &Path, target: &Path) -> Result<(), String> {
    let shown = link.display();
    let failed = |error: io::Error| format!("cannot link {shown}: {error}");
    match fs::symlink_metadata(link) {
        Ok(about) if about.is_symlink() => {
            if fs::read_link(link).map_err(failed)? == target {
                return Ok(());
            }
            return Err(format!("{shown} is a link to something else; remove it"));
        }
        Ok(about) if about.is_dir() => fs::remove_dir(link).map_err(|error| {
            let why = "a link to the unit's files is to be there, but there is a folder";
            format!("{shown}: {why} that cannot be removed ({error}); move it away")
        })?,
        Ok(_) => {
            return Err(format!("{shown} is a file; a link to the unit's files is to be there"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(link.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    symlink(target, link).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_nothing_is_lost() {
        let root = tempfile::tempdir().unwrap();
        let (link, target) = (root.path().join("etc/hadoop"), Path::new("/state/conf"));
        for _ in 0..2 {
            place(&link, target).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), target);
        }
        assert!(place(&link, Path::new("/other")).unwrap_err().contains("something else"));
        let folder = root.path().join("folder");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("x"), "").unwrap();
        assert!(place(&folder, target).unwrap_err().contains("move it away"));
        fs::remove_file(folder.join("x")).unwrap();
        place(&folder, target).unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        assert!(place(&root.path().join("file"), target).unwrap_err().contains("is a file"));
    }
}
