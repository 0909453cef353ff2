"""Addresses and nets: golden table, and random texts against Python's ipaddress."""

import ipaddress

import pytest

import vectors
from model import address as model

TABLE = vectors.load("addresses.yaml")


def _name(row):
    return repr(row["text"])


def _address(text):
    return None if text is None else ipaddress.ip_address(text)


def _net(text):
    return None if text is None else ipaddress.ip_network(text)


def _model_address(text):
    parsed = model.parse_address(text)
    return parsed and model.format_address(parsed)


def _model_net(text):
    parsed = model.parse_net(text)
    return parsed and model.format_net(parsed)


@pytest.mark.parametrize("row", TABLE["addresses"], ids=_name)
def test_address(probe, row):
    text, expected = row["text"].encode(), _address(row.get("is"))
    assert _address(_model_address(text)) == expected
    assert _address(probe.address(text)) == expected


@pytest.mark.parametrize("row", TABLE["nets"], ids=_name)
def test_net(probe, row):
    text, expected = row["text"].encode(), _net(row.get("is"))
    assert _net(_model_net(text)) == expected
    assert _net(probe.cidr(text)) == expected


def _random_address_text(rng):
    """Mostly a good address in one of its spellings, sometimes nonsense."""
    if rng.random() < 0.3:
        octets = [str(rng.choice([0, 1, 10, 127, 255, rng.randint(0, 255)])) for _ in range(4)]
        text = ".".join(octets)
    else:
        words = [rng.choice([0, 0, 0, 1, 0xFFFF, rng.randint(0, 0xFFFF)]) for _ in range(8)]
        if rng.random() < 0.3:
            words[:6] = [0, 0, 0, 0, 0, 0xFFFF]
        value = ipaddress.IPv6Address(sum(word << (16 * (7 - at)) for at, word in enumerate(words)))
        text = rng.choice([str(value), value.exploded, value.compressed.upper(),
                           ":".join(f"{word:x}" for word in words)])
    if rng.random() < 0.3:
        at = rng.randint(0, len(text))
        text = text[:at] + rng.choice(["", ":", ".", "0", "00", "/", " ", "g", "1", "::"]) + text[
            at + rng.randint(0, 2):]
    return text


def _pythons_address(text):
    """Python's own reading; mapped addresses are IPv4 ones for us."""
    try:
        value = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(value, "ipv4_mapped", None) or value


def _pythons_net(text, length):
    """Python's own reading of text/length."""
    try:
        whole = ipaddress.ip_network((text, length), strict=False)
    except ValueError:
        return None
    mapped = getattr(whole.network_address, "ipv4_mapped", None)
    if mapped is not None and length >= 96:
        return ipaddress.ip_network((mapped, length - 96))
    return whole


def test_random_addresses_as_python_reads_them(probe, rng):
    for _ in range(5000):
        text = _random_address_text(rng)
        assert _address(probe.address(text.encode())) == _pythons_address(text), text
        assert _address(_model_address(text.encode())) == _pythons_address(text), text


def test_random_nets_as_python_reads_them(probe, rng):
    for _ in range(5000):
        text = _random_address_text(rng)
        length = rng.choice([0, 8, 31, 32, 33, 64, 95, 96, 97, 128, 129, rng.randint(0, 140)])
        expected = None if "/" in text else _pythons_net(text, length)
        both = f"{text}/{length}".encode()
        assert _net(probe.cidr(both)) == expected, both
        assert _net(_model_net(both)) == expected, both


def test_normal_text_is_its_own_normal_text(probe, rng):
    for _ in range(1000):
        normal = probe.address(_random_address_text(rng).encode())
        if normal is not None:
            assert probe.address(normal.encode()) == normal


def test_random_bytes(probe, rng):
    for _ in range(2000):
        text = bytes(rng.choice(b"0123456789abcdef:./%\0\xff ") for _ in range(rng.randint(0, 50)))
        assert _address(probe.address(text)) == _address(_model_address(text)), text
        assert _net(probe.cidr(text)) == _net(_model_net(text)), text
