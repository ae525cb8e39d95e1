//! Endings of inflected names. An apostrophe separates words, so `'s` needs none.

/// An ending, and what the name has in its place.
struct Ending {
    ending: &'static str,
    bases: &'static [&'static str],
}

const fn ending(ending: &'static str, bases: &'static [&'static str]) -> Ending {
    Ending { ending, bases }
}

/// Letters that a name has without its ending.
const MIN_BASE_CHARS: usize = 3;

/// Plurals and genitives. They say as much as the name itself.
const PLURALS: &[Ending] = &[ending("s", &[""]), ending("es", &[""]), ending("ies", &["y"])];

/// Endings of other languages, without accents. With them a name may be an ordinary word, which is
/// spared.
const CASES: &[Ending] = &[
    // Spanish and Portuguese diminutives.
    ending("ito", &["", "o", "e"]),
    ending("ita", &["", "a", "e"]),
    ending("itos", &["", "o", "os"]),
    ending("itas", &["", "a", "as"]),
    ending("lito", &[""]),
    ending("lita", &[""]),
    ending("cito", &["", "e"]),
    ending("cita", &["", "e", "cia"]),
    ending("guito", &["go"]),
    ending("guita", &["ga"]),
    ending("quito", &["co"]),
    ending("quita", &["ca"]),
    ending("inho", &["", "o"]),
    ending("inha", &["", "a"]),
    // German genitives and diminutives.
    ending("ens", &[""]),
    ending("chen", &["", "e"]),
    ending("lein", &["", "e"]),
    // Cases of Slavic names in Latin letters.
    ending("a", &["", "o"]),
    ending("u", &["", "a", "o"]),
    ending("owi", &["", "a", "o"]),
    ending("ovi", &["", "a", "o"]),
    ending("em", &["", "ek", "o"]),
    ending("iem", &["", "i"]),
    ending("om", &["", "o"]),
    ending("y", &["a"]),
    ending("i", &["a", "ia"]),
    ending("e", &["", "a"]),
    ending("ie", &["", "a"]),
    ending("ii", &["ia"]),
    ending("o", &["a"]),
    ending("ou", &["a"]),
    ending("oj", &["a"]),
    ending("ze", &["a"]),
    ending("rze", &["ra"]),
    ending("ova", &["", "a"]),
    // The same in Cyrillic.
    ending("а", &["", "о"]),
    ending("у", &["", "а", "о"]),
    ending("ом", &["", "о"]),
    ending("ем", &["", "ь", "й"]),
    ending("е", &["", "а", "я"]),
    ending("ы", &["а", ""]),
    ending("и", &["а", "я", "ь"]),
    ending("ой", &["а"]),
    ending("ою", &["а"]),
    ending("ей", &["а", "я"]),
    ending("я", &["й", "ь"]),
    ending("ю", &["я", "й", "ь"]),
    ending("ия", &["ий"]),
    ending("ию", &["ий", "ия"]),
    ending("ием", &["ий"]),
    ending("ии", &["ий", "ия"]),
    ending("ову", &["ова", ""]),
    ending("ым", &[""]),
    ending("ові", &["", "о"]),
    ending("еві", &["й", "ь"]),
    // Greek.
    ending("ου", &["οσ"]),
    ending("ο", &["οσ"]),
    ending("ε", &["οσ"]),
    ending("α", &["ασ"]),
    ending("η", &["ησ"]),
    ending("ησ", &["η"]),
    ending("ασ", &["α"]),
];

/// Beginnings that Arabic and Hebrew write together with a name: "and", "to", "with", "the".
const PREFIXES: &[&str] = &[
    "و", "ف", "ب", "ل", "ك", "ال", "وال", "بال", "ول", "وب", "ו", "ל", "ב", "כ", "מ", "ש", "ה", "ול", "וב",
    "של",
];

/// How a base is inflected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inflection {
    /// By an ending that says as much as the name itself.
    Plural,
    /// By one with which it may be another word.
    Case,
}

/// Calls `is_name` with every word of which `word` may be an inflected form, until one is a name.
pub fn find_base(word: &str, mut is_name: impl FnMut(&str, Inflection) -> bool) -> bool {
    let mut base = String::with_capacity(word.len() + 4);
    let endings = PLURALS.iter().map(|one| (one, Inflection::Plural));
    for (one, inflection) in endings.chain(CASES.iter().map(|one| (one, Inflection::Case))) {
        let Some(stem) = word.strip_suffix(one.ending) else { continue };
        for with in one.bases {
            base.clear();
            base.push_str(stem);
            base.push_str(with);
            if base.chars().count() >= MIN_BASE_CHARS && is_name(&base, inflection) {
                return true;
            }
        }
    }
    let bases = PREFIXES.iter().filter_map(|prefix| word.strip_prefix(prefix));
    let mut long = bases.filter(|base| base.chars().count() >= MIN_BASE_CHARS);
    long.any(|base| is_name(base, Inflection::Plural))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflected_names_have_their_base() {
        for (word, base) in [
            ("marias", "maria"),
            ("jameses", "james"),
            ("jennies", "jenny"),
            ("juanito", "juan"),
            ("carlitos", "carlos"),
            ("dieguito", "diego"),
            ("hansens", "hans"),
            ("katarzyne", "katarzyna"),
            ("aleksandrze", "aleksandra"),
            ("lukaszowi", "lukasz"),
            ("дмитрием", "дмитрий"),
            ("γιωργου", "γιωργοσ"),
            ("ومحمد", "محمد"),
        ] {
            assert!(find_base(word, |one, _| one == base), "{word}");
        }
        assert!(!find_base("jo", |_, _| true), "too short");
    }
}
