//! What an unquoted scalar means to YAML 1.1 and 1.2 readers. Where the two differ, or where the eye is
//! easily deceived, the cluster file demands quotes instead of guessing.

/// The meaning of an unquoted scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    /// Text to every reader.
    Text,
    /// `true`, `false`.
    Bool(bool),
    /// `yes`, `no`, `on`, `off`, `y`, `n`: a truth value to YAML 1.1 readers, text to others.
    OldBool,
    /// A decimal number without ornaments.
    Int(i64),
    /// A number to some reader, with the reason why it is not taken as one here.
    OddNumber(&'static str),
}

/// Judges an unquoted scalar.
pub(crate) fn plain(text: &str) -> Plain {
    match text {
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        _ => {}
    }
    const OLD: [&str; 6] = ["yes", "no", "on", "off", "y", "n"];
    if text.len() <= 3 && OLD.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Plain::OldBool;
    }
    number(text)
}

fn number(text: &str) -> Plain {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |text: &str, ok: fn(u8) -> bool| !text.is_empty() && text.bytes().all(ok);
    if all(digits, |b| b.is_ascii_digit()) {
        return if digits.len() > 1 && digits.starts_with('0') {
            Plain::OddNumber("a leading zero makes it octal for some readers")
        } else {
            text.parse()
                .map_or(Plain::OddNumber("the number is too large"), Plain::Int)
        };
    }
    let prefixed = |prefix: &str, ok: fn(u8) -> bool| {
        digits
            .strip_prefix(prefix)
            .is_some_and(|rest| all(rest, ok))
    };
    if prefixed("0x", |b| b.is_ascii_hexdigit() || b == b'_') {
        return Plain::OddNumber("it is a hexadecimal number");
    }
    if prefixed("0o", |b| (b'0'..=b'7').contains(&b)) || prefixed("0b", |b| b"01_".contains(&b)) {
        return Plain::OddNumber("it is an octal or binary number");
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Plain::Text;
    }
    if all(digits, |b| b.is_ascii_digit() || b == b'_') {
        return Plain::OddNumber("underscores in numbers are read by some readers only");
    }
    if all(digits, |b| b.is_ascii_digit() || b == b':')
        && digits.contains(':')
        && digits
            .split(':')
            .skip(1)
            .all(|part| matches!(part.len(), 1 | 2) && part < "6" || part.len() == 1)
        && digits.split(':').all(|part| !part.is_empty())
    {
        return Plain::OddNumber("colons make it a base-60 number for some readers");
    }
    if digits.parse::<f64>().is_ok() {
        return Plain::OddNumber("it has a fraction or an exponent");
    }
    if digits.eq_ignore_ascii_case(".inf") || digits.eq_ignore_ascii_case(".nan") {
        return Plain::OddNumber("it is a floating-point number");
    }
    Plain::Text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquoted_words_are_judged_as_both_yaml_versions_would() {
        let odd = |text| matches!(plain(text), Plain::OddNumber(_));
        for text in ["no", "Yes", "ON", "off", "y", "N"] {
            assert_eq!(plain(text), Plain::OldBool, "{text}");
        }
        assert_eq!(plain("True"), Plain::Bool(true));
        assert_eq!(plain("443"), Plain::Int(443));
        assert_eq!(plain("-1"), Plain::Int(-1));
        assert_eq!(plain("0"), Plain::Int(0));
        for text in [
            "0443",
            "0x1F",
            "0o17",
            "0b11",
            "1_000",
            "1.16",
            "1e3",
            "12:30:45",
            ".inf",
            "443.0",
            "99999999999999999999",
        ] {
            assert!(odd(text), "{text}");
        }
        for text in [
            "north",
            "1.16.0",
            "10.0.0.1",
            "10.0.0.0/8",
            "fd00::1",
            "2001:db8::1",
            "-",
            "a-b",
            "10.0.0.1-10.0.0.9",
            "e3",
            "0xyz",
            "node",
        ] {
            assert_eq!(plain(text), Plain::Text, "{text}");
        }
    }
}
