"""The selectors that a policy or one side of a rule amounts to.

What one side of a rule selects is kept as its *parts*, each in normal form, so that it does not depend on the order in
which they are put together: (namespaces, accounts by label, accounts by name, selector, what is excepted).
"""

import functools

from model import selector
from plain.labels import ACCOUNT, NAMESPACE, OF_ACCOUNT, OF_NAMESPACE


@functools.lru_cache(maxsize=None)
def parse(text):
    return selector.parse(text.encode())


@functools.lru_cache(maxsize=None)
def normal(text):
    parsed = parse(text)
    return "" if parsed is None else selector.normal_form(parsed).decode()


def matches(text, labels):
    """An empty selector selects all."""
    parsed = parse(text)
    return parsed is None or selector.evaluate(parsed, labels)


def both(*texts):
    """What all of them select; empty ones say nothing."""
    given = [text for text in texts if text]
    return given[0] if len(given) == 1 else " && ".join(f"({text})" for text in given)


def _about(parsed, prefix, presence):
    """A parsed selector over the labels of namespaces or accounts, as one over those that endpoints inherit."""
    kind = parsed[0]
    if kind in ("and", "or"):
        return kind, [_about(item, prefix, presence) for item in parsed[1]]
    if kind == "not":
        return kind, _about(parsed[1], prefix, presence)
    if kind == "all":
        return ("has", presence.encode()) if presence else parsed
    if kind == "global":
        return "not", ("has", presence.encode())
    return (kind, prefix.encode() + parsed[1], *parsed[2:])


@functools.lru_cache(maxsize=None)
def about(text, prefix, presence):
    """`presence` is the label that all() asks for; None leaves all() as it is."""
    parsed = parse(text)
    return "" if parsed is None else selector.normal_form(_about(parsed, prefix, presence)).decode()


def of_namespace(namespace):
    return f"{NAMESPACE} == '{namespace}'" if namespace else ""


def of_policy(spec, namespace):
    return both(spec.get("selector", ""), of_namespace(namespace),
                "" if namespace else about(spec.get("namespaceSelector", ""), OF_NAMESPACE, NAMESPACE),
                # In a namespaced policy upstream leaves all() as it is, which its namespace narrows.
                about(spec.get("serviceAccountSelector", ""), OF_ACCOUNT, None if namespace else ACCOUNT))


def of_side(entity, namespace):
    """The parts of what one side of a rule selects; None: anybody."""
    accounts = entity.get("serviceAccounts") or {}
    by_label = about(accounts.get("selector", ""), OF_ACCOUNT, None)
    by_name = ""
    if accounts.get("names"):
        by_name = normal(f"{ACCOUNT} in {{{', '.join(repr(name) for name in accounts['names'])}}}")
    selected, excepted = normal(entity.get("selector", "")), normal(entity.get("notSelector", ""))
    namespaces = about(entity.get("namespaceSelector", ""), OF_NAMESPACE, NAMESPACE)
    if not namespaces and any([by_label, by_name, selected, excepted]):
        namespaces = normal(of_namespace(namespace))
    if not any([namespaces, by_label, by_name, selected]):
        return None
    return namespaces, by_label, by_name, selected, excepted


def excepted_alone(entity):
    """The parts of a notSelector that has nothing to narrow."""
    return "", "", "", normal(entity["notSelector"]), ""


def of_parts(parts):
    namespaces, by_label, by_name, selected, excepted = parts
    return both(namespaces, by_label, by_name, selected, f"!({excepted})" if excepted else "")
