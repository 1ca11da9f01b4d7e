"""Prompt operators: children fit the checkpoint, say what they promise, and repeat from their record."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bark_infinity.error_handling import BarkError, CheckpointError
from bark_infinity.prompts import (
    KEEPS_WORDS,
    PROMPT_OPERATORS,
    HuggingFaceMaskedLM,
    canonical_prompt,
    most_tokens,
    prompt_operators,
    spoken_words,
)
from bark_infinity.prompts.languages import LANGUAGES, PHRASES
from bark_infinity.prompts.marks import TAGS
from bark_infinity.prompts.pieces import clauses, pieces
from bark_infinity.variation import NotApplicable

TEXTS = (
    "Hello, my name is Suno. And, uh — and I like pizza. [laughs]",
    "[clears throat] I have a silky smooth voice, and today I will tell you about the exercise regimen",
    "♪ In the jungle, the mighty jungle, the lion barks tonight ♪",
    "[WOMAN] I would like an oatmilk latte please. [MAN] Wow, that's expensive!",
    "Buenos días Miguel. Tu colega piensa que tu alemán es extremadamente malo… But I suppose it's ok?",
    "추석은 내가 가장 좋아하는 명절이다. 나는 며칠 동안 휴식을 취하고",
    "Well, I paid $3.14 for it at 5 o'clock - TWO times, well... you know",
    "नमस्ते दुनिया, यह बहुत अच्छा है।",
    "今日は、いい天気ですね。さようなら",
    "Yes",
    "[music]",
    "wait [[what] is] this [ thing ] ] [ and ? ! ...",
    "STRASSE Straße İstanbul ﬁne O'Neill's co-op",
)
ODDITIES = ("", "  ", "\n", "...", "—", "[sighs]", "♪", "[", "]", "a", "I", "!", "uh,", "-5", "🙂")
ODDITIES += ("\u200b", "\ud800", "\x00")
MANY = settings(
    max_examples=10_000,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.generate,),  # a seed does not shrink to anything simpler
    suppress_health_check=list(HealthCheck),
)


class ThreeWords:
    """A masked language model that always has the same ideas."""

    def proposals(self, before, after, count):
        return [("water", 0.5), ("été", 0.3), ("привет", 0.2)]


def some_prompt(rng: np.random.Generator) -> str:
    words = TEXTS[int(rng.integers(len(TEXTS)))].split(" ")
    for _ in range(int(rng.integers(0, 3))):
        words.insert(int(rng.integers(len(words) + 1)), ODDITIES[int(rng.integers(len(ODDITIES)))])
    if rng.random() < 0.3:
        other = TEXTS[int(rng.integers(len(TEXTS)))].split(" ")
        cut = int(rng.integers(len(other)))
        words[int(rng.integers(len(words))) :] = other[cut:]
    return " ".join(words)


def as_heard(prompt: str) -> list[int]:
    """Ids of a checkpoint that hears neither case nor tags, as one that reads phones."""
    return [ord(char) for word in spoken_words(prompt) for char in word]


CHECKPOINTS = (
    (PROMPT_OPERATORS, most_tokens, 256, canonical_prompt),
    (prompt_operators(masked_lm=ThreeWords()), most_tokens, 256, canonical_prompt),
    (prompt_operators(lambda text: len(text.split()), limit=16, masked_lm=ThreeWords()),
     lambda text: len(text.split()), 16, canonical_prompt),
    (prompt_operators(lambda text: len(as_heard(text)), limit=88, text_ids=as_heard, masked_lm=ThreeWords()),
     lambda text: len(as_heard(text)), 88, lambda text: as_heard(text)[:88]),
)  # fmt: skip


def drawn(name, parents, seed=0, operators=PROMPT_OPERATORS):
    return operators[name](parents, np.random.default_rng(seed)).material


def applied(name, parents, **parameters):
    return PROMPT_OPERATORS[name].apply(parents, parameters).material


made_by: Counter[str] = Counter()


@MANY
@given(st.integers(0, 2**64 - 1))
def test_every_operator_makes_prompts_that_fit_differ_and_repeat(seed):
    rng = np.random.default_rng(seed)
    name = list(PROMPT_OPERATORS)[int(rng.integers(len(PROMPT_OPERATORS)))]
    # The last checkpoint hears nothing but words; that it refuses all others is a test of its own.
    checkpoints = CHECKPOINTS[:-1] if name in KEEPS_WORDS else CHECKPOINTS
    for _ in range(200):
        operators, count, limit, view = checkpoints[int(rng.integers(len(checkpoints)))]
        operator = operators[name]
        parents = [some_prompt(rng) for _ in range(operator.arity)]
        try:
            parameters = operator.draw(parents, rng)
            break
        except NotApplicable:
            continue
    child = operator.apply(parents, parameters)
    made_by[operator.name] += 1

    text = child.material
    again = PROMPT_OPERATORS[operator.name].apply(parents, json.loads(json.dumps(parameters)))
    assert (again.material, again.version) == (text, child.version)
    assert (child.render, child.operator) == (None, operator.name)
    assert text.strip()
    assert canonical_prompt(text) == text
    text.encode("utf-8")
    assert count(text) <= limit
    assert all(view(text) != view(parent) for parent in parents)
    if operator.name in KEEPS_WORDS:
        assert spoken_words(text) == spoken_words(parents[0])
    assert spoken_words(text) or not any(map(spoken_words, parents))


def test_all_operators_took_part_in_the_ten_thousand_cases():
    if sum(made_by.values()) == 0:
        pytest.skip("run together with the test that counts")
    assert sum(made_by.values()) >= 10_000
    assert set(made_by) == set(PROMPT_OPERATORS)
    assert min(made_by.values()) > 400


def test_the_registry_holds_what_the_design_lists():
    assert set(PROMPT_OPERATORS) == {
        "tag_insert", "unofficial_tag_insert", "tag_move", "tag_delete", "hesitation_insert", "hesitation_remove",
        "capitals", "song", "song_end", "speaker", "punctuation", "filler_insert", "filler_remove",
        "clause_crossover", "clause_order", "language_switch", "masked_substitution",
    }  # fmt: skip
    assert set(PROMPT_OPERATORS) - KEEPS_WORDS == {
        "filler_insert", "filler_remove", "clause_crossover", "clause_order", "language_switch", "masked_substitution",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("Hello, WORLD! [laughs] ♪ la la ♪", ("hello", "world", "la", "la")),
        ("[MAN] well — I... know…", ("well", "i", "know")),
        ("3.14 o'clock, $5 & 10%", ("3.14", "o'clock", "$5", "&", "10%")),
        ("STRASSE Straße", ("strasse", "strasse")),
        ("नमस्ते।", ("नमस्ते",)),
        ('(really) "yes" - -5', ("really", "yes", "-5")),
        ("... — ♪ [music]", ()),
    ],
)
def test_spoken_words_are_what_is_to_be_heard(prompt, words):
    assert spoken_words(prompt) == words


@settings(max_examples=300, deadline=None, database=None)
@given(st.text(max_size=60))
def test_canonical_prompts_and_pieces_agree_on_any_text(text):
    canonical = canonical_prompt(text)
    assert canonical_prompt(canonical) == canonical
    assert " ".join(pieces(text)) == canonical
    assert spoken_words(canonical) == spoken_words(text)
    parts = pieces(text)
    assert [index for start, stop in clauses(parts) for index in range(start, stop)] == list(range(len(parts)))
    for operator in PROMPT_OPERATORS.values():
        try:
            child = operator([text] * operator.arity, np.random.default_rng(0)).material
        except NotApplicable:
            continue
        assert child.strip()


def test_marks_do_what_their_names_say():
    hello = ["Hello there, my friend."]
    assert applied("tag_insert", hello, at=2, tag="[laughs]") == "Hello there, [laughs] my friend."
    assert applied("tag_move", ["[sighs] Hello there."], at=0, to=2) == "Hello there. [sighs]"
    assert applied("tag_delete", ["Hello [clears throat] there."], at=1) == "Hello there."
    assert applied("hesitation_insert", hello, at=0, mark="—") == "Hello — there, my friend."
    assert applied("hesitation_insert", hello, at=1, mark="...") == "Hello there... my friend."
    assert applied("hesitation_remove", ["Hello... there."], at=0) == "Hello there."
    assert applied("hesitation_remove", ["Hello — there."], at=1) == "Hello there."
    assert applied("capitals", hello, at=1) == "Hello THERE, my friend."
    assert applied("capitals", ["Hello THERE, my friend."], at=1) == "Hello there, my friend."
    assert applied("song", hello, start=0, stop=2) == "♪ Hello there, ♪ my friend."
    assert applied("song_end", ["♪ Hello there, ♪ my♪ friend."]) == "Hello there, my friend."
    assert applied("speaker", hello, speaker="[MAN]") == "[MAN] Hello there, my friend."
    assert applied("speaker", ["[MAN] Hello."], speaker="[WOMAN]") == "[WOMAN] Hello."
    assert applied("speaker", ["[MAN] Hello."], speaker="") == "Hello."
    assert applied("punctuation", hello, at=3, mark="?") == "Hello there, my friend?"
    assert applied("punctuation", hello, at=1, mark="") == "Hello there my friend."


def test_wording_operators_do_what_their_names_say():
    assert applied("filler_insert", ["I know."], at=1, text="uh,") == "I uh, know."
    assert applied("filler_remove", ["I uh, know."], at=1) == "I know."
    without = {drawn("filler_remove", ["I like it, so, well done uh yes."], seed) for seed in range(20)}
    assert without == {"I like it, well done uh yes.", "I like it, so, well done yes."}
    crossed = applied("clause_crossover", ["Hello there, my friend.", "No. Go home!"], head_stop=2, tail_start=1)
    assert crossed == "Hello there, Go home!"
    opened = applied("clause_crossover", ["♪ La la, la ♪", "No. Go home!"], head_stop=3, tail_start=1)
    assert opened == "♪ La la, Go home! ♪"
    assert applied("clause_order", ["One. Two! Three?"], start=0, middle=1, stop=3) == "Two! Three? One."
    switched = applied("language_switch", ["Thank you, Ann."], at=0, pieces=2, language="de", text="danke")
    assert switched == "Danke, Ann."
    added = applied("language_switch", ["Listen."], at=1, pieces=0, language="fr", text="bien sûr")
    assert added == "Listen. Bien sûr."
    assert applied("masked_substitution", ["(Hello), Ann."], at=0, text="Water") == "(Water), Ann."


def test_a_crossover_takes_whole_clauses_of_both_parents():
    first, second = "One two, three four. Five!", "Six seven; eight nine — ten?"
    own, other = [[" ".join(pieces(text)[a:b]) for a, b in clauses(pieces(text))] for text in (first, second)]
    for seed in range(30):
        child = drawn("clause_crossover", [first, second], seed)
        assert any(
            child == " ".join([*own[:head], *other[tail:]])
            for head in range(1, len(own) + 1)
            for tail in range(len(other))
        )


def test_a_language_switch_says_the_same_phrase_in_another_of_barks_languages():
    assert len(LANGUAGES) == 13
    assert all(len(row) == len(LANGUAGES) for row in PHRASES)
    german = LANGUAGES.index("de")
    assert {row[german] for row in PHRASES if row[0] == "thank you"} == {"danke"}
    thanks = next(row for row in PHRASES if row[0] == "thank you")
    for seed in range(20):
        child = drawn("language_switch", ["He said gracias!"], seed)
        assert child.startswith("He said ")
        assert child.removeprefix("He said ").removesuffix("!") in thanks


def test_a_prompt_without_a_phrase_of_the_book_gets_one_that_stands_alone():
    for seed in range(20):
        child = drawn("language_switch", ["I barked."], seed)
        added = child.removeprefix("I barked. ").removesuffix(".").casefold()
        assert any(added in map(str.casefold, row) for row in PHRASES)
        assert added not in ("and", "und", "и")


@pytest.mark.parametrize("limit", [8, 9, 10])
def test_no_prompt_grows_beyond_the_limit(limit):
    text = "one two three four five six seven eight"
    operators = prompt_operators(lambda prompt: len(prompt.split()), limit=limit)
    for name in ("tag_insert", "filler_insert", "song", "speaker", "clause_crossover", "hesitation_insert"):
        for seed in range(20):
            try:
                child = drawn(name, [text, f"zero, {text}"][: operators[name].arity], seed, operators)
            except NotApplicable:
                continue
            assert len(child.split()) <= limit
    if limit == 8:
        with pytest.raises(NotApplicable, match="9 tokens of 8"):
            drawn("tag_insert", [text], 0, operators)


def test_an_edit_that_the_checkpoint_cannot_read_is_refused():
    operators = prompt_operators(lambda text: len(as_heard(text)), text_ids=as_heard)
    for name in sorted(KEEPS_WORDS):
        with pytest.raises(NotApplicable):
            drawn(name, ["Hello... my [sighs] friend, [laughs] how are you?"], 0, operators)
    assert drawn("filler_insert", ["Hello there."], 0, operators)


def test_the_upper_bound_of_tokens_holds_for_wordpiece(tmp_path):
    pytest.importorskip("tokenizers")
    from bark_infinity.bert_front_end import BertFrontEnd

    letters = sorted({char for text in TEXTS for char in text if not char.isspace()})
    vocabulary = ["[UNK]", *letters, *(f"##{char}" for char in letters)]  # the worst: every character a token
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary), "utf-8")
    front_end = BertFrontEnd.load(tmp_path)
    rng = np.random.default_rng(0)
    for text in (*TEXTS, *(some_prompt(rng) for _ in range(200))):
        assert len(front_end.encode(text).ids) <= most_tokens(text)


def test_nothing_to_say_is_never_made():
    with pytest.raises(NotApplicable, match="nothing to say"):
        applied("filler_remove", ["Well."], at=0)
    with pytest.raises(NotApplicable, match="nothing to say"):
        applied("clause_crossover", ["[laughs], yes.", "No. ..."], head_stop=1, tail_start=1)
    with pytest.raises(NotApplicable, match="nothing to say"):
        applied("tag_delete", ["[music]"], at=0)


def test_content_lock_also_binds_a_record():
    with pytest.raises(NotApplicable, match="would change"):
        applied("tag_delete", ["so [that [laughs] is] it"], at=2)  # what is left would be one tag


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("tag_insert", {"at": 9, "tag": "[laughs]"}),
        ("tag_insert", {"at": 0, "tag": "laughs"}),
        ("capitals", {"at": True}),
        ("punctuation", {"at": "0", "mark": "."}),
        ("speaker", {"speaker": "[DOG]"}),
        ("song", {"start": 2, "stop": 2}),
        ("language_switch", {"at": 0, "pieces": 1, "text": "..."}),
        ("masked_substitution", {"at": 0, "text": ""}),
        ("filler_insert", {"at": 0}),
    ],
)
def test_a_record_that_does_not_fit_its_parents_says_so(name, parameters):
    with pytest.raises(NotApplicable, match="parameter"):
        PROMPT_OPERATORS[name].apply(["Hello my friend"], parameters)


def test_parents_are_counted():
    with pytest.raises(BarkError, match="takes 2 parents, got 1"):
        PROMPT_OPERATORS["clause_crossover"].draw(["Hello"], np.random.default_rng(0))


def test_official_tags_are_those_of_the_readme():
    assert set(TAGS) == {"[laughter]", "[laughs]", "[sighs]", "[music]", "[gasps]", "[clears throat]"}


# -- masked language models ---------------------------------------------------------------------------------

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "##ing"]
VOCABULARY += ["the", "a", "lion", "dog", "barks", "sleeps", "tonight", "now"]


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    directory = tmp_path_factory.mktemp("tiny-bert")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, initializer_range=1.0,
    )  # fmt: skip
    transformers.BertForMaskedLM(config).save_pretrained(directory / "masked")
    transformers.BertModel(config).save_pretrained(directory / "headless")
    for name in ("masked", "headless"):
        (directory / name / "vocab.txt").write_text("\n".join(VOCABULARY), "utf-8")
        tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "mask_token": "[MASK]"}
        (directory / name / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return directory


def test_a_masked_language_model_proposes_what_transformers_own_pipeline_does(tiny_bert):
    import transformers

    model = HuggingFaceMaskedLM(tiny_bert / "masked")
    proposed = model.proposals("the lion", "tonight .", 4)
    oracle = transformers.pipeline("fill-mask", model=str(tiny_bert / "masked"), device="cpu")
    expected = [
        (answer["token_str"], answer["score"])
        for answer in oracle("the lion [MASK] tonight .", top_k=len(VOCABULARY))
        if answer["token_str"].isalpha()
    ]
    assert [word for word, _ in proposed] == [word for word, _ in expected[:4]]
    np.testing.assert_allclose([p for _, p in proposed], [p for _, p in expected[:4]], rtol=1e-4)
    assert model.proposals("the " * 60, "tonight .", 4) == ()  # the gap lies beyond what it reads
    assert model.proposals("a [MASK]", "tonight .", 4) == ()


def test_a_substitution_is_recorded_as_its_word_and_repeats_without_the_model(tiny_bert):
    operator = prompt_operators(masked_lm=HuggingFaceMaskedLM(tiny_bert / "masked"))["masked_substitution"]
    for seed in range(8):
        child = operator(["The lion, tonight!"], np.random.default_rng(seed))
        assert PROMPT_OPERATORS["masked_substitution"].apply(["The lion, tonight!"], child.parameters) == child
        assert len(spoken_words(child.material)) == 3
        changed = set(spoken_words(child.material)) - {"the", "lion", "tonight"}
        assert changed <= set(VOCABULARY)
    with pytest.raises(NotApplicable, match="no masked language model"):
        drawn("masked_substitution", ["The lion"])


@pytest.mark.parametrize(("name", "reason"), [("headless", "without the head"), ("missing", "could not be loaded")])
def test_what_is_no_masked_language_model_is_refused(tiny_bert, name, reason):
    with pytest.raises(CheckpointError, match=reason):
        HuggingFaceMaskedLM(tiny_bert / name)
