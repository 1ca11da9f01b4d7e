"""A text as the words that should be heard, and in which language: both sides of a comparison go through here.

Numbers, money and abbreviations become words, contractions their full forms, and tags (``[laughs]``, ``♪``) leave the
text: they are no words to say, but are kept aside so that a voice that reads them aloud is noticed.

Light module: `bark_infinity.prompts` and `bark_infinity.text_normalisation`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from bark_infinity.prompts.pieces import TAG
from bark_infinity.text_normalisation import LETTER_NAMES, normalise

_CONTRACTED = {
    **{"won't": "will not", "can't": "can not", "cannot": "can not", "shan't": "shall not", "ain't": "is not"},
    **{"let's": "let us", "gonna": "going to", "wanna": "want to", "gotta": "got to", "gimme": "give me"},
    **{"lemme": "let me", "kinda": "kind of", "okay": "ok", "y'all": "you all", "'cause": "because"},
}
_ENDINGS = (("n't", "not"), ("'re", "are"), ("'ve", "have"), ("'ll", "will"), ("'m", "am"), ("'d", "would"))
_TAKES_IS = frozenset(
    [
        "it",
        "he",
        "she",
        "that",
        "this",
        "what",
        "there",
        "here",
        "who",
        "where",
        "how",
        "when",
        "why",
        "everything",
        "nothing",
    ]
)
_SPELLED = {letter: name for letter, name in LETTER_NAMES.items() if letter not in "ai"} | {"ok": "oh kay"}

_SCRIPTS = {
    "HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "zh", "CYRILLIC": "ru", "DEVANAGARI": "hi",
    "ARABIC": "ar", "HEBREW": "he", "GREEK": "el", "THAI": "th",
}  # fmt: skip
# The commonest words that no other language here shares.
_COMMON = {
    "en": "the and of to is that it was for on are with they this have from you not what we your she which do how "
    "their there will my would me been who its did get has him her can all but or were hello yes please",
    "de": "der das und ist nicht ein eine ich sie zu den mit auf für dem von es sich auch wir wie bei aber noch nur",
    "fr": "le les et est une des que pas je vous il pour dans ce qui sur au avec nous elle mais sont bonjour très",
    "es": "el los las y es en una por con para que no lo su está pero más como muy hola este ella yo gracias",
    "it": "il lo gli di che è un per non una sono con mi ha ho questo ma come anche del della ciao molto",
    "pt": "o os as um uma não que é para com do da em por mais mas como está você ele ela muito olá isso",
    "pl": "nie się na jest że to i z do jak co tak ale po już czy mnie był dla ja ty cześć bardzo",
    "tr": "bir ve bu da için çok ne ben sen o mi değil var daha ama gibi kadar her merhaba nasıl",
}
_COMMON_WORDS = {language: frozenset(words.split()) for language, words in _COMMON.items()}


@dataclass(frozen=True)
class SpokenWords:
    """What of a text is said.

    Attributes:
        words: Lower-case words of a-z.
        tags: Words that stand in [brackets]; they should not be said.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]


def spoken_words(text: str) -> SpokenWords:
    """The words of an English text as a recogniser should hear them, and those of its tags."""
    tags = tuple(word for tag in TAG.findall(text) for word in _words(tag[1:-1]))
    return SpokenWords(_words(TAG.sub(" ", text)), tags)


def _words(text: str) -> tuple[str, ...]:
    normal, _ = normalise(text, lambda _word: True)  # CAPITALS are emphasis to Bark, not letters to spell
    return tuple(word for raw in re.sub(r"[,.?]", " ", normal).split() for word in _expanded(raw))


def _expanded(word: str) -> list[str]:
    known = _CONTRACTED.get(word)
    if known is not None:
        return [part for piece in known.split() for part in _SPELLED.get(piece, piece).split()]
    for ending, full in _ENDINGS:
        if word.endswith(ending) and len(word) > len(ending):
            return [word.removesuffix(ending), full]
    stem, apostrophe, rest = word.partition("'")
    if apostrophe and rest == "s" and stem in _TAKES_IS:
        return [stem, "is"]
    plain = word.replace("'", "")
    return _SPELLED.get(plain, plain).split()


def guess_language(text: str) -> str | None:
    """The language of a text by script and commonest words, as a two-letter code.

    Returns:
        None when nothing of it is spoken. Latin script without a common word of another language is taken as English.
    """
    spoken = TAG.sub(" ", text)
    scripts = Counter(
        _SCRIPTS.get(unicodedata.name(character, "").split(" ")[0], "latin")
        for character in spoken
        if character.isalpha()
    )
    if not scripts:
        return "en" if any(character.isdigit() for character in spoken) else None
    if scripts["ja"]:
        scripts["ja"] += scripts.pop("zh", 0)  # Japanese is written with both
    script, count = scripts.most_common(1)[0]
    if script != "latin" and count * 2 > scripts.total():
        return script
    found = re.findall(r"[^\W\d_]+", spoken.lower())
    hits = {language: sum(word in common for word in found) for language, common in _COMMON_WORDS.items()}
    best = max(hits, key=lambda language: (hits[language], language == "en"))
    return best if hits[best] else "en"
