"""Switching the language of a phrase in mid-prompt, as people who speak several do: Bark follows, accent and all.

A small phrase book in Bark's thirteen languages, because a translation model is more than a prompt needs. A phrase that
is in the book is said in another language; in a prompt without one, a foreign phrase is put at the end of a clause.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bark_infinity.prompts.operators import Pieces, PromptEdit, one_of, recorded_text, whole_number
from bark_infinity.prompts.pieces import around_word, clauses, is_word, spoken_words
from bark_infinity.variation import NotApplicable, Parameters

LANGUAGES = ("en", "de", "es", "fr", "hi", "it", "ja", "ko", "pl", "pt", "ru", "tr", "zh")  # as in voices' names

_SAID_ALONE = """
yes | ja | sí | oui | हाँ | sì | はい | 네 | tak | sim | да | evet | 是的
no | nein | no | non | नहीं | no | いいえ | 아니요 | nie | não | нет | hayır | 不是
hello | hallo | hola | bonjour | नमस्ते | ciao | こんにちは | 안녕하세요 | cześć | olá | привет | merhaba | 你好
goodbye | auf Wiedersehen | adiós | au revoir | अलविदा | arrivederci | さようなら | 안녕히 가세요 | do widzenia | adeus | до свидания | hoşça kal | 再见
thank you | danke | gracias | merci | धन्यवाद | grazie | ありがとう | 감사합니다 | dziękuję | obrigado | спасибо | teşekkür ederim | 谢谢
please | bitte | por favor | s'il vous plaît | कृपया | per favore | お願いします | 제발 | proszę | por favor | пожалуйста | lütfen | 请
sorry | Entschuldigung | perdón | pardon | माफ़ कीजिए | scusa | ごめんなさい | 미안해요 | przepraszam | desculpe | извините | özür dilerim | 对不起
good morning | guten Morgen | buenos días | bonjour | सुप्रभात | buongiorno | おはようございます | 좋은 아침 | dzień dobry | bom dia | доброе утро | günaydın | 早上好
good night | gute Nacht | buenas noches | bonne nuit | शुभ रात्रि | buonanotte | おやすみなさい | 안녕히 주무세요 | dobranoc | boa noite | спокойной ночи | iyi geceler | 晚安
of course | natürlich | por supuesto | bien sûr | बेशक | certo | もちろん | 물론이죠 | oczywiście | claro | конечно | tabii ki | 当然
very good | sehr gut | muy bien | très bien | बहुत अच्छा | molto bene | とても良い | 아주 좋아요 | bardzo dobrze | muito bem | очень хорошо | çok iyi | 很好
my friend | mein Freund | amigo mío | mon ami | मेरे दोस्त | amico mio | 私の友達 | 내 친구 | mój przyjacielu | meu amigo | мой друг | dostum | 我的朋友
"""  # noqa: E501 - one phrase, one line
_SAID_WITHIN = """
today | heute | hoy | aujourd'hui | आज | oggi | 今日 | 오늘 | dzisiaj | hoje | сегодня | bugün | 今天
tomorrow | morgen | mañana | demain | कल | domani | 明日 | 내일 | jutro | amanhã | завтра | yarın | 明天
and | und | y | et | और | e | そして | 그리고 | i | e | и | ve | 和
but | aber | pero | mais | लेकिन | ma | でも | 하지만 | ale | mas | но | ama | 但是
because | weil | porque | parce que | क्योंकि | perché | なぜなら | 왜냐하면 | bo | porque | потому что | çünkü | 因为
now | jetzt | ahora | maintenant | अब | adesso | 今 | 지금 | teraz | agora | сейчас | şimdi | 现在
music | Musik | música | musique | संगीत | musica | 音楽 | 음악 | muzyka | música | музыка | müzik | 音乐
water | Wasser | agua | eau | पानी | acqua | 水 | 물 | woda | água | вода | su | 水
"""


def _rows(book: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(cell.strip() for cell in line.split("|")) for line in book.strip().splitlines())


PHRASES = _rows(_SAID_ALONE) + _rows(_SAID_WITHIN)  # each in all languages, in their order
_N_ALONE = len(_rows(_SAID_ALONE))
_LONGEST = max(len(phrase.split()) for row in PHRASES for phrase in row)


def _rows_by_words() -> dict[tuple[str, ...], list[int]]:
    rows: dict[tuple[str, ...], list[int]] = {}
    for number, row in enumerate(PHRASES):
        for phrase in row:
            if len(phrase) == 1 and phrase.isascii():  # Polish "i" is an English pronoun
                continue
            known = rows.setdefault(spoken_words(phrase), [])
            if number not in known:
                known.append(number)
    return rows


_ROWS_WITH = _rows_by_words()


def _found(parts: Pieces) -> list[tuple[int, int, int]]:
    """First piece, number of pieces and row of every phrase of the book in a prompt, the longest at each place."""
    found = []
    for start in range(len(parts)):
        for length in range(min(_LONGEST, len(parts) - start), 0, -1):
            span = parts[start : start + length]
            # Punctuation inside would be lost, so a phrase has none.
            if not all(map(is_word, span)) or any(around_word(part)[2] for part in span[:-1]):
                continue
            rows = _ROWS_WITH.get(spoken_words(" ".join(span)))
            if rows:
                found += [(start, length, row) for row in rows]
                break
    return found


def _choose(prompts: Sequence[Pieces], rng: np.random.Generator) -> dict[str, Any]:
    (parts,) = prompts
    found = _found(parts)
    if found:
        at, length, row = found[int(rng.integers(len(found)))]
    else:
        at, length = one_of([stop for _, stop in clauses(parts)], rng, "clause"), 0
        row = int(rng.integers(_N_ALONE))
    column = int(rng.integers(len(LANGUAGES)))
    return {"at": at, "pieces": length, "language": LANGUAGES[column], "text": PHRASES[row][column]}


def _make(prompts: Sequence[Pieces], parameters: Parameters) -> list[str]:
    (parts,) = prompts
    at = whole_number(parameters, "at", 0, len(parts))
    length = whole_number(parameters, "pieces", 0, len(parts) - at)
    text = recorded_text(parameters, "text")
    if not spoken_words(text):
        raise NotApplicable(f"parameter text is {text!r}, expected something to say")
    if not length:
        return [*parts[:at], f"{text[0].upper()}{text[1:]}.", *parts[at:]]
    before, first_word, _ = around_word(parts[at])
    after = around_word(parts[at + length - 1])[2]
    if first_word[:1].isupper():
        text = text[0].upper() + text[1:]
    return [*parts[:at], before + text + after, *parts[at + length :]]


LANGUAGE_SWITCH = PromptEdit("language_switch", _choose, _make, keeps_words=False)
