"""A text as the words that should be heard, and in which language: both sides of a comparison go through here.

Numbers, money and abbreviations become words, contractions their full forms, and tags (``[laughs]``, ``♪``) leave the
text: they are no words to say, but are kept aside so that a voice that reads them aloud is noticed.

Light module: `bark_infinity.prompts` and `bark_infinity.text_normalisation`.
"""

from __future__ import annotations

import functools
import gzip
import importlib.resources
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

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_SCRIPTS = {
    "HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "zh", "CYRILLIC": "ru", "DEVANAGARI": "hi",
    "ARABIC": "ar", "HEBREW": "he", "GREEK": "el", "THAI": "th",
}  # fmt: skip
# Common words of each language that English, or for English any other language here, does not write the same way: "no",
# "do", "me", "so", "come", "was", "in", "die", "met", "hat" or "plus" are no evidence.
_COMMON = {
    "en": "the and of to is that it for are with they this have from you not what your she which how their there my "
    "would been who its did get him can but or were hello yes please he we his our them these those then than "
    "could should about into only other some when where why because very just know think going want said says "
    "look make take give tell ask feel need try call keep let again always never every each both much many more "
    "such own too after before over under through between while during without within against around down out "
    "off back here now still also even well away always often soon today tomorrow tonight yesterday morning evening "
    "night week month year years old new good great little small big right first next same different few "
    "great one two three five seven eight nine twenty hundred thousand million people child children woman women "
    "friend house home world life water food money work school mother father brother sister something nothing "
    "everything anything someone everyone anyone yours mine ours theirs isn't don't doesn't didn't can't won't i'm "
    "it's that's there's you're we're they're i'll you'll we'll i've you've we've let's what's couldn't wouldn't "
    "thank thanks sorry goodbye love loved likes liked speak speaks speaking spoke voice sound sounds listen hear "
    "heard walk walked walking talk talking run running comes coming came goes went gone does doing done makes making "
    "made had having shall may might must up as by all be does any laugh light dark "
    "white black green blue yellow bright cold warm beautiful happy quickly slowly really maybe perhaps together "
    "welcome course costs population weather city street market coffee milk bread butter sugar train leaves ocean "
    "moon wind dogs cat dream dreams heart story once upon king queen birds song songs sing singing",
    "de": "der das und ist nicht ein eine einen einem ich sie zu den mit auf für dem von es sich auch wir wie bei aber "
    "noch nur meine mein dein heute morgen wieder guten gute haben habe sind wird werden kann nach aus über oder "
    "wenn dass sehr hier danke bitte immer",
    "fr": "le les et est une des que pas je vous il pour dans ce qui sur au avec nous elle mais sont bonjour très la "
    "de du en un mes ses tes bien bonne nuit cette tout merci oui",
    "es": "el los las y es en una por con para que lo su está pero más como muy hola este ella yo gracias la de del "
    "un se mi te buenos buenas señor todo",
    "it": "il gli di che è un per non una sono con mi ho questo ma anche del della ciao molto la le va si "
    "grazie buongiorno sei bene",
    "pt": "o os uma não que é para com da em por mais mas como está você ele ela muito olá isso de se meu "
    "obrigado bom dia",
    "pl": "nie się na jest że z jak co tak ale po już czy mnie był dla ja ty cześć bardzo dzień dobry w",
    "tr": "bir ve bu da de için çok ne sen mi değil var daha ama gibi kadar merhaba nasıl hoş",
    "nl": "de het een en dat niet op te zijn voor ik je hij zij maar ook naar bij uit wat nog wel geen",
    "sv": "och att det som en på är av för med den inte om ett har jag vi du han hon var från kan",
    "id": "yang dan di ini itu dengan untuk tidak dari dalam akan pada juga saya ke ada bisa kami",
}  # fmt: skip
MIN_ENGLISH_SHARE = 0.15  # of words in the list of English above
MIN_KNOWN_SHARE = 0.8  # of words that an English dictionary has
UNKNOWN = "unknown"  # of a language
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
    """The language of a text by script, commonest words and an English dictionary, as a two-letter code.

    English needs evidence of its own, because a text wrongly taken for English is rejected for not saying it: enough
    common words that other languages do not share, more than any other language has, and nearly all words in the
    dictionary that the embedded models bring.

    Returns:
        `UNKNOWN` when nothing tells; None when nothing of the text is spoken.
    """
    spoken = TAG.sub(" ", text).replace("’", "'")
    scripts = Counter(
        _SCRIPTS.get(unicodedata.name(character, "").split(" ")[0], "latin")
        for character in spoken
        if character.isalpha()
    )
    if not scripts:
        return UNKNOWN if any(character.isdigit() for character in spoken) else None
    if scripts["ja"]:
        scripts["ja"] += scripts.pop("zh", 0)  # Japanese is written with both
    script, count = scripts.most_common(1)[0]
    if script != "latin" and count * 2 > scripts.total():
        return script
    found = _WORD.findall(spoken.lower())
    hits = {language: sum(word in common for word in found) for language, common in _COMMON_WORDS.items()}
    other = max((language for language in hits if language != "en"), key=hits.__getitem__)
    if hits[other] >= max(hits["en"], 1):
        return other if list(hits.values()).count(hits[other]) == 1 else UNKNOWN
    if hits["en"] < MIN_ENGLISH_SHARE * len(found) or not hits["en"]:
        return UNKNOWN
    known = sum(word.removesuffix("'s") in _english_words() for word in found)
    return "en" if known >= MIN_KNOWN_SHARE * len(found) else UNKNOWN


@functools.cache
def _english_words() -> frozenset[str]:
    """Of the pronouncing dictionary that micro-Bark brings; about 0.1 s, once."""
    packed = importlib.resources.files("bark_infinity").joinpath("assets/micro/dictionary.txt.gz").read_bytes()
    return frozenset(line.partition(" ")[0] for line in gzip.decompress(packed).decode().splitlines())
