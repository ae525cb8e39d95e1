//! What must hold of the names of two hundred pupils in fifty transcripts, and of any text.

use proptest::prelude::*;

use super::tokens::tokens;
use super::*;

/// A row of the fixture.
struct Pupil {
    name: String,
    inflected: Vec<String>,
    misheard: Vec<String>,
    /// Misheard too, but never looked at when the rules were made.
    held_out: Vec<String>,
}

fn pupils() -> Vec<Pupil> {
    let text = include_str!("../../../tests/fixtures/names.txt");
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let pupil = |row: &str| {
        let columns: Vec<&str> = row.split(" | ").collect();
        let forms = |column: &str| column.split(", ").map(str::to_owned).collect();
        let [name, inflected, misheard, held_out] = columns[..] else { panic!("four columns: {row}") };
        Pupil {
            name: name.to_owned(),
            inflected: forms(inflected),
            misheard: forms(misheard),
            held_out: forms(held_out),
        }
    };
    rows.map(pupil).collect()
}

fn names(list: &[&str]) -> Names {
    Names::new(&NameList::new(list.iter().map(|name| (*name).to_owned())).unwrap())
}

/// A generator of numbers (xorshift), seeded.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Sentences of a lesson, `@` where a name is said.
const SENTENCES: [&str; 24] = [
    "@, what is a half of a third?",
    "Can you tell us why, @?",
    "I think @ is right about the numerator.",
    "Let's hear from @ and then we will move on.",
    "Where did @ put the ruler?",
    "That is @'s book, please give it back.",
    "\"Good morning, @!\" said the whole class.",
    "@ and I measured the angle twice.",
    "Listen to @… and now write it down.",
    "So @: what do you notice here?",
    "Work with @, you two are a pair.",
    "We saw what (@) wrote on the board.",
    "Thank you, @. Sit down.",
    "Give @ a moment to think.",
    "Is it the same as @—or different?",
    "Bien, @, muy bien.",
    "¿Qué dice @ de la pregunta?",
    "Nobody but @ had the answer.",
    "@'ll show us how it is done.",
    "Now multiply both sides by four and check.",
    "The denominator says how many parts there are.",
    "Will you open the window, it is warm in here?",
    "Who can tell me the perimeter of this square?",
    "Mark the place on the map with a small cross.",
];

/// A transcript in which each form is said, as words, with the index of the word for each.
fn transcript(random: &mut Random, said: &[String]) -> (Vec<String>, Vec<usize>) {
    let (mut words, mut at) = (Vec::new(), Vec::new());
    for form in said {
        let sentence = SENTENCES[random.below(19)];
        let start = words.len();
        let before = sentence.split('@').next().unwrap_or_default();
        at.push(start + before.split(' ').count() - 1);
        words.extend(sentence.replace('@', form).split(' ').map(str::to_owned));
        if random.below(3) == 0 {
            words.extend(SENTENCES[19 + random.below(5)].split(' ').map(str::to_owned));
        }
    }
    (words, at)
}

/// How many of the forms are removed from fifty transcripts, and those that are not.
fn recall(seed: u64, names: &Names, forms: &[String]) -> (usize, Vec<String>) {
    let mut random = Random(seed);
    let mut left = Vec::new();
    for lesson in 0..50 {
        let said: Vec<String> = forms.iter().skip(lesson).step_by(50).cloned().collect();
        let (words, at) = transcript(&mut random, &said);
        let texts: Vec<&str> = words.iter().map(String::as_str).collect();
        let joined = names.redact_words(&texts, true);
        for (form, at) in said.iter().zip(at) {
            let count = form.split(' ').count();
            // Every word in which the form is has lost all of it.
            let inside = joined.iter().filter(|one| one.pieces.end > at && one.pieces.start < at + count);
            let parts: Vec<String> = tokens(form).into_iter().map(|token| token.folded).collect();
            let is_left = |text: &str| {
                tokens(text)
                    .iter()
                    .any(|token| token.folded.chars().count() > 1 && parts.contains(&token.folded))
            };
            if inside.clone().any(|one| is_left(&one.text)) || !inside.clone().any(|one| one.has_name) {
                left.push(form.clone());
            }
        }
    }
    (forms.len() - left.len(), left)
}

#[test]
fn two_hundred_names_are_removed_from_fifty_transcripts() {
    let pupils = pupils();
    assert_eq!(pupils.len(), 200);
    let list: Vec<&str> = pupils.iter().map(|pupil| pupil.name.as_str()).collect();
    let names = names(&list);
    let exact: Vec<String> = pupils.iter().map(|pupil| pupil.name.clone()).collect();
    let mut inflected: Vec<String> = pupils.iter().flat_map(|pupil| pupil.inflected.clone()).collect();
    inflected.extend(exact.iter().flat_map(|name| [format!("{name}'s"), format!("{name}s'")]));
    let misheard: Vec<String> = pupils.iter().flat_map(|pupil| pupil.misheard.clone()).collect();
    let held_out: Vec<String> = pupils.iter().flat_map(|pupil| pupil.held_out.clone()).collect();
    let mut shares = Vec::new();
    for (kind, forms) in
        [("exact", exact), ("inflected", inflected), ("misheard", misheard), ("misheard, held out", held_out)]
    {
        let (removed, left) = recall(20_261_130, &names, &forms);
        let share = removed as f64 / forms.len() as f64;
        println!("{kind}: {removed} of {}, {:.1}%; left: {}", forms.len(), 100.0 * share, left.join(", "));
        shares.push(share);
    }
    assert!(shares[0] >= 1.0 && shares[1] >= 1.0, "exact and inflected: {shares:?}");
    assert!(shares[2] > 0.9 && shares[3] > 0.8, "misheard: {shares:?}");
}

#[test]
fn ordinary_words_stay() {
    let pupils = pupils();
    let list: Vec<&str> = pupils.iter().map(|pupil| pupil.name.as_str()).collect();
    let names = names(&list);
    let plain = SENTENCES[19..].join(" ").replace("Mark", "Draw").replace("Will", "Can");
    assert_eq!(names.redact(&plain), plain);
    let words = include_str!("common_words.txt").split_ascii_whitespace();
    let lost: Vec<&str> =
        words.filter(|word| names.redact(&format!("So {word} again")).contains('[')).collect();
    // Only those that are on the list themselves.
    assert_eq!(lost, ["hope", "mark", "mia", "mias", "rose"], "ordinary words that are lost");
}

#[test]
fn names_in_all_their_shapes() {
    let names =
        names(&["Maria", "Maria-Elena", "Jo", "Anna", "O'Brien", "Li Wei", "Lopez Garcia", "Isa", "Mark"]);
    for (text, expected) in [
        ("Maria's book, Marias' books.", "[name]'s book, [name]' books."),
        ("«MARIA» and maria!", "«[name]» and [name]!"),
        ("Maria-Elena's turn", "[name]'s turn"),
        ("Maria-Sofia and Ana-Maria", "[name] and [name]"),
        ("Maria/Jo", "[name]/[name]"),
        ("An na, sit.", "[name], sit."),
        ("this is a test of Isa", "this is a test of [name]"),
        ("O’Brien, OBrien, o brien", "[name], [name], [name]"),
        ("Li Wei or Wei", "[name] or [name]"),
        ("Mr. Lopez Garcia", "Mr. [name]"),
        ("Maria Elena", "[name]"),
        ("mark it, Mark: ten marks", "[name] it, [name]: ten [name]"),
        ("[name] was here", "[name] was here"),
        ("Ma\u{301}ria and M\u{200b}aria", "[name] and [name]"),
        ("a marina", "a marina"),
    ] {
        assert_eq!(names.redact(text), expected, "{text}");
    }
}

#[test]
fn a_name_that_every_sentence_has_needs_a_capital() {
    let names = names(&["Will", "May Ling", "Hope Brown"]);
    assert_eq!(names.redact("Will, you will see it."), "[name], you will see it.");
    assert_eq!(names.redact("May I? Then Will's book."), "[name] I? Then [name]'s book.");
    assert_eq!(names.redact("The brown dog has hope"), "The brown dog has hope", "parts of full names");
    assert_eq!(names.redact("Brown and hope brown"), "[name] and [name]");
    assert_eq!(names.redact("will you come, will"), "[name] you come, [name]", "a text without capitals");
}

#[test]
fn other_scripts_and_their_endings() {
    let names = names(&["王伟", "민준", "محمد", "Дмитрий", "Γιώργος", "สมชาย"]);
    for text in ["王伟来了", "민준이가", "ومحمد", "Дмитрием", "Γιώργου", "นายสมชายครับ"]
    {
        let redacted = names.redact(text);
        assert!(redacted.contains(PLACEHOLDER), "{text}: {redacted}");
    }
    assert_eq!(names.redact("你好王伟。"), "你好[name]。");
    assert_eq!(self::names(&["प्रिया", "আব্দুল"]).redact("प्रिया, আব্দুল!"), "[name], [name]!");
    // In a script without spaces a long name has many words of one character.
    let long = "อนุชาวงศ์สวัสดิ์พิพัฒน์กุล";
    let names = self::names(&[long]);
    assert_eq!(names.redact(&format!("คุณ{long}ครับ")), "คุณ[name]ครับ");
}

#[test]
fn words_and_lines_keep_what_is_around_a_name() {
    let names = names(&["Anna Lopez", "Maria"]);
    let joined = names.redact_words(&["So,", "Anna", "Lopez,", "Maria?", "yes"], true);
    let texts: Vec<(&str, usize)> = joined.iter().map(|one| (one.text.as_str(), one.pieces.len())).collect();
    assert_eq!(texts, [("So,", 1), ("[name],", 2), ("[name]?", 1), ("yes", 1)]);
    assert_eq!(joined.iter().filter(|one| one.has_name).count(), 2);
    assert_eq!(
        names.redact_lines(&["Give it to Anna", "Lopez, please", ""]),
        ["Give it to [name]", ", please", ""]
    );
}

/// Words, some of them names, with all kinds of marks between.
fn any_text() -> impl Strategy<Value = String> {
    let word = prop_oneof!["[a-zA-Z]{1,8}", "\\PC{0,4}", Just("Maria".into()), Just("Anna Lopez".into())];
    let mark =
        prop_oneof![Just(" "), Just("-"), Just("'"), Just(", "), Just("/"), Just("\n"), Just("[name]")];
    prop::collection::vec((word, mark), 0..20)
        .prop_map(|all| all.into_iter().map(|(word, mark): (String, &str)| word + mark).collect())
}

proptest! {
    #[test]
    fn a_listed_name_is_gone_from_any_text(text in any_text(), name in "[A-Z][a-zé]{3,9}( [A-Z][a-z]{3,9})?") {
        let names = names(&[&name, "Maria"]);
        for said in [format!("{text} {name}"), format!("{name}'s {text}"), format!("{text} ({name}), {text}")] {
            let redacted = names.redact(&said);
            prop_assert!(!redacted.contains(&name), "{redacted}");
            prop_assert_eq!(names.redact(&redacted), redacted.clone(), "again nothing is found");
        }
    }

    #[test]
    fn what_is_found_is_in_order_and_words_are_never_lost(text in any_text()) {
        let names = names(&["Maria", "Anna Lopez"]);
        let found = names.find(&text);
        prop_assert!(found.windows(2).all(|two| two[0].end <= two[1].start));
        prop_assert!(found.iter().all(|one| text.get(one.clone()).is_some_and(|name| !name.is_empty())));
        let words: Vec<&str> = text.split_whitespace().collect();
        let joined = names.redact_words(&words, true);
        let pieces: Vec<usize> = joined.iter().flat_map(|one| one.pieces.clone()).collect();
        prop_assert_eq!(pieces, (0..words.len()).collect::<Vec<_>>());
        let redacted = joined.iter().map(|one| one.text.as_str()).collect::<Vec<_>>().join(" ");
        prop_assert_eq!(redacted, names.redact(&words.join(" ")));
        let joined = names.redact_words(&words, false);
        let pieces: Vec<usize> = joined.iter().flat_map(|one| one.pieces.clone()).collect();
        prop_assert_eq!(pieces, (0..words.len()).collect::<Vec<_>>(), "without spaces");
        let is_left = |one: &Joined| one.text.split_whitespace().any(|word| word == "Maria");
        prop_assert!(!joined.iter().any(is_left), "{joined:?}");
    }

    #[test]
    fn no_list_and_no_text_makes_it_panic(list in prop::collection::vec("\\PC{0,20}", 0..8), text in "(?s).{0,200}") {
        if let Ok(list) = NameList::new(list) {
            let names = Names::new(&list);
            names.redact(&text);
            names.redact_lines(&text.split('\n').collect::<Vec<_>>());
        }
    }
}
