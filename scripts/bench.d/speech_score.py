"""Word errors: a normaliser in Whisper's manner, edit operations, and a bootstrap interval."""

import random
import re

NUMBERS = {str(n): word for n, word in enumerate("zero one two three four five six seven eight nine ten".split())}
SAME = {
    **NUMBERS,
    "mr": "mister",
    "mrs": "missus",
    "dr": "doctor",
    "st": "saint",
    "okay": "ok",
    "grey": "gray",
    "colour": "color",
    "favourite": "favorite",
    "neighbour": "neighbor",
    "lilly": "lily",
    "lynda": "linda",
}
CONTRACTIONS = [
    (r"\bwon't\b", "will not"),
    (r"\bcan't\b", "can not"),
    (r"\bcannot\b", "can not"),
    (r"n't\b", " not"),
    (r"\blet's\b", "let us"),
    (r"'m\b", " am"),
    (r"'re\b", " are"),
    (r"'ll\b", " will"),
    (r"'ve\b", " have"),
    (r"'d\b", " would"),
    (r"\b(it|that|what|there|he|she|who|where|here)'s\b", r"\1 is"),
]
FILLERS = {"um", "uh", "hmm", "mm", "mhm", "ah", "er"}
RESAMPLES = 1000


def words(text):
    """The words of a text, as they are compared."""
    text = text.lower().replace("’", "'").replace("-", " ")
    text = re.sub(r"[\[(][^\])]*[\])]", " ", text)
    for pattern, plain in CONTRACTIONS:
        text = re.sub(pattern, plain, text)
    found = re.sub(r"[^a-z0-9' ]", " ", text).split()
    plain = [word.strip("'") for word in found]
    return [SAME.get(word, word) for word in plain if word and word not in FILLERS]


def operations(said, heard):
    """Substitutions, deletions and insertions of the least edit."""
    row = [(j, 0, 0, j) for j in range(len(heard) + 1)]
    for i, word in enumerate(said, 1):
        before, row = row, [(i, 0, i, 0)]
        for j, other in enumerate(heard, 1):
            cost, s, d, n = before[j - 1]
            change = word != other
            best = (cost + change, s + change, d, n)
            cost, s, d, n = before[j]
            best = min(best, (cost + 1, s, d + 1, n))
            cost, s, d, n = row[j - 1]
            row.append(min(best, (cost + 1, s, d, n + 1)))
    return row[-1][1:]


def interval(items):
    """95% of the error rate, drawn again from (words, errors) of each item."""
    draw, rates = random.Random(7), []
    for _ in range(RESAMPLES):
        sample = draw.choices(items, k=len(items))
        rates.append(100 * sum(errors for _, errors in sample) / max(1, sum(count for count, _ in sample)))
    rates.sort()
    return rates[int(0.025 * RESAMPLES)], rates[int(0.975 * RESAMPLES)]
