//! The one program: every verb of howdah, and `hdfs` when called by that name.

fn main() {
    std::process::exit(howdah::cli::main());
}
