//! A value that remembers where it stood.

use std::ops::Deref;

use crate::yaml::Span;

/// A value and its place; equal when the values are, wherever they stood.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Located<T> {
    value: T,
    span: Option<Span>,
}

impl<T> Located<T> {
    /// A value as found in the file.
    pub(crate) const fn at(value: T, span: Span) -> Self {
        Self {
            value,
            span: Some(span),
        }
    }

    /// A default.
    pub(crate) const fn unwritten(value: T) -> Self {
        Self { value, span: None }
    }

    /// Where it was written; none for a default.
    pub(crate) const fn span(&self) -> Option<Span> {
        self.span
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Located<T> {}

/// Whether and where a section was written; of no consequence for equality.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Written(pub(crate) Option<Span>);

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Written {}
