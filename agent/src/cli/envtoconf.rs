//! `howdah envtoconf`: flokkr's conversion of environment variables to files, on its own.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use hdfs_edge::daemon::Failure;

use crate::sources::environment;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folder to write the files into
    #[arg(
        long,
        visible_alias = "outputdir",
        value_name = "DIR",
        env = "CONF_DIR",
        default_value = "."
    )]
    destination: PathBuf,
}

/// Writes every file that the environment spells. All are rendered before the first is written.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut rendered = Vec::new();
    for (name, file) in environment::parse(environment::variables()) {
        let text = file
            .format
            .render(&file.properties)
            .map_err(|error| Failure::user(format!("{name}: {error}")))?;
        rendered.push((name, text));
    }
    let folder = &arguments.destination;
    fs::create_dir_all(folder)
        .map_err(|error| Failure::user(format!("cannot create {}: {error}", folder.display())))?;
    for (name, text) in rendered {
        let path = folder.join(name);
        fs::write(&path, text)
            .map_err(|error| Failure::user(format!("cannot write {}: {error}", path.display())))?;
        println!("{}", path.display());
    }
    Ok(())
}
