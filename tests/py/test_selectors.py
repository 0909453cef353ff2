"""Label selectors: golden tables, the small Python parser, and random selectors."""

import pytest

import vectors
from model import selector as model

TABLE = vectors.load("selectors.yaml")

LABELS = ["a", "b", "a.b/c-d_e"]
VALUES = ["", "v", "w", "vw", "it's", 'q"']


def _name(row):
    return repr(row["text"])


def _holds(text, labels):
    return model.evaluate(model.parse(text), {key.encode(): value.encode()
                                              for key, value in labels.items()})


@pytest.mark.parametrize("row", TABLE["forms"], ids=_name)
def test_normal_form(probe, row):
    text = row["text"].encode()
    parsed = model.parse(text)
    answer = probe.selector(text)
    assert answer["ok"], answer
    assert answer["empty"] == (parsed is None) == row.get("empty", False)
    if parsed is not None:
        assert model.normal_form(parsed).decode() == row["normal"]
        assert answer["normal"] == row["normal"]


@pytest.mark.parametrize("row", TABLE["errors"], ids=_name)
def test_error(probe, row):
    text = row["text"].encode()
    at = row["at"] if isinstance(row["at"], list) else [row["at"]]
    with pytest.raises(model.SelectorError) as error:
        model.parse(text)
    assert error.value.position in at
    answer = probe.selector(text)
    assert not answer["ok"]
    assert answer["position"] in at, answer
    assert answer["message"]


@pytest.mark.parametrize("row", TABLE["matches"], ids=lambda row: f"{row['text']!r} {row['labels']}")
def test_match(probe, row):
    text = row["text"].encode()
    assert _holds(text, row["labels"]) == row["is"]
    assert probe.selector_match(text, row["labels"]) == row["is"]


# ---- limits -------------------------------------------------------------------


@pytest.mark.parametrize("opening, closing", [(b"(", b")"), (b"!", b""), (b"!(", b")"), (b"( ! ", b" ) ")])
def test_depth(probe, opening, closing):
    """Each "(" and each "!" is a level; 100 are allowed."""
    levels = opening.count(b"(") + opening.count(b"!")
    times = 100 // levels
    deep = opening * times + b"has(a)" + closing * times
    assert probe.selector(deep)["ok"]
    assert probe.selector_match(deep, {"a": "x"})

    too_deep = probe.selector(b"!" + deep)
    assert not too_deep["ok"]
    with pytest.raises(model.SelectorError) as error:
        model.parse(b"!" + deep)
    assert too_deep["position"] == error.value.position


def test_depth_is_not_length(probe):
    """Neighbours do not add up: only what stands inside one another is depth."""
    for joint in (b" && ", b" || "):
        text = joint.join([b"!(!(has(a)))"] * 500)
        assert probe.selector(text)["ok"]
        assert probe.selector_match(text, {"a": "x"})


def test_depth_far_beyond_the_limit(probe):
    for text in (b"(" * 500000, b"!" * 500000, b"!(" * 250000 + b"has(a)" + b")" * 250000):
        answer = probe.selector(text)
        assert not answer["ok"]
        assert answer["position"] == 100


def test_label_length(probe):
    longest = b"x" * 512
    assert probe.selector(b"has(" + longest + b")")["ok"]
    assert probe.selector(longest + b" == 'v'")["ok"]
    for text, at in ((b"has(x" + longest + b")", 4), (b"x" + longest + b" == 'v'", 0)):
        answer = probe.selector(text)
        assert not answer["ok"]
        assert answer["position"] == at


def test_long_values(probe):
    value = "v" * 100000
    assert probe.selector_match(f"k == '{value}'".encode(), {"k": value})
    values = ", ".join(f"'v{number}'" for number in range(10000))
    assert probe.selector_match(f"k in {{{values}}}".encode(), {"k": "v9999"})
    assert not probe.selector_match(f"k in {{{values}}}".encode(), {"k": "v10000"})


# ---- random selectors -----------------------------------------------------------


def _quoted(rng, value):
    quotes = [quote for quote in "'\"" if quote not in value]
    quote = rng.choice(quotes)
    return quote + value + quote


def _term(rng):
    label = rng.choice(LABELS)
    value = _quoted(rng, rng.choice(VALUES))
    values = ", ".join(_quoted(rng, rng.choice(VALUES)) for _ in range(rng.randint(1, 3)))
    return rng.choice([
        f"{label} == {value}", f"{label}!={value}", f"{label} in {{{values}}}",
        f"{label} not in {{{values}}}", f"{label} notin {{ {values} }}",
        f"{label} contains {value}", f"{label} starts with {value}", f"{label} endswith {value}",
        f"has({label})", f"has({label})", "all()", "global()",
    ])


def _random_selector(rng, depth=3):
    """A well-formed selector, blanks and parentheses strewn in."""
    blank = rng.choice(["", " ", "\t", "  "])
    choice = rng.random()
    if depth == 0 or choice < 0.3:
        return blank + _term(rng) + blank
    if choice < 0.45:
        return "!" + blank + "(" + _random_selector(rng, depth - 1) + ")"
    if choice < 0.6:
        return "(" + _random_selector(rng, depth - 1) + ")" + blank
    joint = rng.choice(["&&", "||", " && ", " || "])
    return joint.join(_random_selector(rng, depth - 1) for _ in range(rng.randint(2, 3)))


def _random_labels(rng):
    return {label: rng.choice(VALUES) for label in LABELS if rng.random() < 0.6}


def test_random_selectors_agree_with_model(probe, rng):
    for _ in range(1500):
        text = _random_selector(rng).encode()
        answer = probe.selector(text)
        assert answer["ok"], (text, answer)
        normal = answer["normal"].encode()
        assert normal == model.normal_form(model.parse(text)), text
        assert probe.selector(normal)["normal"].encode() == normal
        for _ in range(3):
            labels = _random_labels(rng)
            expected = _holds(text, labels)
            assert probe.selector_match(text, labels) == expected, (text, labels)
            assert probe.selector_match(normal, labels) == expected, (normal, labels)
            assert _holds(normal, labels) == expected, (normal, labels)


def _agree_on(probe, text):
    """Both take the text, or both refuse it at the same place."""
    try:
        model.parse(text)
        position = None
    except model.SelectorError as error:
        position = error.position
    answer = probe.selector(text)
    assert answer["ok"] == (position is None), (text, position, answer)
    assert answer.get("position") == position or answer["ok"], (text, position, answer)


def test_changed_selectors_agree_with_model(probe, rng):
    """Good selectors with a byte or token put in or left out."""
    tokens = [b"(", b")", b"!", b"&&", b"||", b"&", b"=", b"==", b"'", b'"', b"{", b"}", b",", b" ", b"a",
              b"has(", b"in ", b"not ", b"\0", b"\xff", b"all()"]
    for _ in range(4000):
        text = _random_selector(rng, 2).encode()
        at = rng.randint(0, len(text))
        text = text[:at] + rng.choice(tokens + [b""]) + text[at + rng.randint(0, 2):]
        if not _is_unsettled(text):
            _agree_on(probe, text)


def _is_unsettled(text):
    """Texts the page leaves open: "in {}", a comma before "}", "has (" with a blank."""
    squeezed = text.replace(b" ", b"").replace(b"\t", b"")
    return (b"{}" in squeezed or b",}" in squeezed
            or any(word + blank + b"(" in text for word in (b"has", b"all", b"global")
                   for blank in (b" ", b"\t", b"  ")))


def test_random_bytes_never_hurt(probe, rng):
    alphabet = b"ahs()!&|='\"{},. \t\0\xffinot"
    for _ in range(3000):
        text = bytes(rng.choice(alphabet) for _ in range(rng.randint(0, 40)))
        answer = probe.selector(text)
        if not answer["ok"]:
            assert 0 <= answer["position"] <= len(text)
