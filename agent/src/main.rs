//! howdah
fn main() {}
