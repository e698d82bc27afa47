//! Characters that look like a space or like nothing. Web pages and word processors put them into copied text.

/// Whether the eye takes the character for a plain space, or does not see it at all.
pub(crate) const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{85}'
            | '\u{a0}'
            | '\u{ad}'
            | '\u{1680}'
            | '\u{2000}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{205f}'..='\u{206f}'
            | '\u{3000}'
            | '\u{feff}'
    )
}

/// The complaint about such a character.
pub(super) fn named(c: char) -> String {
    let kind = match c {
        '\u{a0}' | '\u{2007}' | '\u{202f}' => "a no-break space",
        '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{205f}' | '\u{3000}' => "an unusual space",
        '\u{85}' | '\u{2028}' | '\u{2029}' => "an unusual line break",
        _ => "an invisible character",
    };
    format!("{kind} (U+{:04X}) stands here", u32::from(c))
}

/// The text without such characters around it, and with spaces for those inside.
pub(super) fn without(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if is_invisible(c) { ' ' } else { c })
        .collect();
    spaced.trim().to_owned()
}
