//! Words that may be said, as hints for the model.

use std::collections::HashSet;

use chalkstream_formats::names::{NameList, Names};
use chalkstream_formats::vocabulary::Vocabulary;

/// Returns the terms of all lists in order, each once, without any that has a name of `names`:
/// a hint makes the model write it.
pub fn hints(lists: &[Vocabulary], names: Option<&NameList>) -> Vec<String> {
    let mut seen = HashSet::new();
    let all = lists.iter().flat_map(Vocabulary::iter).filter(|term| seen.insert(*term));
    let Some(names) = names.filter(|names| !names.is_empty()).map(Names::new) else {
        return all.map(str::to_owned).collect();
    };
    let mut kept: Vec<&str> = all.filter(|term| names.redact(term) == **term).collect();
    // A name may be spread over terms. Without it, others are next to each other.
    loop {
        let joined = names.redact_words(&kept, true);
        let without: Vec<&str> = joined
            .into_iter()
            .filter(|one| !one.has_name && one.pieces.len() == 1)
            .filter_map(|one| kept.get(one.pieces.start).copied())
            .collect();
        if without.len() == kept.len() {
            return kept.into_iter().map(str::to_owned).collect();
        }
        kept = without;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(texts: &[&str]) -> Vec<Vocabulary> {
        texts.iter().map(|text| Vocabulary::parse(text).unwrap()).collect()
    }

    #[test]
    fn the_terms_of_the_first_list_come_first_and_each_once() {
        let lists = lists(&["denominator, Ms Okafor", "TalkMoves, denominator"]);
        assert_eq!(hints(&lists, None), ["denominator", "Ms Okafor", "TalkMoves"]);
        assert_eq!(hints(&lists, Some(&NameList::default())), ["denominator", "Ms Okafor", "TalkMoves"]);
        assert!(hints(&[], None).is_empty());
    }

    #[test]
    fn no_name_of_the_list_is_a_hint() {
        let names = NameList::from_lines("Caitlin Okafor\nJuan\nAnna").unwrap();
        let text = "numerator, Ms Okafor, okafor, Kaitlyn, Juanito's graph, An, na, Caitlin-Mae, area";
        assert_eq!(hints(&lists(&[text]), Some(&names)), ["numerator", "area"]);
    }
}
