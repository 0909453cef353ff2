"""The tables under tests/vectors, cases as data."""

import pathlib

import yaml

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "vectors"


def load(name):
    with open(FOLDER / name, encoding="utf-8") as file:
        return yaml.safe_load(file)


def by_name(cases):
    """Arguments for pytest.mark.parametrize: each case under its own name."""
    names = [case["name"] for case in cases]
    doubled = {name for name in names if names.count(name) > 1}
    assert not doubled, f"names used twice: {doubled}"
    return {"argvalues": cases, "ids": names}
