//! Scalars: texts of a format, words, truth values, numbers.

use super::one_of;
use crate::code::Code;
use crate::field::{Field, Format};
use crate::report::Report;
use crate::suggest::nearest;
use crate::yaml::{Kind, Node, Plain, plain};

pub(super) fn check_text(
    node: &Node,
    text: &str,
    format: Format,
    field: &Field,
    report: &mut Report<'_>,
) {
    if let Kind::Scalar { plain: true, .. } = node.kind
        && format.is_literal_text()
    {
        let quote = format!("put it in quotes: \"{text}\"");
        match plain(text) {
            Plain::Text => {}
            Plain::Bool(_) | Plain::OldBool => {
                report
                    .error(
                        Code::Y03,
                        node.span,
                        format!("`{text}` is a truth value to YAML, where text is needed"),
                    )
                    .hint(quote);
                return;
            }
            Plain::Int(_) => {
                report
                    .error(
                        Code::F02,
                        node.span,
                        format!("`{text}` is a number to YAML, where text is needed"),
                    )
                    .hint(quote);
                return;
            }
            Plain::OddNumber(why) => {
                report
                    .error(
                        Code::Y04,
                        node.span,
                        format!("`{text}` is not plainly text: {why}"),
                    )
                    .hint(quote);
                return;
            }
        }
    }
    if let Err(complaint) = format.check(text) {
        report
            .error(
                field.code.unwrap_or(Code::F05),
                node.span,
                complaint.message,
            )
            .hint(complaint.hint);
    } else if matches!(format, Format::Cidr | Format::Range)
        && let Ok(net) = text.parse::<ipnet::IpNet>()
        && net.addr() != net.network()
    {
        report
            .warning(Code::F10, node.span, format!("`{text}` has host bits set"))
            .hint(format!("it is taken as `{}`: write that", net.trunc()));
    }
}

pub(super) fn check_word(
    node: &Node,
    text: &str,
    words: &'static [&'static str],
    field: &Field,
    report: &mut Report<'_>,
) {
    if words.contains(&text) {
        return;
    }
    let found = report.error(
        field.code.unwrap_or(Code::F03),
        node.span,
        format!("`{text}` is not a value of `{}`", field.name),
    );
    match nearest(text, words.iter().copied()) {
        Some(near) => found.hint(format!("did you mean `{near}`?")),
        None => found.hint(format!("write {}", one_of(words))),
    };
}

pub(super) fn check_bool(node: &Node, field: &Field, report: &mut Report<'_>) {
    let Kind::Scalar { text, plain: bare } = &node.kind else {
        report
            .error(
                Code::F02,
                node.span,
                format!(
                    "`{}` is {}, not `true` or `false`",
                    field.name,
                    node.describe()
                ),
            )
            .hint("write `true` or `false`");
        return;
    };
    match plain(text) {
        Plain::Bool(_) if *bare => {}
        Plain::OldBool if *bare => {
            let meant = matches!(text.to_ascii_lowercase().as_str(), "y" | "yes" | "on");
            report
                .error(
                    Code::Y03,
                    node.span,
                    format!("`{text}` is a truth value for some readers only"),
                )
                .hint(format!("write `{meant}`"));
        }
        Plain::Bool(value) => {
            report
                .error(
                    Code::F02,
                    node.span,
                    format!("`{}` is text in quotes, not `true` or `false`", field.name),
                )
                .hint(format!("remove the quotes: `{value}`"));
        }
        _ => {
            report
                .error(
                    Code::F02,
                    node.span,
                    format!("`{}` is `{text}`, not `true` or `false`", field.name),
                )
                .hint("write `true` or `false`");
        }
    }
}

pub(super) fn check_int(
    node: &Node,
    field: &Field,
    (min, max): (i64, i64),
    quotes: bool,
    report: &mut Report<'_>,
) {
    let code = |default| field.code.unwrap_or(default);
    let Kind::Scalar { text, plain: bare } = &node.kind else {
        report
            .error(
                code(Code::F02),
                node.span,
                format!("`{}` is {}, not a number", field.name, node.describe()),
            )
            .hint(format!("write a number from {min} to {max}"));
        return;
    };
    match plain(text) {
        Plain::Int(value) if *bare || quotes => {
            if !(min..=max).contains(&value) {
                report
                    .error(
                        code(Code::F04),
                        node.span,
                        format!("`{}` is {value}, outside {min} to {max}", field.name),
                    )
                    .hint(format!("write a number from {min} to {max}"));
            }
        }
        Plain::Int(value) => {
            report
                .error(
                    code(Code::F02),
                    node.span,
                    format!("`{}` is text in quotes, not a number", field.name),
                )
                .hint(format!("remove the quotes: `{value}`"));
        }
        Plain::OddNumber(why) => {
            report
                .error(
                    Code::Y04,
                    node.span,
                    format!("`{text}` is not a plain number: {why}"),
                )
                .hint(format!("write a decimal number from {min} to {max}"));
        }
        _ => {
            report
                .error(
                    code(Code::F02),
                    node.span,
                    format!("`{}` is `{text}`, not a number", field.name),
                )
                .hint(format!("write a number from {min} to {max}"));
        }
    }
}
