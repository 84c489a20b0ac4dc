//! Properties into the text of a configuration file.
//!
//! The built-in formats are flokkr's, with what flokkr left out: escaping and a stable order. The
//! same properties always give the same bytes, so "nothing changed" is a comparison of bytes.
//! Nothing here reads a file, a clock or the environment.

mod formats;
mod templates;

use std::collections::BTreeMap;

pub use formats::Format;
pub use templates::Templates;

/// Names and values of one configuration file, in the order in which they are written.
pub type Properties = BTreeMap<String, String>;

/// Why a file cannot be rendered. The file's name is added by the caller, who knows it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RenderError {
    /// The format has no way to write this value (a line break in an `env` file, a control
    /// character in XML).
    #[error("the value of '{key}' has {what}, which a file of format '{format}' cannot hold")]
    Value {
        /// The property.
        key: String,
        /// What cannot be written.
        what: &'static str,
        /// The format.
        format: Format,
    },
    /// The format has no way to write this name.
    #[error("the name '{key}' has {what}, which a file of format '{format}' cannot hold")]
    Name {
        /// The property.
        key: String,
        /// What cannot be written.
        what: &'static str,
        /// The format.
        format: Format,
    },
    /// A name is a value and a section at once (`a` and `a.b` in YAML).
    #[error("'{key}' is a value and also the start of longer names; remove one of them")]
    Shadowed {
        /// The property that is both.
        key: String,
    },
    /// A handlebars template failed.
    #[error("{0}")]
    Template(String),
}
