//! Kubernetes labels and label selectors.

use std::collections::{BTreeMap, BTreeSet};

/// The labels of an object.
pub type Labels = BTreeMap<String, String>;

/// A label selector: all requirements must hold; without any it matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// What must hold for the label's value.
    pub condition: Condition,
}

/// What must hold for a label's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The label is there and has one of these values.
    In(BTreeSet<String>),
    /// The label is absent or has none of these values.
    NotIn(BTreeSet<String>),
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

/// Why a selector is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// An operator Kubernetes does not know.
    #[error("`{0}` is no operator; write In, NotIn, Exists or DoesNotExist")]
    Operator(String),
    /// `In` or `NotIn` without values.
    #[error("operator {0} of label `{1}` needs at least one value")]
    NoValues(String, String),
    /// `Exists` or `DoesNotExist` with values.
    #[error("operator {0} of label `{1}` takes no values")]
    Values(String, String),
}

impl Selector {
    /// A selector from `matchLabels` and `matchExpressions` (key, operator, values).
    ///
    /// # Errors
    /// An unknown operator, or a wrong number of values.
    pub fn new<'a>(
        match_labels: impl IntoIterator<Item = (&'a String, &'a String)>,
        match_expressions: impl IntoIterator<Item = (&'a str, &'a str, &'a [String])>,
    ) -> Result<Self, SelectorError> {
        let mut requirements: Vec<_> = match_labels
            .into_iter()
            .map(|(key, value)| Requirement {
                key: key.clone(),
                condition: Condition::In(BTreeSet::from([value.clone()])),
            })
            .collect();
        for (key, operator, values) in match_expressions {
            let set: BTreeSet<_> = values.iter().cloned().collect();
            let refuse = |make: fn(String, String) -> SelectorError| {
                make(operator.to_owned(), key.to_owned())
            };
            let condition = match operator {
                "In" | "NotIn" if set.is_empty() => return Err(refuse(SelectorError::NoValues)),
                "Exists" | "DoesNotExist" if !set.is_empty() => {
                    return Err(refuse(SelectorError::Values));
                }
                "In" => Condition::In(set),
                "NotIn" => Condition::NotIn(set),
                "Exists" => Condition::Exists,
                "DoesNotExist" => Condition::DoesNotExist,
                other => return Err(SelectorError::Operator(other.to_owned())),
            };
            requirements.push(Requirement {
                key: key.to_owned(),
                condition,
            });
        }
        Ok(Self { requirements })
    }

    /// Whether `labels` satisfy every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.condition {
                Condition::In(values) => value.is_some_and(|value| values.contains(value)),
                Condition::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Condition::Exists => value.is_some(),
                Condition::DoesNotExist => value.is_none(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_four_operators() {
        let values = ["a".to_owned(), "b".to_owned()];
        for (operator, values, hits) in [
            ("In", &values[..], [true, false, false]),
            ("NotIn", &values[..], [false, true, true]),
            ("Exists", &[][..], [true, true, false]),
            ("DoesNotExist", &[][..], [false, false, true]),
        ] {
            let selector = Selector::new([], [("app", operator, values)]).unwrap();
            let seen = [&[("app", "a")][..], &[("app", "z")], &[]]
                .map(|pairs| selector.matches(&labels(pairs)));
            assert_eq!(seen, hits, "{operator}");
        }
    }

    #[test]
    fn an_empty_selector_matches_everything() {
        assert!(Selector::default().matches(&Labels::new()));
    }

    #[test]
    fn wrong_expressions_are_refused() {
        let values = ["a".to_owned()];
        assert!(Selector::new([], [("app", "In", &[][..])]).is_err());
        assert!(Selector::new([], [("app", "Exists", &values[..])]).is_err());
        let error = Selector::new([], [("app", "in", &values[..])]).unwrap_err();
        assert!(error.to_string().contains("write In, NotIn"));
    }
}
