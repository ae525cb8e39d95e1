//! Ordinary words of English and Spanish, which are no misheard names.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Words of lessons, without accents. A name that is one of them is found all the same.
static COMMON: LazyLock<HashSet<&str>> =
    LazyLock::new(|| include_str!("common_words.txt").split_ascii_whitespace().collect());

/// Words without which hardly a sentence can be read. A name that is one of them needs a capital.
const FUNCTION_WORDS: &str = "\
    a an and any are art as at be but by can did do for had has have he her him his how i if in is it \
    its may me my no not of on or our see she so that the their them then they this to up us was we \
    will with you your \
    al como con de del el en es ha han hay la las le les lo los me mi no nos para pero por que se si \
    sin su te tu un una y ya yo \
    au ce da das dem den der des di die du du e ein er est et ich il im ist je les ma mit na o per sa \
    sie son ta un und une von war wie zu";

/// Particles of names: alone they are none.
const PARTICLES: &str = "\
    abu al ap ben bin bint da dal das de del della den der di dos du el ibn la las le los mac mc nic \
    o san st ter van von y zu";

/// Whether a word is an ordinary one, or one of its forms.
pub fn is_common(folded: &str) -> bool {
    if COMMON.contains(folded) {
        return true;
    }
    let base = |ending: &str| {
        // Of shorter ones too much is a form: "Ester" of "este".
        let min = if ending == "s" { 3 } else { 4 };
        folded.strip_suffix(ending).filter(|base: &&str| base.len() >= min)
    };
    let is_known = |base: &str| {
        let doubled = base.as_bytes().last_chunk::<2>().is_some_and(|[a, b]| a == b);
        let single = base.get(..base.len() - 1).filter(|_| doubled);
        COMMON.contains(base) || single.is_some_and(|single| COMMON.contains(single))
    };
    ["s", "es", "ed", "ing", "er", "est", "ly", "y"].iter().any(|ending| {
        base(ending).is_some_and(|base| is_known(base) || COMMON.contains(format!("{base}e").as_str()))
    })
}

/// Whether a word is one that every sentence has.
pub fn is_function_word(folded: &str) -> bool {
    FUNCTION_WORDS.split_ascii_whitespace().any(|word| word == folded)
}

/// Whether a part of a name is only a particle.
pub fn is_particle(folded: &str) -> bool {
    PARTICLES.split_ascii_whitespace().any(|word| word == folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_ordinary_words_are_ordinary() {
        for word in ["divide", "divided", "dividing", "bigger", "gates", "taller", "slowly", "numero"] {
            assert!(is_common(word), "{word}");
        }
        for name in ["maria", "katelyn", "shivon", "bobby"] {
            assert!(!is_common(name), "{name}");
        }
        assert!(is_function_word("will") && !is_function_word("mark"));
    }
}
