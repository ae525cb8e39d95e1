//! Splitting text into words, in the same way for transcripts, queries and highlights, so that what
//! matches is what is highlighted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chalkstream_formats::sound;
use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RawTokenizer, Stemmer, TextAnalyzer, TokenStream,
};

/// Words that an analyzer remembers. A lesson has some hundred different ones.
const MAX_KNOWN: usize = 8_000;
/// Analyzers kept for the next search. With all their words they take some megabytes.
const MAX_SPARE: usize = 4;
/// Size limit of a word; longer runs are noise.
const MAX_WORD_BYTES: usize = 80;

/// A word of a text, from byte `from` to byte `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextWord {
    /// The word as written, without the apostrophes inside it.
    pub text: String,
    /// First byte.
    pub from: usize,
    /// First byte after it.
    pub to: usize,
    /// True if it follows the previous word without a gap (Chinese, Japanese, Korean): a query of
    /// such words is a phrase.
    pub joined: bool,
}

/// Splits a text into words. Apostrophes inside a word belong to it (`don't` is one word); scripts
/// written without spaces give a word per character.
pub fn split(text: &str) -> Vec<TextWord> {
    let mut words: Vec<TextWord> = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((from, first)) = chars.next() {
        if !first.is_alphanumeric() {
            continue;
        }
        if is_unspaced(first) {
            let joined = words.last().is_some_and(|last| last.to == from);
            words.push(TextWord { text: first.into(), from, to: from + first.len_utf8(), joined });
            continue;
        }
        let mut word = String::from(first);
        let mut to = from + first.len_utf8();
        while let Some(&(at, c)) = chars.peek() {
            if c.is_alphanumeric() && !is_unspaced(c) || is_mark(c) {
                word.push(c);
                to = at + c.len_utf8();
                chars.next();
            } else if is_apostrophe(c) {
                let mut ahead = chars.clone();
                ahead.next();
                if !ahead.peek().is_some_and(|&(_, next)| next.is_alphanumeric() && !is_unspaced(next)) {
                    break;
                }
                word.push('\'');
                chars.next();
            } else {
                break;
            }
        }
        if word.len() <= MAX_WORD_BYTES {
            words.push(TextWord { text: word, from, to, joined: false });
        }
    }
    words
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{02bc}')
}

/// Combining marks: part of the letter before them.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036f}' | '\u{0900}'..='\u{0903}' | '\u{093a}'..='\u{094f}' | '\u{0b80}'..='\u{0bcd}')
}

/// Scripts written without spaces between words.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0e00}'..='\u{0eff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2fa1f}')
}

/// The index terms of a word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// The word itself: lower case, without accents and apostrophes.
    pub exact: String,
    /// Its stem.
    pub stem: String,
    /// Its key by sound; empty if it has none.
    pub sound: String,
}

/// Analyzers that no search uses now. They know the words of the last lessons.
static SPARE: Mutex<Vec<Analyzer>> = Mutex::new(Vec::new());

/// Turns words into index terms.
pub struct Analyzer {
    language: String,
    exact: TextAnalyzer,
    stem: Option<TextAnalyzer>,
    known: HashMap<String, Arc<Forms>>,
}

impl Analyzer {
    /// An analyzer for text in `language`, a BCP 47 tag. Without a stemmer for it, stems equal the
    /// words.
    pub fn new(language: &str) -> Self {
        let exact = TextAnalyzer::builder(RawTokenizer::default())
            .filter(LowerCaser)
            .filter(AsciiFoldingFilter)
            .build();
        let stem = stemmer(language).map(|language| {
            TextAnalyzer::builder(RawTokenizer::default())
                .filter(LowerCaser)
                .filter(Stemmer::new(language))
                .filter(AsciiFoldingFilter)
                .build()
        });
        Self { language: language.into(), exact, stem, known: HashMap::new() }
    }

    /// An analyzer for text in `language` that may know many of its words.
    pub fn spare(language: &str) -> Self {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        match spare.iter().rposition(|analyzer| analyzer.language == language) {
            Some(at) => spare.remove(at),
            None => Self::new(language),
        }
    }

    /// Keeps an analyzer for [`Analyzer::spare`].
    pub fn keep(self) {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(self);
        if spare.len() > MAX_SPARE {
            spare.remove(0);
        }
    }

    /// The word's terms.
    pub fn forms(&mut self, word: &TextWord) -> Arc<Forms> {
        if let Some(forms) = self.known.get(&word.text) {
            return forms.clone();
        }
        let exact = self.exact(word);
        let stem = match &mut self.stem {
            Some(stem) => run(stem, &word.text).replace('\'', ""),
            None => exact.clone(),
        };
        let forms = Arc::new(Forms { sound: sound::key(&exact), exact, stem });
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(word.text.clone(), forms.clone());
        forms
    }

    /// The word itself, see [`Forms::exact`].
    pub fn exact(&mut self, word: &TextWord) -> String {
        match word.text.is_ascii() {
            true => word.text.to_ascii_lowercase(),
            false => run(&mut self.exact, &word.text),
        }
        .replace('\'', "")
    }
}

fn run(analyzer: &mut TextAnalyzer, text: &str) -> String {
    let mut stream = analyzer.token_stream(text);
    if stream.advance() { stream.token().text.clone() } else { String::new() }
}

/// The primary subtag, by which the index stores the languages of transcripts.
pub fn primary(language: &str) -> String {
    language.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
}

fn stemmer(language: &str) -> Option<Language> {
    Some(match primary(language).as_str() {
        "ar" => Language::Arabic,
        "da" => Language::Danish,
        "nl" => Language::Dutch,
        "en" => Language::English,
        "fi" => Language::Finnish,
        "fr" => Language::French,
        "de" => Language::German,
        "el" => Language::Greek,
        "hu" => Language::Hungarian,
        "it" => Language::Italian,
        "no" | "nb" | "nn" => Language::Norwegian,
        "pt" => Language::Portuguese,
        "ro" => Language::Romanian,
        "ru" => Language::Russian,
        "es" => Language::Spanish,
        "sv" => Language::Swedish,
        "ta" => Language::Tamil,
        "tr" => Language::Turkish,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        split(text).into_iter().map(|w| w.text).collect()
    }

    #[test]
    fn words_keep_their_place() {
        let text = "“Don’t” re-think, l'été!";
        let words = split(text);
        assert_eq!(texts(text), ["Don't", "re", "think", "l'été"]);
        for word in &words {
            assert_eq!(text[word.from..word.to].replace('’', "'"), word.text);
        }
    }

    #[test]
    fn unspaced_scripts_give_a_word_a_character() {
        let words = split("你好 world");
        assert_eq!(words.len(), 3);
        assert!(!words[0].joined && words[1].joined && !words[2].joined);
    }

    #[test]
    fn apostrophes_at_the_ends_are_quotes() {
        assert_eq!(texts("'tis the students' 'work'"), ["tis", "the", "students", "work"]);
    }

    #[test]
    fn stems_meet_and_exact_words_do_not() {
        let mut en = Analyzer::new("en-GB");
        let one = split("explaining").remove(0);
        let two = split("Explained").remove(0);
        assert_eq!(en.forms(&one).stem, en.forms(&two).stem);
        assert_ne!(en.forms(&one).exact, en.forms(&two).exact);
        let cafe = split("Café").remove(0);
        assert_eq!(en.forms(&cafe).exact, "cafe");
        assert_eq!(en.forms(&cafe), en.forms(&cafe));
    }
}
