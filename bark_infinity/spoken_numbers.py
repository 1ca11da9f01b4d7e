"""Numbers as English words: cardinals, ordinals, years, digits one by one.

Light module: the standard library only.
"""

from __future__ import annotations

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TIMES_TEN = "zero ten twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS, _TENS = _SMALL.split(), _TIMES_TEN.split()
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_ORDINALS = {
    **{"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth"},
    **{"nine": "ninth", "twelve": "twelfth"},
}
LARGEST = 10**15  # from here on digits are read one by one


def cardinal(number: int) -> str:
    """A whole number below `LARGEST`: ``1234`` is one thousand two hundred thirty four."""
    if number < 20:
        return _UNITS[number]
    if number < 100:
        tens, units = divmod(number, 10)
        return _TENS[tens] + (f" {_UNITS[units]}" if units else "")
    size, name = next(scale for scale in _SCALES if number >= scale[0])
    count, rest = divmod(number, size)
    return f"{cardinal(count)} {name}" + (f" {cardinal(rest)}" if rest else "")


def ordinal(number: int) -> str:
    """A rank: ``21`` is twenty first."""
    *front, last = cardinal(number).split()
    if last in _ORDINALS:
        last = _ORDINALS[last]
    elif last.endswith("y"):
        last = last[:-1] + "ieth"
    else:
        last += "th"
    return " ".join([*front, last])


def year(number: int) -> str:
    """A year from 1000 to 2999 as it is said: nineteen eighty four, two thousand seven, twenty twenty six."""
    century, rest = divmod(number, 100)
    if century % 10 == 0 and rest < 10:
        return cardinal(number)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def digits(text: str) -> str:
    """ASCII digits one by one."""
    return " ".join(_UNITS[int(digit)] for digit in text)


def number(text: str) -> str:
    """Digits with commas between thousands and at most one decimal point."""
    whole, point, decimals = text.replace(",", "").partition(".")
    whole = whole or "0"
    long = int(whole) >= LARGEST if len(whole) < 40 else True
    said = digits(whole) if long or (len(whole) > 1 and whole[0] == "0") else cardinal(int(whole))
    return said + (f" point {digits(decimals)}" if point and decimals else "")
