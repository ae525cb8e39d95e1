//! Where a reader does not want a break: inside a phrase, after an abbreviation or an initial.

/// How a break between two words reads, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Break {
    /// After a sentence.
    Sentence,
    /// After a clause: a comma, a colon.
    Clause,
    /// Before a word that begins a phrase: "and", "in".
    Phrase,
    /// Between other words.
    Words,
    /// After a word that belongs to the next one: "Mr.", "the", "of".
    Torn,
}

/// Titles and other abbreviations that another word follows, without their full stop.
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "st", "vs", "no", "prof", "sr", "sra", "mt", "lt", "col", "gen", "rev", "hr",
    "fr", "mme", "mlle", "bzw", "ca", "e.g", "i.e", "z.b", "p.ej",
];
/// Articles and words that stand like them.
const ARTICLES: &[&str] = &[
    "a", "an", "the", "my", "your", "his", "her", "its", "our", "their", "this", "these", "those", "every",
    "some", "el", "la", "los", "las", "un", "una", "mi", "su", "le", "les", "une", "des", "du", "mon", "ma",
    "mes", "der", "die", "das", "dem", "den", "ein", "eine", "einen", "einem", "einer",
];
/// Words that begin a phrase and never end one.
const OPENERS: &[&str] = &[
    "and", "or", "but", "nor", "if", "than", "because", "while", "although", "of", "to", "in", "on", "at",
    "by", "for", "from", "with", "without", "into", "onto", "about", "between", "through", "under", "over",
    "after", "before", "during", "against", "as", "y", "o", "pero", "que", "de", "en", "con", "por", "para",
    "sin", "sobre", "et", "ou", "mais", "dans", "avec", "pour", "sans", "sur", "und", "oder", "aber", "dass",
    "mit", "von", "zu", "auf", "für", "ohne", "über", "bei",
];

/// Judges the break between two words.
pub fn break_between(before: &str, after: &str) -> Break {
    let word = |text: &str| text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    if is_abbreviation(before) {
        return Break::Torn;
    }
    let end = before.trim_end_matches(['"', '\'', '”', '’', '»', ')']);
    match end.chars().last() {
        Some('.' | '?' | '!' | '…' | '。' | '？' | '！') => return Break::Sentence,
        Some(',' | ';' | ':' | '，' | '、') => return Break::Clause,
        _ => {}
    }
    let last = word(before);
    if ARTICLES.contains(&last.as_str()) || OPENERS.contains(&last.as_str()) {
        return Break::Torn;
    }
    if OPENERS.contains(&word(after).as_str()) { Break::Phrase } else { Break::Words }
}

/// Whether a full stop marks an abbreviation or an initial, not a sentence's end.
pub fn is_abbreviation(word: &str) -> bool {
    let Some(stem) = word.trim_start_matches(|c: char| !c.is_alphanumeric()).strip_suffix('.') else {
        return false;
    };
    let mut letters = stem.chars();
    let is_initial =
        matches!((letters.next(), letters.next()), (Some(c), None) if c.is_uppercase() && c != 'I');
    // "No." is a sentence as often as a number's name, so it counts in lower case only.
    // A number before a line is no sentence; a year at its end is longer.
    let is_number = stem.len() <= 2 && stem.bytes().all(|byte| byte.is_ascii_digit());
    is_initial
        || (is_number && !stem.is_empty())
        || (stem != "No" && ABBREVIATIONS.contains(&stem.to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_initials_articles_and_prepositions_keep_their_word() {
        for (before, after) in [
            ("Mr.", "John"),
            ("(Dr.", "Who"),
            ("J.", "Smith"),
            ("the", "lamb"),
            ("in", "his"),
            ("e.g.", "this"),
        ] {
            assert_eq!(break_between(before, after), Break::Torn, "{before} {after}");
        }
        for (before, after) in
            [("I.", "Then"), ("No.", "Why?"), ("of.", "He"), ("said.\"", "He"), ("Why?", "Oh")]
        {
            assert_eq!(break_between(before, after), Break::Sentence, "{before} {after}");
        }
        assert_eq!(break_between("and,", "then"), Break::Clause);
        assert_eq!(break_between("lamb", "and"), Break::Phrase);
        assert_eq!(break_between("little", "lamb"), Break::Words);
    }
}
