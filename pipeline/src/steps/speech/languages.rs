//! The language of every window, from what the model hears in each and from its neighbours.
//!
//! The model gives a probability for every language. A language that the settings list is likelier,
//! and every change costs something. So one odd window among others does not change its language,
//! but a talk of some windows does. The least cost is found by dynamic programming (Viterbi).

use super::words::Word;

/// Consecutive words in one language.
#[derive(Clone, Debug, PartialEq)]
pub struct LanguageSpan {
    /// The language, as whisper.cpp names it.
    pub language: String,
    /// The words.
    pub words: Vec<Word>,
}

/// Returns a language's number; `None` if the model does not know it.
pub fn id(language: &str) -> Option<usize> {
    whisper_rs::get_lang_id(language).and_then(|id| usize::try_from(id).ok())
}

/// Returns a language's name.
pub fn name(id: usize) -> Option<&'static str> {
    whisper_rs::get_lang_str(i32::try_from(id).ok()?)
}

/// Returns the prior of all languages of the model. Those that it does not know are left out.
pub fn prior(likely: &[String]) -> Prior {
    let likely: Vec<usize> = likely.iter().filter_map(|language| id(language)).collect();
    Prior::new(usize::try_from(whisper_rs::get_lang_max_id()).unwrap_or(0) + 1, &likely)
}

/// Adds words to the part before them if that is in the same language.
pub fn append(parts: &mut Vec<LanguageSpan>, language: &str, mut words: Vec<Word>) {
    match parts.last_mut() {
        _ if words.is_empty() => {}
        Some(last) if last.language == language => last.words.append(&mut words),
        _ => parts.push(LanguageSpan { language: language.to_owned(), words }),
    }
}

/// What a window says of its language.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Probability of each language, by whisper.cpp's numbering.
    pub probabilities: Vec<f32>,
    /// Duration of the speech in it, in ms.
    pub speech_ms: u64,
}

/// Factor of the probability of a language that is not among the likely ones.
const UNLIKELY: f32 = 0.05;
/// Probability below which a lower one says no more.
const MIN_PROBABILITY: f32 = 0.001;
/// Speech in a window from which its evidence counts in full, in ms.
const FULL_SPEECH_MS: u64 = 5_000;
/// Cost of a change of language between two windows, in units of log-probability.
const CHANGE_COST: f32 = 2.0;

/// The weight of each language before anything is heard, by whisper.cpp's numbering.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior(Vec<f32>);

impl Prior {
    /// The prior of `count` languages, of which the `likely` are likelier; without any, all are
    /// alike.
    pub fn new(count: usize, likely: &[usize]) -> Self {
        let weight = |id| if likely.is_empty() || likely.contains(&id) { 1.0 } else { UNLIKELY };
        Self((0..count).map(weight).collect())
    }

    /// Returns the language that all windows together make likeliest; `None` without any.
    pub fn likeliest(&self, heard: &[Evidence]) -> Option<usize> {
        let sum = |id: usize| -> f32 {
            let probability = |one: &Evidence| one.probabilities.get(id).copied().unwrap_or(0.0);
            heard.iter().map(probability).sum::<f32>() * self.0[id]
        };
        (0..self.0.len()).filter(|_| !heard.is_empty()).max_by(|a, b| sum(*a).total_cmp(&sum(*b)))
    }

    /// Returns the language of each window in order. Before the first and after the last one it is
    /// taken to be `main`.
    pub fn decode(&self, windows: &[Evidence], main: usize) -> Vec<usize> {
        let languages = self.0.len();
        let change = |from: usize, to: usize| if from == to { 0.0 } else { CHANGE_COST };
        let mut costs: Vec<f32> = (0..languages).map(|id| change(main, id)).collect();
        // `before[n][id]`: the language of window n - 1 if that of window n is `id`.
        let mut before: Vec<Vec<usize>> = Vec::with_capacity(windows.len());
        for window in windows {
            let best = lowest(&costs);
            let stays = |id: usize| costs[id] <= costs[best] + CHANGE_COST;
            let from: Vec<usize> = (0..languages).map(|id| if stays(id) { id } else { best }).collect();
            costs = (0..languages)
                .map(|id| costs[from[id]] + change(from[id], id) + self.cost(window, id))
                .collect();
            before.push(from);
        }
        let ends: Vec<f32> = costs.iter().enumerate().map(|(id, cost)| cost + change(id, main)).collect();
        let mut language = lowest(&ends);
        let mut found = Vec::with_capacity(windows.len());
        for from in before.iter().rev() {
            found.push(language);
            language = from[language];
        }
        found.reverse();
        found
    }

    /// Returns what it costs to take a window for one of a language.
    fn cost(&self, window: &Evidence, id: usize) -> f32 {
        let probability = window.probabilities.get(id).copied().unwrap_or(0.0) * self.0[id];
        let weight = window.speech_ms.min(FULL_SPEECH_MS) as f32 / FULL_SPEECH_MS as f32;
        -probability.max(MIN_PROBABILITY).ln() * weight
    }
}

/// Returns the language with the most speech; `main` if there is no speech.
pub fn most_spoken(windows: &[Evidence], languages: &[usize], main: usize) -> usize {
    let spoken_ms = |id: usize| -> u64 {
        windows.iter().zip(languages).filter(|(_, own)| **own == id).map(|(window, _)| window.speech_ms).sum()
    };
    languages.iter().copied().max_by_key(|id| (spoken_ms(*id), *id == main)).unwrap_or(main)
}

fn lowest(costs: &[f32]) -> usize {
    costs.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: usize = 0;
    const SPANISH: usize = 1;
    const WELSH: usize = 2;

    /// A window of ten seconds; the rest of the probability is Welsh.
    fn window(english: f32, spanish: f32) -> Evidence {
        Evidence { probabilities: vec![english, spanish, 1.0 - english - spanish], speech_ms: 10_000 }
    }

    fn decode(windows: &[Evidence], likely: &[usize]) -> Vec<usize> {
        Prior::new(3, likely).decode(windows, ENGLISH)
    }

    #[test]
    fn an_odd_window_keeps_the_language_and_a_talk_changes_it() {
        let (en, es, odd) = (window(0.98, 0.01), window(0.01, 0.98), window(0.1, 0.1));
        assert_eq!(decode(&[en.clone(), odd.clone(), en.clone()], &[]), [ENGLISH; 3]);
        assert_eq!(decode(&[odd.clone(), en.clone()], &[]), [ENGLISH; 2]);
        let lesson = [en.clone(), es.clone(), odd, es.clone(), en.clone()];
        let unsure = [ENGLISH, SPANISH, SPANISH, SPANISH, ENGLISH];
        assert_eq!(decode(&lesson, &[ENGLISH, SPANISH]), unsure);
        assert_eq!(decode(&[es.clone(), es.clone(), en.clone()], &[]), [SPANISH, SPANISH, ENGLISH]);
        assert_eq!(decode(&[en.clone(), es.clone(), en], &[]), [ENGLISH, SPANISH, ENGLISH], "a sure one");
        assert_eq!(decode(&[], &[]), [] as [usize; 0]);
    }

    #[test]
    fn a_short_window_says_little() {
        let (en, es) = (window(0.98, 0.01), window(0.0, 1.0));
        let word = Evidence { speech_ms: 1_000, ..es };
        assert_eq!(decode(&[en.clone(), word.clone(), en.clone()], &[]), [ENGLISH; 3]);
        let talk = [vec![en.clone()], vec![word; 8], vec![en]].concat();
        assert_eq!(decode(&talk, &[])[1..9], [SPANISH; 8]);
    }

    #[test]
    fn likely_languages_are_preferred_and_others_possible() {
        let unsure = window(0.25, 0.05);
        let prior = Prior::new(3, &[ENGLISH, SPANISH]);
        assert_eq!(prior.likeliest(std::slice::from_ref(&unsure)), Some(ENGLISH));
        assert_eq!(Prior::new(3, &[]).likeliest(&[unsure]), Some(WELSH));
        assert_eq!(prior.likeliest(&[window(0.01, 0.01)]), Some(WELSH), "it is sure");
        assert_eq!(prior.likeliest(&[]), None);
    }

    #[test]
    fn the_main_language_is_that_of_most_speech() {
        let windows = [window(1.0, 0.0), window(0.0, 1.0), window(0.0, 1.0)];
        assert_eq!(most_spoken(&windows, &[ENGLISH, SPANISH, SPANISH], ENGLISH), SPANISH);
        assert_eq!(most_spoken(&windows[..2], &[ENGLISH, SPANISH], ENGLISH), ENGLISH);
        assert_eq!(most_spoken(&[], &[], WELSH), WELSH);
    }
}
