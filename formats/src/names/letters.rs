//! Letters without case, accents and other variants of writing, and letters of other alphabets as
//! they sound in Latin ones.

/// Letters of the Latin alphabet with accents, and what they are without.
const LATIN: &[(&str, &str)] = &[
    ("àáâãäåāăąǎạảấầẩẫậắằẳẵặǻ", "a"),
    ("æǽ", "ae"),
    ("ḃ", "b"),
    ("çćĉċč", "c"),
    ("ďđḋḍð", "d"),
    ("èéêëēĕėęěẹẻẽếềểễệə", "e"),
    ("ḟ", "f"),
    ("ĝğġģǧ", "g"),
    ("ĥħḥḫ", "h"),
    ("ìíîïĩīĭįıǐỉị", "i"),
    ("ĵ", "j"),
    ("ķĸǩ", "k"),
    ("ĺļľŀłḷ", "l"),
    ("ṁṃ", "m"),
    ("ñńņňŉŋṅṇ", "n"),
    ("òóôõöøōŏőǒọỏốồổỗộơớờởỡợǿ", "o"),
    ("œ", "oe"),
    ("ŕŗřṛ", "r"),
    ("śŝşšșṡṣ", "s"),
    ("ß", "ss"),
    ("ţťŧțṫṭ", "t"),
    ("þ", "th"),
    ("ùúûüũūŭůűųǔụủưứừửữự", "u"),
    ("ŵẁẃẅ", "w"),
    ("ýÿŷỳỵỷỹ", "y"),
    ("źżžẓ", "z"),
];

/// Letters of other alphabets of which writers use one for another.
const OTHERS: &[(&str, &str)] = &[
    ("ё", "е"),
    ("ґ", "г"),
    ("ά", "α"),
    ("έ", "ε"),
    ("ή", "η"),
    ("ίϊΐ", "ι"),
    ("ό", "ο"),
    ("ύϋΰ", "υ"),
    ("ώ", "ω"),
    ("ς", "σ"),
    ("أإآٱ", "ا"),
    ("ى", "ي"),
    ("ة", "ه"),
    ("ؤ", "و"),
    ("ئ", "ي"),
    ("ک", "ك"),
    ("ی", "ي"),
    ("ך", "כ"),
    ("ם", "מ"),
    ("ן", "נ"),
    ("ף", "פ"),
    ("ץ", "צ"),
];

/// Cyrillic and Greek letters as they sound.
const SOUNDS: &[(&str, &str)] = &[
    ("аα", "a"),
    ("бβ", "b"),
    ("вϐ", "v"),
    ("гґγ", "g"),
    ("дδ", "d"),
    ("еєэε", "e"),
    ("жџ", "zh"),
    ("зζ", "z"),
    ("иіїйыιηυ", "i"),
    ("кκ", "k"),
    ("лλљ", "l"),
    ("мμ", "m"),
    ("нνњ", "n"),
    ("оωο", "o"),
    ("пπ", "p"),
    ("рρ", "r"),
    ("сσ", "s"),
    ("тτ", "t"),
    ("у", "u"),
    ("фφ", "f"),
    ("хχ", "h"),
    ("ц", "ts"),
    ("чћђ", "ch"),
    ("шщ", "sh"),
    ("ю", "yu"),
    ("я", "ya"),
    ("ј", "y"),
    ("θ", "th"),
    ("ξ", "ks"),
    ("ψ", "ps"),
    ("ьъ", ""),
];

/// Whether a character belongs to a word: a letter, a digit, a mark on a letter, or one that is
/// not visible.
pub fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || is_dropped(c)
}

/// Marks on letters, and characters that are not visible.
fn is_dropped(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036f}' | '\u{0591}'..='\u{05bd}' | '\u{05bf}'..='\u{05c7}'
        | '\u{0610}'..='\u{061a}' | '\u{0640}' | '\u{064b}'..='\u{065f}' | '\u{0670}'
        | '\u{00ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
        || is_joining(c)
}

/// Marks of scripts from India to Cambodia that join letters, or say their tone.
fn is_joining(c: char) -> bool {
    matches!(c, '\u{093c}' | '\u{094d}' | '\u{09bc}' | '\u{09cd}' | '\u{0a3c}' | '\u{0a4d}'
        | '\u{0abc}' | '\u{0acd}' | '\u{0b3c}' | '\u{0b4d}' | '\u{0bcd}' | '\u{0c4d}' | '\u{0cbc}'
        | '\u{0ccd}' | '\u{0d4d}' | '\u{0dca}' | '\u{0e47}'..='\u{0e4e}' | '\u{0eba}'
        | '\u{0ec8}'..='\u{0ecd}' | '\u{1037}' | '\u{1039}'..='\u{103a}' | '\u{17c6}'..='\u{17d3}')
}

/// Appends a character as it is compared: lower case, without accents. Appends nothing for a mark.
pub fn fold(c: char, out: &mut String) {
    if c.is_ascii() {
        out.push(c.to_ascii_lowercase());
        return;
    }
    // Latin letters as wide as Chinese ones.
    if let '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}' = c {
        let narrow = char::from_u32(c as u32 - 0xfee0).unwrap_or(c);
        out.push(narrow.to_ascii_lowercase());
        return;
    }
    for lower in c.to_lowercase() {
        if is_dropped(lower) {
            continue;
        }
        let table =
            if lower < '\u{0370}' || ('\u{1e00}'..'\u{1f00}').contains(&lower) { LATIN } else { OTHERS };
        match replaced(table, lower) {
            Some(base) => out.push_str(base),
            None => out.push(lower),
        }
    }
}

/// A folded word in Latin letters, as it sounds; `None` if its alphabet is not known here.
pub fn latin(folded: &str) -> Option<String> {
    let mut out = String::with_capacity(folded.len());
    for c in folded.chars() {
        match replaced(SOUNDS, c) {
            _ if c.is_ascii_lowercase() => out.push(c),
            Some(sound) => out.push_str(sound),
            None => return None,
        }
    }
    Some(out)
}

/// Whether words of its script are written without spaces or with endings joined to them: one
/// character is a word then.
pub fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2fa1f}')
}

fn replaced(table: &[(&str, &'static str)], c: char) -> Option<&'static str> {
    table.iter().find(|(from, _)| from.contains(c)).map(|(_, to)| *to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut out = String::new();
        text.chars().for_each(|c| fold(c, &mut out));
        out
    }

    #[test]
    fn case_accents_and_variants_are_gone() {
        for (written, plain) in [
            ("Łukasz", "lukasz"),
            ("JOSÉ", "jose"),
            ("Jose\u{301}", "jose"),
            ("Nguyễn", "nguyen"),
            ("Björn Strauß", "bjorn strauss"),
            ("İbrahim", "ibrahim"),
            ("Ｍａｒｉａ", "maria"),
            ("Ma\u{ad}ria\u{200b}", "maria"),
            ("Фёдор", "федор"),
            ("Γιώργος", "γιωργοσ"),
            ("مُحَمَّد", "محمد"),
            ("فاطمة", "فاطمه"),
        ] {
            assert_eq!(folded(written), plain);
        }
    }

    #[test]
    fn other_alphabets_have_a_sound() {
        assert_eq!(latin("дмитрий").as_deref(), Some("dmitrii"));
        assert_eq!(latin("γιωργοσ").as_deref(), Some("giorgos"));
        assert_eq!(latin("محمد"), None);
        assert_eq!(latin("o2"), None);
    }
}
