//! Quoting for the remote login shell: SSH carries one string, not an argument vector.

/// Quotes one word so that any POSIX shell reads back exactly `word`.
///
/// NUL cannot be carried by any command line and is dropped.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('\'');
    for c in word.chars() {
        match c {
            '\'' => quoted.push_str("'\\''"),
            '\0' => {}
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// The command line that a POSIX shell splits into exactly `words`.
pub fn command_line<S: AsRef<str>>(words: &[S]) -> String {
    words
        .iter()
        .map(|word| quote(word.as_ref()))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn plain_words_stay_readable() {
        assert_eq!(
            command_line(&["sudo", "-n", "/bin/true"]),
            "sudo -n /bin/true"
        );
        assert_eq!(quote(""), "''");
        assert_eq!(quote("it's"), "'it'\\''s'");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
        #[test]
        fn a_shell_reads_back_the_same_words(words in prop::collection::vec("[^\0]{0,40}", 1..5)) {
            let mut line = "printf '%s\\000' ".to_owned();
            line.push_str(&command_line(&words));
            let output = Command::new("sh").arg("-c").arg(&line).output().expect("sh runs");
            let mut read: Vec<String> = String::from_utf8(output.stdout)
                .expect("UTF-8 comes back")
                .split('\0')
                .map(str::to_owned)
                .collect();
            read.pop();
            prop_assert_eq!(read, words);
        }
    }
}
