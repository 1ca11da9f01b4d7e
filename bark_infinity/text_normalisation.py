"""Written English as words that can be looked up: numbers, money, dates, times, units, abbreviations, acronyms.

`normalise` turns any text into lower-case words of a-z and apostrophes with the marks ``, . ?``, and says what it left
out: Bark's tags (``[laughs]``, ``♪``), which a model must have learned to mean anything, and symbols without a sound.
It never fails; what it does not understand it reads letter by letter or drops with a notice.

Light module: the standard library only.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable

from bark_infinity.prompts.pieces import SONG_MARKS, TAG
from bark_infinity.spoken_numbers import cardinal, number, ordinal, year

_ALPHABET_SAID = (
    "ay bee see dee ee eff gee aitch eye jay kay ell em en oh pee queue are ess tee you vee doubleyou ex why zee"
)
LETTER_NAMES = dict(zip(string.ascii_lowercase, _ALPHABET_SAID.split(), strict=True))
_CALENDAR = "january february march april may june july august september october november december"
_MONTHS = _CALENDAR.split()
_MONTH = "|".join([*_MONTHS, *(f"{m[:3]}(?=[ .]*[0-9])" for m in _MONTHS), r"sept(?=[ .]*[0-9])"])
_CURRENCY = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent"), "¥": ("yen", "sen")}
_MAGNITUDES = {"k": "thousand", "m": "million", "bn": "billion", "b": "billion", "t": "trillion"}
_UNITS = {
    **{"km": "kilometer", "cm": "centimeter", "mm": "millimeter", "m": "meter", "kg": "kilogram", "mg": "milligram"},
    **{"g": "gram", "lb": "pound", "lbs": "pound", "oz": "ounce", "ft": "foot", "mi": "mile", "yd": "yard"},
    **{"l": "liter", "ml": "milliliter", "s": "second", "sec": "second", "ms": "millisecond", "min": "minute"},
    **{"h": "hour", "hr": "hour", "hrs": "hour", "hz": "hertz", "khz": "kilohertz", "mhz": "megahertz"},
    **{"ghz": "gigahertz", "kb": "kilobyte", "mb": "megabyte", "gb": "gigabyte", "tb": "terabyte", "w": "watt"},
    **{"kw": "kilowatt", "v": "volt", "mph": "mile per hour"},
    **dict.fromkeys(("km/h", "kph"), "kilometer per hour"),
    **{"°c": "degree celsius", "°f": "degree fahrenheit", "°": "degree", "%": "percent", "db": "decibel"},
}
_UNCHANGED_PLURALS = {"hertz", "kilohertz", "megahertz", "gigahertz", "percent", "yen"}
_ABBREVIATIONS = {
    **{"mr": "mister", "mrs": "missus", "ms": "miz", "dr": "doctor", "prof": "professor", "st": "saint"},
    **{"jr": "junior", "sr": "senior", "vs": "versus", "etc": "et cetera", "approx": "approximately"},
    **{"dept": "department", "gov": "governor", "gen": "general", "sgt": "sergeant", "capt": "captain"},
    **{"no": "number", "inc": "incorporated", "ltd": "limited", "co": "company", "ave": "avenue"},
}
_ONLY_BEFORE_NAMES = {"st", "gen", "gov", "co"}  # these are words or word ends elsewhere
_INITIALISMS = "us usa uk eu un tv pc ai cd dvd id ok gps cpu gpu usb fbi cia bbc ibm atm diy faq phd"
_ALWAYS_SPELLED = frozenset(_INITIALISMS.split())
_SYMBOLS = {"&": "and", "+": "plus", "=": "equals", "@": "at", "%": "percent", "#": "number", "*": "times"}
_SYMBOLS |= {"×": "times", "÷": "divided by", "°": "degrees", "§": "section", "©": "copyright", "™": "trademark"}
_SYMBOLS |= {"$": "dollars", "£": "pounds", "€": "euros", "¥": "yen", "<": "less than", ">": "greater than"}
_NOT_SAID = re.compile(rf"{TAG.pattern}|[{SONG_MARKS}]+")
_PAUSES = re.compile(r"\s*(?:\.{2,}|…|[–—]+|\s-+\s|--+|[;:()\[\]{}|\"“”«»\n]+)\s*")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "´": "'", "`": "'", "‐": "-", "‑": "-", "−": "-", "\u00a0": " "})
_NUMBER = r"\d{1,3}(?:,\d{3}){1,8}(?:\.\d+)?|\d+(?:\.\d+)?"
# Patterns that look far ahead take quadratic time on endless runs, so runs are broken before they are looked at.
_LONG_RUN = re.compile(r"([\d.,:/$£€¥'-]{30})(?=[\d.,:/$£€¥'-])")


def _plural(noun: str, count: str) -> str:
    if count in ("1", "1.0", "1.00") or noun in _UNCHANGED_PLURALS:
        return noun
    first, space, rest = noun.partition(" ")
    first = {"foot": "feet", "penny": "pence"}.get(first, first + "s")
    return first + space + rest


def _money(match: re.Match[str]) -> str:
    sign, amount, magnitude = match["sign"], match["amount"], match["magnitude"]
    noun, small = _CURRENCY[sign]
    if magnitude:
        magnitude = magnitude.strip().lower()
        return f" {number(amount)} {_MAGNITUDES.get(magnitude, magnitude)} {_plural(noun, '2')} "
    whole, point, cents = amount.replace(",", "").partition(".")
    if not point or len(cents) != 2:
        return f" {number(amount)} {_plural(noun, amount)} "
    parts = [f"{number(whole)} {_plural(noun, whole)}"] if int(whole) or not int(cents) else []
    if int(cents):
        parts.append(f"{cardinal(int(cents))} {_plural(small, str(int(cents)))}")
    return " " + " and ".join(parts) + " "


def _clock(match: re.Match[str]) -> str:
    hour, minute = int(match["hour"]), int(match["minute"])
    half = (match["half"] or "").replace(".", "").lower().strip()
    said = cardinal(hour)
    if minute:
        said += f" oh {cardinal(minute)}" if minute < 10 else f" {cardinal(minute)}"
    elif not half:
        said += " o'clock" if 1 <= hour <= 12 else " hundred hours"
    return f" {said} " + " ".join(LETTER_NAMES[letter] for letter in half) + " "


def _say_year(text: str) -> str:
    return year(int(text)) if len(text) == 4 and 1000 <= int(text) <= 2999 else number(text)


def _month(name: str) -> str:
    return next(month for month in _MONTHS if month.startswith(name.lower()[:3]))


def _iso_date(match: re.Match[str]) -> str:
    return f" {_MONTHS[int(match[2]) - 1]} {ordinal(int(match[3]))} , {_say_year(match[1])} "


def _slash_date(match: re.Match[str]) -> str:
    month, day = int(match[1]), int(match[2])
    if month > 12:
        month, day = day, month
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return f" {number(match[1])} , {number(match[2])} , {number(match[3])} "
    return f" {_MONTHS[month - 1]} {ordinal(day)} , {_say_year(match[3])} "


def _month_day(match: re.Match[str]) -> str:
    tail = f" , {_say_year(match['year'])}" if match["year"] else ""
    return f" {_month(match['month'])} {ordinal(int(match['day']))}{tail} "


def _day_month(match: re.Match[str]) -> str:
    return f" {ordinal(int(match['day']))} of {_month(match['month'])} " + (
        f", {_say_year(match['year'])} " if match["year"] else ""
    )


def _unit(match: re.Match[str]) -> str:
    return f" {number(match[1])} {_plural(_UNITS[match[2].lower()], match[1])} "


def _fraction(match: re.Match[str]) -> str:
    top, bottom = int(match[1]), int(match[2])
    if bottom == 2:
        name = "half" if top == 1 else "halves"
    elif bottom == 4:
        name = "quarter" if top == 1 else "quarters"
    elif 3 <= bottom <= 20 and top < bottom:
        name = ordinal(bottom) + ("" if top == 1 else "s")
    else:
        return f" {cardinal(top)} over {cardinal(bottom)} "
    return f" {cardinal(top)} {name} "


def _plain_number(match: re.Match[str]) -> str:
    text = match[0]
    if re.fullmatch(r"1[1-9]\d\d|20\d\d", text):
        return f" {year(int(text))} "
    return f" {number(text)} "


_UNIT_NAMES = "|".join(sorted((re.escape(u) for u in _UNITS), key=len, reverse=True))
_HALF = r"\s?[ap]\.?m\b\.?"
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_YEAR = r"(?:,?\s+(?P<year>[12]\d{3})\b)?"
_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(
            rf"(?P<sign>[$£€¥])\s?(?P<amount>{_NUMBER})"
            r"(?P<magnitude>\s?(?:thousand|million|billion|trillion)\b|(?:k|m|bn|b|t)\b)?",
            re.IGNORECASE,
        ),
        _money,
    ),
    (re.compile(r"\b([12]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b"), _iso_date),
    (re.compile(r"\b(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})\b"), _slash_date),
    (re.compile(rf"\b(?P<month>{_MONTH})\.?\s+{_DAY}\b(?!:){_YEAR}", re.IGNORECASE), _month_day),
    (re.compile(rf"\b{_DAY}\s+(?:of\s+)?(?P<month>{'|'.join(_MONTHS)})\b{_YEAR}", re.IGNORECASE), _day_month),
    (re.compile(rf"\b(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::[0-5]\d)?(?P<half>{_HALF})?", re.I), _clock),
    (re.compile(rf"\b(?P<hour>1[0-2]|0?[1-9])(?P<half>{_HALF})", re.I), lambda m: _hour(m)),
    (re.compile(r"\b([12]\d)(\d0)s\b"), lambda m: f" {_decade(m[1] + m[2])} "),
    (re.compile(rf"({_NUMBER})\s?({_UNIT_NAMES})(?![a-z])", re.IGNORECASE), _unit),
    (re.compile(r"\b(\d{1,4})(?:st|nd|rd|th)\b", re.IGNORECASE), lambda m: f" {ordinal(int(m[1]))} "),
    (re.compile(r"(?<![\d/])(\d{1,2})[/⁄](\d{1,2})(?![\d/])"), _fraction),
    (re.compile(r"(?<=\d)\s?[-–]\s?(?=\d)"), lambda _: " to "),
    (re.compile(r"(?<![\w.])-(?=\d)"), lambda _: " minus "),
    (re.compile(r"\d+(?:\.\d+){2,}"), lambda m: " " + " point ".join(number(p) for p in m[0].split(".")) + " "),
    (re.compile(_NUMBER), _plain_number),
)


def _hour(match: re.Match[str]) -> str:
    half = match["half"].replace(".", "").lower().strip()
    return f" {cardinal(int(match['hour']))} " + " ".join(LETTER_NAMES[letter] for letter in half) + " "


def _decade(text: str) -> str:
    *front, last = year(int(text)).split()
    return " ".join([*front, last[:-1] + "ies" if last.endswith("y") else last + "s"])


def _spell_out(letters: str) -> str:
    return " ".join(LETTER_NAMES[letter] for letter in letters.lower())


def _latin(text: str) -> str:
    """Accents off, compatibility forms unfolded; what is not Latin stays as it is."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _acronyms(text: str, known: Callable[[str], bool]) -> str:
    shouted = text.isupper() and len(text.split()) > 1  # everything in capitals is emphasis, not acronyms

    def read(match: re.Match[str]) -> str:
        word = match[0].replace(".", "")
        low = word.lower()
        if low in _ALWAYS_SPELLED or "." in match[0]:
            return f" {_spell_out(word)} "
        if shouted or len(word) > 5 or known(low):
            return match[0]
        return f" {_spell_out(word)} " if len(word) > 1 else match[0]

    text = re.sub(r"\b(?:[A-Za-z]\.){2,}", read, text)
    text = re.sub(r"\b([A-Z]{2,4})s\b", lambda m: m[0] if known(m[0].lower()) else f" {_spell_out(m[1])}s ", text)
    return re.sub(r"\b[A-Z]{2,}\b", read, text)


def _abbreviations(text: str) -> str:
    def read(match: re.Match[str]) -> str:
        name = match[1].lower()
        if name == "no" and not re.match(r"\s?\d", text[match.end() :]):
            return match[0]
        if name in _ONLY_BEFORE_NAMES and not re.match(r"\s[A-Z]", text[match.end() :]):
            return match[0]
        return f" {_ABBREVIATIONS[name]} "

    text = re.sub(r"\be\.\s?g\.", " for example ", text, flags=re.IGNORECASE)
    text = re.sub(r"\bi\.\s?e\.", " that is ", text, flags=re.IGNORECASE)
    return re.sub(rf"\b({'|'.join(_ABBREVIATIONS)})\.", read, text, flags=re.IGNORECASE)


def normalise(text: str, known: Callable[[str], bool]) -> tuple[str, list[str]]:
    """Rewrites any text as speakable words.

    Args:
        text: What a person wrote.
        known: Whether a lower-case word is in the dictionary; decides whether capitals spell an acronym.

    Returns:
        Lower-case words and the marks ``, . ?``, and one sentence for everything that was left out.
    """
    notices: list[str] = []
    text = re.sub(r"\n[ \n]*", "\n", re.sub(r"[^\S\n]+", " ", text))
    text = _LONG_RUN.sub(r"\1 ", text)
    tags = list(dict.fromkeys(_NOT_SAID.findall(text)))
    if tags:
        shown = ", ".join(tags[:5]) + (", ..." if len(tags) > 5 else "")
        notices.append(f"This model has not learned tags; left out: {shown}.")
        text = _NOT_SAID.sub(" ", text)
    text = _latin(text.translate(_QUOTES)).translate(_QUOTES)
    text = re.sub(r"(?<=\w)\.(?=(?:com|org|net|io|edu|gov|uk|de|ai)\b)", " dot ", text)
    text = _acronyms(_abbreviations(text), known)
    for pattern, read in _RULES:
        text = pattern.sub(read, text)
    text = _PAUSES.sub(", ", text)
    text = re.sub("|".join(re.escape(s) for s in _SYMBOLS), lambda m: f" {_SYMBOLS[m[0]]} ", text)
    text = re.sub(r"[-/\\_~^]", " ", text.lower()).replace("!", ".")
    dropped = list(dict.fromkeys(c for c in text if not (c.isspace() or c in ",.?'" or ("a" <= c <= "z"))))
    if dropped:
        shown = " ".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in dropped[:8])
        notices.append(f"Left out what has no sound here: {shown}{' ...' if len(dropped) > 8 else ''}.")
        gone = set(dropped)
        text = "".join(" " if c in gone else c for c in text)
    return _tidy(text), notices


def _tidy(text: str) -> str:
    """One space between words, one mark between clauses, none at the start."""
    marks = re.sub(r"\s*([,.?])[\s,.?]*", lambda m: ("?" if "?" in m[0] else "." if "." in m[0] else ",") + " ", text)
    marks = re.sub(r"(?<![a-z])'+|'+(?![a-z])", "", re.sub(r"^[\s,.?]+", "", marks))
    return " ".join(marks.split())
