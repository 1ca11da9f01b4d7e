"""Voice operators: every child is a valid voice, differs where the model reads, and repeats from its record."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bark_infinity.error_handling import BarkError
from bark_infinity.tokens import SUNO_TOKENS, TokenSpace
from bark_infinity.variation import NotApplicable
from bark_infinity.voice_edits import CARRIER_TEXTS, VOICE_OPERATORS, HistoryWindow, voice_operators
from bark_infinity.voices.history import VoiceHistory

MICRO_TOKENS = TokenSpace(1_792, 512, 2, 8, 50.0, 75.0)
MICRO_WINDOW = HistoryWindow(semantic_slots=40, coarse_history=240, fine_frames=96)
ODD_TOKENS = TokenSpace(60, 32, 4, 5, 20.0, 33.0)  # unlike any Bark in every number
ODD_WINDOW = HistoryWindow(semantic_slots=30, coarse_history=90, fine_frames=20)
CHECKPOINTS = (
    (SUNO_TOKENS, HistoryWindow(), VOICE_OPERATORS),
    (MICRO_TOKENS, MICRO_WINDOW, voice_operators(MICRO_WINDOW)),
    (ODD_TOKENS, ODD_WINDOW, voice_operators(ODD_WINDOW)),
)
IN_TIME = ("crop", "length", "tempo", "silence_trim", "segment_duplicate", "segment_delete", "segment_swap", "splice")
MANY = settings(
    max_examples=10_000,
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.generate,),  # a seed does not shrink to anything simpler
    suppress_health_check=list(HealthCheck),
)


def some_voice(rng: np.random.Generator, space: TokenSpace, n_semantic: int | None = None) -> VoiceHistory:
    """Runs as long as those of Suno's voices, now and then a pause, any codes."""
    size = int(rng.integers(40, 500)) if n_semantic is None else n_semantic
    lengths = rng.geometric(0.7, size=size)
    if rng.random() < 0.5:
        lengths[rng.integers(0, min(size, 60), 3)] = rng.integers(10, 60, 3)
    semantic = np.repeat(rng.integers(0, space.semantic_vocab_size, size), lengths)[:size]
    fine = rng.integers(0, space.codebook_size, (space.n_fine_codebooks, space.frames_for(size)))
    return VoiceHistory(semantic, fine[: space.n_coarse_codebooks], fine, space=space)


def numbered_voice(n_semantic: int, parent: int = 0) -> VoiceHistory:
    """Every token and every frame says where it was: token i has id i // 2, frame t has codes (t, t, ...)."""
    space = TokenSpace(10_000, 4_096)
    semantic = np.arange(n_semantic) // 2 + 4_000 * parent
    fine = np.tile(np.arange(space.frames_for(n_semantic)) + 2_000 * parent, (8, 1))
    return VoiceHistory(semantic, fine[:2], fine, space=space)


def what_suno_reads(voice: VoiceHistory, window: HistoryWindow) -> list[np.ndarray]:
    """The history arrays of Suno's generate_text_semantic, generate_coarse and generate_fine, read off its code."""
    text_history = voice.semantic[-window.semantic_slots :]
    ratio = voice.space.coarse_rate_hz / voice.space.semantic_rate_hz * voice.space.n_coarse_codebooks
    flat = voice.coarse.T.ravel()
    provided = int(
        min(
            math.floor(window.coarse_history / ratio),
            len(voice.semantic) - len(voice.semantic) % 2,
            math.floor(len(flat) / ratio),
        )
    )
    n_coarse = round(provided * ratio)
    coarse_semantic = voice.semantic[-provided:] if provided else []
    coarse = flat[-n_coarse:][:-2] if provided else []
    return [text_history, np.array(coarse_semantic), np.array(coarse), voice.fine[:, -window.fine_frames :]]


def assert_keeps_the_format(voice: VoiceHistory) -> None:
    space = voice.space
    n_frames = math.floor(voice.semantic.size * (space.coarse_rate_hz / space.semantic_rate_hz))
    assert voice.fine.shape == (space.n_fine_codebooks, n_frames)
    assert n_frames >= 1
    assert (voice.coarse == voice.fine[: space.n_coarse_codebooks]).all()
    for array, size in ((voice.semantic, space.semantic_vocab_size), (voice.fine, space.codebook_size)):
        assert array.dtype == np.int64
        assert not array.flags.writeable
        assert 0 <= array.min() <= array.max() < size


def through_json(parameters):
    return json.loads(json.dumps(dict(parameters)))


def drawn(name, parents, seed=0, operators=VOICE_OPERATORS):
    return operators[name](parents, np.random.default_rng(seed))


made_by: Counter[str] = Counter()


@MANY
@given(st.integers(0, 2**64 - 1))
def test_every_operator_makes_valid_voices_that_the_model_can_tell_apart_and_records_them(seed):
    rng = np.random.default_rng(seed)
    space, window, operators = CHECKPOINTS[int(rng.integers(3))]
    operator = list(operators.values())[int(rng.integers(len(operators)))]
    for _ in range(60):
        parents = [some_voice(rng, space) for _ in range(operator.arity)]
        try:
            parameters = operator.draw(parents, rng)
            break
        except NotApplicable:
            continue
    child = operator.apply(parents, parameters)
    again = VOICE_OPERATORS[operator.name].apply(parents, through_json(parameters))
    made_by[operator.name] += 1

    assert child.operator == operator.name
    assert child.version == operator.version == again.version
    assert (child.material is None) == (operator.cost != "edit") == (child.render is not None)
    if child.material is not None:
        voice = child.material
        assert again.material == voice
        assert {voice: 1}[again.material] == 1
        assert voice.space == space
        assert_keeps_the_format(voice)
        assert voice.canonical() == voice
        assert window.canonical(voice) == voice
        seen = what_suno_reads(voice, window)
        for parent in parents:
            assert not all(map(np.array_equal, what_suno_reads(parent, window), seen))
    else:
        request, repeated = child.render, again.render
        assert request.seed == 0
        assert (request.text, request.settings, request.voice) == (repeated.text, repeated.settings, repeated.voice)
        assert (request.voice is None) == (operator.arity == 0)
        for tokens in ("semantic", "coarse"):
            np.testing.assert_array_equal(getattr(request, tokens), getattr(repeated, tokens))


def test_all_operators_took_part_in_the_ten_thousand_cases():
    if sum(made_by.values()) == 0:
        pytest.skip("run together with the test that counts")
    assert sum(made_by.values()) >= 10_000
    assert set(made_by) == set(VOICE_OPERATORS)
    assert min(made_by.values()) > 400


def test_the_registry_holds_what_the_design_lists():
    assert set(VOICE_OPERATORS) == {
        "continuation", "rerender", "rerender_fine", "crop", "splice", "chimera", "tempo", "silence_trim",
        "segment_duplicate", "segment_delete", "segment_swap", "codebook_mix", "length", "immigrant", "backcross",
    }  # fmt: skip
    assert all(operator.name == name for name, operator in VOICE_OPERATORS.items())


@pytest.mark.parametrize("checkpoint", range(3))
def test_the_window_is_what_the_stages_read(checkpoint):
    """The engine's own stage jobs are the judge: equal views if and only if equal jobs."""
    pytest.importorskip("torch")
    from bark_infinity.bark_config import BarkConfig, CoarseConfig, FineConfig, GPTConfig, SemanticConfig
    from bark_infinity.requests import RenderRequest, RenderSettings
    from bark_infinity.stages.coarse import coarse_job
    from bark_infinity.stages.fine import fine_job
    from bark_infinity.stages.semantic import semantic_job

    space, window, _ = CHECKPOINTS[checkpoint]
    gpt = GPTConfig(1, 1, 8, 2_048, 200_000, 200_000, n_codes_total=8, n_codes_given=1)
    config = BarkConfig(
        gpt, gpt, gpt,
        SemanticConfig(
            semantic_rate_hz=space.semantic_rate_hz, semantic_vocab_size=space.semantic_vocab_size,
            max_input_semantic_length=256, history_start=256 - window.semantic_slots, max_new_tokens=2,
        ),
        CoarseConfig(
            coarse_rate_hz=space.coarse_rate_hz, n_coarse_codebooks=space.n_coarse_codebooks,
            max_coarse_history=window.coarse_history,
        ),
        FineConfig(
            n_fine_codebooks=space.n_fine_codebooks, max_fine_history_length=window.fine_frames,
            max_fine_input_length=2 * window.fine_frames,
        ),
        codebook_size=space.codebook_size,
    )  # fmt: skip
    assert HistoryWindow.of(config) == window

    defaults = RenderSettings()

    def jobs(voice):
        request = RenderRequest(text_ids=[1], voice=voice)
        semantic = semantic_job(config, request, defaults, [1])
        coarse = coarse_job(config, request, defaults, np.zeros(3, np.int64))
        fine = fine_job(config, request, defaults, np.zeros((space.n_coarse_codebooks, 3), np.int64))
        return semantic.prefix, coarse.semantic.tobytes(), coarse.history.tobytes(), fine.buffer.tobytes()

    rng = np.random.default_rng(checkpoint)
    equal = 0
    for _ in range(150):
        voice = some_voice(rng, space, int(rng.integers(4, 500)))
        semantic, fine = voice.semantic.copy(), voice.fine.copy()
        if rng.random() < 0.5:
            semantic[rng.integers(len(semantic))] ^= 1
        else:
            fine[rng.integers(len(fine)), rng.integers(fine.shape[1])] ^= 1
        changed = VoiceHistory(semantic, fine[: space.n_coarse_codebooks], fine, space=space)
        equal += jobs(voice) == jobs(changed)
        assert (window.view(voice) == window.view(changed)) == (jobs(voice) == jobs(changed))
    assert 10 < equal < 140


@pytest.mark.parametrize(("space", "window", "operators"), CHECKPOINTS)
def test_what_is_cut_off_a_voice_was_never_read(space, window, operators):
    rng = np.random.default_rng(14)
    for size in (1, 2, 30, 81, 82, 83, 84, 340, 341, 342, 343, 600):
        voice = some_voice(rng, space, size)
        tail = window.canonical(voice)
        assert window.view(tail) == window.view(voice)
        assert all(map(np.array_equal, what_suno_reads(tail, window), what_suno_reads(voice, window)))
        for name in ("tempo", "segment_duplicate"):  # so the operators do not care which of the two they get
            if size >= 30:
                assert drawn(name, [voice], 2, operators).material == drawn(name, [tail], 2, operators).material


@pytest.mark.parametrize("name", IN_TIME)
def test_edits_in_time_keep_all_three_streams_in_step(name):
    operator = VOICE_OPERATORS[name]
    parents = [numbered_voice(341, number) for number in range(operator.arity)]
    if name == "silence_trim":
        semantic = parents[0].semantic.copy()
        semantic[100:160] = semantic[100]
        parents = [VoiceHistory(semantic, parents[0].coarse, parents[0].fine, space=parents[0].space)]
    for seed in range(30):
        child = drawn(name, parents, seed).material
        at = np.arange(child.fine.shape[1])
        token = child.semantic[np.minimum((at + 0.5) / 75 * 49.9, child.semantic.size - 1).astype(int)]
        frame = child.fine[0]
        assert ((token >= 4_000) != (frame >= 2_000)).sum() <= 1  # of the same parent, but for rounding at a seam
        moment_of_token = (2 * (token % 4_000) + 1) / 49.9
        moment_of_frame = (frame % 2_000 + 0.5) / 75
        late = np.abs(moment_of_frame - moment_of_token)[(token >= 4_000) == (frame >= 2_000)]
        if name == "silence_trim":  # the sound that is held has one id for 1.2 s
            late = late[token != semantic[100]]
        # Two frames of rounding and half a sound of 0.04 s; where two stretches meet, a frame may go to the other one.
        assert (late > 0.05).sum() <= 1
        assert (child.fine == child.fine[:1]).all()  # columns are never torn


def test_a_splice_is_the_head_of_the_first_and_the_tail_of_the_second():
    rng = np.random.default_rng(1)
    a, b = some_voice(rng, MICRO_TOKENS, 60), some_voice(rng, MICRO_TOKENS, 60)
    operators = CHECKPOINTS[1][2]
    parameters = {"reads": (80, 120), "head_stop": 40, "tail_start": 34}
    child = operators["splice"].apply([a, b], parameters).material
    np.testing.assert_array_equal(child.semantic, np.concatenate([a.semantic[:40], b.semantic[34:]]))
    np.testing.assert_array_equal(child.fine, np.concatenate([a.fine[:, :60], b.fine[:, 51:]], axis=1))


def test_cuts_are_made_where_sounds_change():
    voice = numbered_voice(340)
    for name in ("segment_delete", "segment_duplicate", "segment_swap", "crop", "splice"):
        for seed in range(20):
            child = drawn(name, [voice, numbered_voice(340, 1)][: VOICE_OPERATORS[name].arity], seed).material
            lengths = np.diff(np.flatnonzero(np.diff(child.semantic, prepend=-1, append=-1)))
            # Every sound of the parents lasts 2 tokens; only the ends of the window may halve one.
            assert (lengths[1:-1] % 2 == 0).all(), name


def test_a_crop_brings_what_the_window_had_left_out():
    voice = numbered_voice(1_000)
    hidden = set(voice.semantic.tolist()) - set(voice.canonical().semantic.tolist())
    assert any(hidden & set(drawn("crop", [voice], seed).material.semantic.tolist()) for seed in range(5))


def test_length_keeps_the_end():
    rng = np.random.default_rng(3)
    voice = some_voice(rng, SUNO_TOKENS, 341)
    child = drawn("length", [voice]).material
    np.testing.assert_array_equal(child.semantic, voice.semantic[-child.semantic.size :])
    assert 128 <= child.semantic.size < 341


@pytest.mark.parametrize("permille", [800, 900, 1_100, 1_200])
def test_tempo_keeps_every_sound_in_order_and_changes_the_length(permille):
    rng = np.random.default_rng(4)
    semantic = np.repeat(rng.permutation(40), rng.integers(5, 9, 40))[:200]
    fine = rng.integers(0, 1_024, (8, SUNO_TOKENS.frames_for(200)))
    voice = VoiceHistory(semantic, fine[:2], fine)
    parameters = {"reads": (256, 512), "length_permille": permille}
    child = VOICE_OPERATORS["tempo"].apply([voice], parameters).material
    assert list(dict.fromkeys(child.semantic.tolist())) == list(dict.fromkeys(semantic.tolist()))
    assert child.semantic.size == pytest.approx(200 * permille / 1_000, abs=1)


def test_silence_trim_shortens_a_pause_and_nothing_else():
    rng = np.random.default_rng(5)
    speech = np.arange(200)
    semantic = np.concatenate([speech, np.full(60, 9_999)])
    fine = rng.integers(0, 1_024, (8, SUNO_TOKENS.frames_for(260)))
    voice = VoiceHistory(semantic, fine[:2], fine)
    for seed in range(10):
        child = drawn("silence_trim", [voice], seed).material
        np.testing.assert_array_equal(child.semantic[:200], speech)
        assert 1 <= child.semantic.size - 200 <= 30
        assert (child.semantic[200:] == 9_999).all()
    with pytest.raises(NotApplicable, match="no pause"):
        drawn("silence_trim", [VoiceHistory(speech, fine[:2, :300], fine[:, :300])])


def test_a_codebook_mix_exchanges_only_detail():
    rng = np.random.default_rng(6)
    a, b = some_voice(rng, SUNO_TOKENS, 341), some_voice(rng, SUNO_TOKENS, 250)
    for seed in range(20):
        child = drawn("codebook_mix", [a, b], seed).material
        np.testing.assert_array_equal(child.semantic, a.semantic)
        np.testing.assert_array_equal(child.fine[:4], a.fine[:4])
        changed = child.fine != a.fine
        end_aligned = np.full_like(a.fine, -1)
        end_aligned[:, -b.fine.shape[1] :] = b.fine
        np.testing.assert_array_equal(child.fine[changed], end_aligned[changed])


def test_a_backcross_is_mostly_the_ancestor():
    ancestor, descendant = numbered_voice(341, 0), numbered_voice(300, 1)
    for seed in range(20):
        child = drawn("backcross", [ancestor, descendant], seed).material
        share = (child.semantic < 4_000).mean()
        assert 0.6 <= share < 1
        assert child.semantic.size == 341


def test_rerenders_say_the_first_voice_and_sound_like_the_last():
    rng = np.random.default_rng(7)
    a, b = some_voice(rng, SUNO_TOKENS, 341), some_voice(rng, SUNO_TOKENS, 341)
    chimera = drawn("chimera", [a, b]).render
    np.testing.assert_array_equal(chimera.semantic, a.semantic)
    assert chimera.voice == b
    assert chimera.coarse is None
    rerender = drawn("rerender", [a]).render
    np.testing.assert_array_equal(rerender.semantic, a.semantic)
    assert rerender.voice == a
    assert 0.3 <= rerender.settings.coarse_temp <= 0.9
    fine_only = drawn("rerender_fine", [a]).render
    np.testing.assert_array_equal(fine_only.coarse, a.coarse)
    continuation = drawn("continuation", [a]).render
    assert continuation.text in CARRIER_TEXTS
    assert continuation.voice == a
    immigrant = drawn("immigrant", []).render
    assert (immigrant.voice, immigrant.semantic) == (None, None)


def test_an_engine_renders_what_operators_ask_for_into_voices():
    pytest.importorskip("torch")
    from bark_infinity.engine import BarkEngine

    engine = BarkEngine.load("random-tiny", device="cpu")
    window = HistoryWindow.of(engine.config)
    operators = voice_operators(window, texts=["hello there"])
    rng = np.random.default_rng(8)
    parents = [some_voice(rng, engine.space, 200) for _ in range(2)]
    names = [name for name, operator in operators.items() if operator.cost == "rerender"]
    requests = [drawn(name, parents[: operators[name].arity], 3, operators).render for name in names]
    for rendering in engine.render(requests, decode=False):
        voice = rendering.as_voice()
        assert voice.space == engine.space
        assert rendering.stopped == "given"


def test_an_edit_outside_of_the_window_is_refused():
    rng = np.random.default_rng(9)
    first = some_voice(rng, SUNO_TOKENS, 341)
    fine = first.fine.copy()
    fine[:, :380] = 0  # the second voice differs only there
    second = VoiceHistory(first.semantic, fine[:2], fine)
    assert drawn("codebook_mix", [first, second], 1) is not None
    with pytest.raises(NotApplicable, match=r"reads too little|equal to a parent"):
        drawn("codebook_mix", [first, second], 1, voice_operators(HistoryWindow(40, 240, 96)))


@pytest.mark.parametrize("name", [name for name, operator in VOICE_OPERATORS.items() if operator.cost == "edit"])
def test_voices_too_short_or_too_even_are_refused_not_broken(name):
    operator = VOICE_OPERATORS[name]
    rng = np.random.default_rng(15)
    for seed in range(100):
        unequal = [some_voice(rng, SUNO_TOKENS, int(size)) for size in rng.integers(1, 90, operator.arity)]
        with contextlib.suppress(NotApplicable):  # any other error is the failure
            drawn(name, unequal, seed)
    for size in (1, 2, 3, 10, 24, 25, 26):
        for semantic in (np.zeros(size, np.int64), np.arange(size)):
            fine = np.zeros((8, SUNO_TOKENS.frames_for(size)), np.int64)
            parents = [VoiceHistory(semantic, fine[:2], fine)] * operator.arity
            for seed in range(5):
                with contextlib.suppress(NotApplicable):
                    drawn(name, parents, seed)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("crop", {"drop": 10_000}),
        ("crop", {}),
        ("length", {"keep": True}),
        ("tempo", {"length_permille": 1.1}),
        ("segment_delete", {"start": 300, "length": 60}),
        ("segment_swap", {"segments": [10, 20, 15, 30]}),
        ("silence_trim", {"start": 0, "drop": "60"}),
        ("splice", {"head_stop": 0, "tail_start": 0}),
        ("codebook_mix", {"codebook": 1, "frames": [10, 10]}),
        ("codebook_mix", {"codebook": 5, "frames": [10, 11]}),
        ("backcross", {"before_end": 10, "length": 11}),
        ("continuation", {"text": "  "}),
        ("rerender", {"coarse_temp_percent": 0}),
    ],
)
def test_a_record_that_does_not_fit_its_parents_says_so(name, parameters):
    rng = np.random.default_rng(10)
    parents = [some_voice(rng, SUNO_TOKENS, 341) for _ in range(VOICE_OPERATORS[name].arity)]
    with pytest.raises(NotApplicable, match="parameter"):
        VOICE_OPERATORS[name].apply(parents, {"reads": (256, 512)} | parameters)


def test_voices_of_different_spaces_are_not_crossed_and_parents_are_counted():
    rng = np.random.default_rng(11)
    with pytest.raises(NotApplicable, match="different token spaces"):
        drawn("splice", [some_voice(rng, SUNO_TOKENS), some_voice(rng, MICRO_TOKENS)])
    for call in (VOICE_OPERATORS["splice"], VOICE_OPERATORS["splice"].draw):
        with pytest.raises(BarkError, match="takes 2 parents, got 1"):
            call([some_voice(rng, SUNO_TOKENS)], rng)
    with pytest.raises(BarkError, match="carrier texts"):
        voice_operators(texts=[" "])


def test_children_keep_their_family_and_leave_the_name_to_the_parent():
    rng = np.random.default_rng(12)
    plain = some_voice(rng, MICRO_TOKENS, 82)
    facts = {"model_family": "micro", "note": "x"}
    parent = VoiceHistory(*plain.to_arrays().values(), space=MICRO_TOKENS, name="ann", metadata=facts, origin="a.npz")
    child = drawn("tempo", [parent], 0, CHECKPOINTS[1][2]).material
    assert (child.family, child.name, child.origin) == ("micro", None, None)
    assert dict(child.metadata) == {"model_family": "micro"}


def test_parents_are_never_written_to():
    rng = np.random.default_rng(13)
    parents = [some_voice(rng, SUNO_TOKENS, 500) for _ in range(2)]
    before = [parent.to_bytes() for parent in parents]
    for operator in VOICE_OPERATORS.values():
        operator(parents[: operator.arity] if operator.name != "silence_trim" else [numbered_pause()], rng)
    assert [parent.to_bytes() for parent in parents] == before


def numbered_pause() -> VoiceHistory:
    semantic = np.concatenate([np.arange(100), np.full(30, 7)])
    fine = np.zeros((8, SUNO_TOKENS.frames_for(130)), np.int64)
    return VoiceHistory(semantic, fine[:2], fine)


def test_operators_load_no_model_library():
    program = "import sys, bark_infinity.voice_edits, bark_infinity.prompts; print('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[1]
    result = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
