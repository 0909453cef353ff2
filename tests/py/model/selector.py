"""Label selectors: a small recursive parser, the evaluator and the normal form.

A parsed selector is a tuple whose first item names the kind:

  ("and", [x, y, ...])  ("or", [x, y, ...])  ("not", x)  ("all",)  ("global",)
  ("has", label)  ("==", label, value)  ("!=", label, value)
  ("in", label, [values])  ("not in", label, [values])
  ("contains", label, text)  ("starts with", label, text)  ("ends with", label, text)
"""

import re

DEPTH = 100
LABEL_LENGTH = 512

_BLANKS = re.compile(rb"[ \t]*")
_LABEL = re.compile(rb"[A-Za-z0-9_./-]+")
_STRING = re.compile(rb"'([^']*)'|\"([^\"]*)\"", re.S)
_CALL = re.compile(rb"(has|all|global)\(")
_OPERATORS = [
    (re.compile(rb"=="), "=="),
    (re.compile(rb"!="), "!="),
    (re.compile(rb"contains(?![\w./-])"), "contains"),
    (re.compile(rb"starts[ \t]*with(?![\w./-])"), "starts with"),
    (re.compile(rb"ends[ \t]*with(?![\w./-])"), "ends with"),
    (re.compile(rb"not[ \t]*in(?![\w./-])"), "not in"),
    (re.compile(rb"in(?![\w./-])"), "in"),
]


class SelectorError(Exception):
    """Not a selector; position is the byte offset of the first bad token."""

    def __init__(self, position, message):
        super().__init__(message)
        self.position = position


class _Parser:
    def __init__(self, text):
        self.text = text
        self.at = 0
        self.skip_blanks()

    def skip_blanks(self):
        self.at = _BLANKS.match(self.text, self.at).end()

    def take(self, token):
        """Consumes a token (text or pattern) and the blanks after it, if it is next."""
        pattern = re.compile(re.escape(token)) if isinstance(token, bytes) else token
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
            self.skip_blanks()
        return match

    def need(self, token, what):
        return self.take(token) or self.fail(f"expected {what}")

    def fail(self, message):
        raise SelectorError(self.at, message)

    def chain(self, kind, token, operand, depth):
        """One operand or more; a chain of the same kind among them becomes part of it."""
        items = []
        while not items or self.take(token):
            item = operand(depth)
            items += item[1] if item[0] == kind else [item]
        return items[0] if len(items) == 1 else (kind, items)

    def either(self, depth):
        return self.chain("or", b"||", self.both, depth)

    def both(self, depth):
        return self.chain("and", b"&&", self.unary, depth)

    def unary(self, depth):
        if self.text[self.at:self.at + 1] in (b"!", b"(") and depth == DEPTH:
            self.fail("nested too deeply")
        if self.take(b"!"):
            return ("not", self.unary(depth + 1))
        if self.take(b"("):
            inner = self.either(depth + 1)
            self.need(b")", '")"')
            return inner
        return self.term()

    def term(self):
        call = self.take(_CALL)
        if call:
            parsed = (call[1].decode(),)
            if call[1] == b"has":
                parsed = ("has", self.label())
            self.need(b")", '")"')
            return parsed
        label = self.label()
        for pattern, operator in _OPERATORS:
            if self.take(pattern):
                break
        else:
            self.fail("expected an operator")
        if operator in ("in", "not in"):
            return (operator, label, self.values())
        return (operator, label, self.string())

    def label(self):
        match = _LABEL.match(self.text, self.at)
        if not match:
            self.fail("expected a label name")
        if len(match[0]) > LABEL_LENGTH:
            self.fail("label name too long")
        self.take(_LABEL)
        return match[0]

    def string(self):
        match = self.take(_STRING)
        if not match:
            if self.text[self.at:self.at + 1] in (b"'", b'"'):
                self.at = len(self.text)
                self.fail("expected the closing quote")
            self.fail("expected a quoted text")
        return match[1] if match[1] is not None else match[2]

    def values(self):
        self.need(b"{", '"{"')
        values = [self.string()]
        while self.take(b","):
            values.append(self.string())
        self.need(b"}", '"}"')
        return values


def parse(text):
    """The parsed selector, or None for an empty one; raises SelectorError."""
    parser = _Parser(text)
    if parser.at == len(text):
        return None
    parsed = parser.either(0)
    if parser.at != len(text):
        parser.fail("expected the end")
    return parsed


def evaluate(parsed, labels):
    kind = parsed[0]
    if kind == "and":
        return all(evaluate(item, labels) for item in parsed[1])
    if kind == "or":
        return any(evaluate(item, labels) for item in parsed[1])
    if kind == "not":
        return not evaluate(parsed[1], labels)
    if kind in ("all", "global"):
        return True
    value = labels.get(parsed[1])
    if kind == "!=":
        return value != parsed[2]
    if kind == "not in":
        return value not in parsed[2]
    if value is None:
        return False
    if kind == "has":
        return True
    if kind == "==":
        return value == parsed[2]
    if kind == "in":
        return value in parsed[2]
    if kind == "contains":
        return parsed[2] in value
    if kind == "starts with":
        return value.startswith(parsed[2])
    return value.endswith(parsed[2])


def _quoted(value):
    return b"'" + value + b"'" if b'"' in value else b'"' + value + b'"'


def normal_form(parsed):
    kind = parsed[0]
    if kind in ("and", "or"):
        joint = b" && " if kind == "and" else b" || "
        return b"(" + joint.join(normal_form(item) for item in parsed[1]) + b")"
    if kind == "not":
        return b"!" + normal_form(parsed[1])
    if kind in ("all", "global"):
        return kind.encode() + b"()"
    if kind == "has":
        return b"has(" + parsed[1] + b")"
    if kind in ("in", "not in"):
        values = b", ".join(_quoted(value) for value in sorted(set(parsed[2])))
        return parsed[1] + b" " + kind.encode() + b" {" + values + b"}"
    return parsed[1] + b" " + kind.encode() + b" " + _quoted(parsed[2])
