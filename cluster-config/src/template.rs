//! The file that `lbctl create config` writes.

use crate::field::Format;

/// A name that no cluster can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` cannot be the name of a cluster: {hint}")]
pub struct InvalidName {
    name: String,
    hint: String,
}

/// A commented file for the smallest useful cluster; complete once the words in capitals are replaced.
///
/// `schema` is what editors are told to look for: path or URL of `cluster.schema.json`.
///
/// # Errors
/// `name` must be a DNS label.
pub fn template(name: &str, schema: &str) -> Result<String, InvalidName> {
    if let Err(complaint) = Format::Label.check(name) {
        return Err(InvalidName {
            name: name.to_owned(),
            hint: complaint.hint,
        });
    }
    Ok(TEXT.replace("@SCHEMA@", schema).replace("@NAME@", name))
}

const TEXT: &str = include_str!("template.yaml");
