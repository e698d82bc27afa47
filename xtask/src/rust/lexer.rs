//! Tokens of Rust source, without comments.

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    /// As written; empty for literals, so that nothing in a text is taken for code.
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Word,
    Punctuation,
    Literal,
    Lifetime,
}

/// Splits `text`; comments and white space are dropped.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
        line: 1,
        tokens: Vec::new(),
    };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    lexer.tokens
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn step(&mut self) {
        let here = self.chars[self.at];
        match here {
            '\n' => {
                self.line += 1;
                self.at += 1;
            }
            _ if here.is_whitespace() => self.at += 1,
            '/' if self.peek(1) == Some('/') => self.skip_while(|next| next != '\n'),
            '/' if self.peek(1) == Some('*') => self.block_comment(),
            '"' => self.text(),
            '\'' => self.quote(),
            _ if here.is_ascii_digit() => self.number(),
            _ if is_word(here) => self.word(),
            ':' if self.peek(1) == Some(':') => self.push(TokenKind::Punctuation, 2),
            '-' | '=' if self.peek(1) == Some('>') => self.push(TokenKind::Punctuation, 2),
            _ => self.push(TokenKind::Punctuation, 1),
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn push(&mut self, kind: TokenKind, length: usize) {
        let text = self.chars[self.at..self.at + length].iter().collect();
        self.tokens.push(Token {
            kind,
            text,
            line: self.line,
        });
        self.at += length;
    }

    fn push_literal(&mut self, line: usize) {
        self.tokens.push(Token {
            kind: TokenKind::Literal,
            text: String::new(),
            line,
        });
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.at += 1;
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while let Some(here) = self.peek(0) {
            match (here, self.peek(1)) {
                ('/', Some('*')) => {
                    depth += 1;
                    self.at += 2;
                }
                ('*', Some('/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                _ => {
                    self.line += usize::from(here == '\n');
                    self.at += 1;
                }
            }
        }
    }

    fn text(&mut self) {
        let line = self.line;
        self.at += 1;
        while let Some(here) = self.peek(0) {
            self.at += if here == '\\' { 2 } else { 1 };
            self.line += usize::from(
                here == '\n' || here == '\\' && self.chars.get(self.at - 1) == Some(&'\n'),
            );
            if here == '"' {
                break;
            }
        }
        self.push_literal(line);
    }

    fn raw_text(&mut self, hashes: usize) {
        let line = self.line;
        self.at += hashes + 1;
        while let Some(here) = self.peek(0) {
            self.at += 1;
            self.line += usize::from(here == '\n');
            if here == '"' && (0..hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                self.at += hashes;
                break;
            }
        }
        self.push_literal(line);
    }

    /// A character, or a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == Some('\\') {
            self.at += 3;
            self.skip_while(|next| next != '\'');
            self.at += 1;
            self.push_literal(self.line);
        } else if self.peek(2) == Some('\'') {
            self.at += 3;
            self.push_literal(self.line);
        } else {
            let length = self.chars[self.at + 1..]
                .iter()
                .take_while(|next| is_word(**next))
                .count();
            self.push(TokenKind::Lifetime, length + 1);
        }
    }

    fn number(&mut self) {
        let line = self.line;
        self.skip_while(is_word);
        // `1.5`, but not `1..5` or `1.max(2)`.
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|next| next.is_ascii_digit()) {
            self.at += 1;
            self.skip_while(is_word);
        }
        self.push_literal(line);
    }

    fn word(&mut self) {
        let rest = &self.chars[self.at..];
        let length = rest.iter().take_while(|next| is_word(**next)).count();
        let word: String = rest[..length].iter().collect();
        let hashes = rest[length..]
            .iter()
            .take_while(|next| **next == '#')
            .count();
        let opens = rest.get(length + hashes) == Some(&'"');
        match &*word {
            "r" | "br" | "cr" if opens => {
                self.at += length;
                self.raw_text(hashes);
            }
            "b" | "c" if opens && hashes == 0 => {
                self.at += length;
                self.text();
            }
            "b" if rest.get(length) == Some(&'\'') => {
                self.at += length;
                self.quote();
            }
            "r" if hashes == 1 => {
                self.at += 2;
                self.word();
            }
            _ => self.push(TokenKind::Word, length),
        }
    }
}

fn is_word(char: char) -> bool {
    char == '_' || char.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_hold_no_code() {
        let text =
            "a /* b /* c */ d */ e // f\n\"g::h \\\" i\" r#\"j \" k\"# b\"l\" 'm' '\\'' b'n' 1.5 o";
        assert_eq!(words(text), ["a", "e", "o"]);
    }

    #[test]
    fn lines_are_counted_through_comments_and_texts() {
        let text = "a\n/*\n*/ b \"x\ny\" c r\"\n\" d \"\\\n\" e";
        let lines: Vec<usize> = tokens(text)
            .into_iter()
            .filter(|token| token.kind == TokenKind::Word)
            .map(|token| token.line)
            .collect();
        assert_eq!(lines, [1, 3, 4, 5, 6]);
    }

    #[test]
    fn lifetimes_ranges_and_raw_words_are_told_apart() {
        assert_eq!(
            words("fn f<'a>(x: &'a str) { 0..n; 1.max(y); r#type }"),
            ["fn", "f", "x", "str", "n", "max", "y", "type"]
        );
        let lifetimes = tokens("<'a, 'static>")
            .into_iter()
            .filter(|token| token.kind == TokenKind::Lifetime);
        assert_eq!(lifetimes.count(), 2);
    }

    #[test]
    fn cut_source_does_not_panic() {
        let text = "fn f() { r#\"x\"#; b'y'; '\\''; \"\\\"\" /* z */ }";
        for length in 0..text.len() {
            let _ = tokens(&text[..length]);
        }
    }

    fn words(text: &str) -> Vec<String> {
        let all = tokens(text).into_iter();
        all.filter(|token| token.kind == TokenKind::Word)
            .map(|token| token.text)
            .collect()
    }
}
