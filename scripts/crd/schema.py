"""Words to write the schema of a custom resource in: each returns a piece of OpenAPI, as Kubernetes reads it."""

from typing import Any, Mapping, Sequence

Schema = dict[str, Any]


def text(
    about: str = "",
    *,
    most: int | None = None,
    pattern: str | None = None,
    values: Sequence[str] = (),
    default: str | None = None,
    form: str | None = None,
) -> Schema:
    """A string; `most` is its longest length."""
    return _described(
        about, type="string", maxLength=most, pattern=pattern, enum=list(values) or None, default=default, format=form
    )


def any_case(*values: str, about: str = "") -> Schema:
    """One of these words in whatever case, or nothing."""
    return text(about, pattern=f"^(?i:{'|'.join(values)})?$")


def flag(about: str = "") -> Schema:
    """True or false."""
    return _described(about, type="boolean")


def integer(
    about: str = "",
    *,
    least: int | None = None,
    most: int | None = None,
    values: Sequence[int] = (),
    form: str | None = None,
) -> Schema:
    """A whole number."""
    return _described(about, type="integer", minimum=least, maximum=most, enum=list(values) or None, format=form)


def number(about: str = "") -> Schema:
    """A number, with a fraction or not."""
    return _described(about, type="number")


def integer_or_text(about: str = "") -> Schema:
    """A number or a name, as ports and protocols are written."""
    either = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
    return _described(about, **either)


def sequence(
    of: Schema, about: str = "", *, kind: str | None = "atomic", least: int | None = None, most: int | None = None
) -> Schema:
    """A list; of the kind "set" no item may be there twice, and two writers may each add their own."""
    list_type = {"x-kubernetes-list-type": kind}
    return _described(about, type="array", items=of, minItems=least, maxItems=most, **list_type)


def texts(about: str = "", **options: Any) -> Schema:
    """A set of strings."""
    return sequence(text(), about, **{"kind": "set", **options})


def mapping(of: Schema, about: str = "") -> Schema:
    """Any names, each with a value of one schema."""
    return _described(about, type="object", additionalProperties=of)


def record(
    fields: Mapping[str, Schema],
    about: str = "",
    *,
    required: Sequence[str] = (),
    rules: Sequence[Schema] = (),
    atomic: bool = False,
) -> Schema:
    """An object with these fields, sorted; what else an object has is dropped by the server."""
    extra = {
        "x-kubernetes-validations": list(rules) or None,
        "x-kubernetes-map-type": "atomic" if atomic else None,
    }
    return _described(
        about, type="object", properties=dict(sorted(fields.items())), required=list(required) or None, **extra
    )


def rule(expression: str, message: str, *, forbidden: bool = False, missing: bool = False) -> Schema:
    """What must hold (CEL), and what the user is told if it does not: a value is wrong, forbidden or missing."""
    reason = "FieldValueForbidden" if forbidden else "FieldValueRequired" if missing else "FieldValueInvalid"
    return {"message": message, "reason": reason, "rule": expression}


def is_empty(field: str) -> str:
    """CEL: the field is not there, or holds nothing."""
    return f"(!has(self.{field}) || size(self.{field}) == 0)"


def is_off(field: str) -> str:
    """CEL: the flag is not there, or false."""
    return f"(!has(self.{field}) || !self.{field})"


def equals(field: str, *values: str | int) -> str:
    """CEL: the field is there and has one of these values."""
    return f"(has(self.{field}) && ({' || '.join(f'self.{field} == {value!r}' for value in values)}))"


def _described(about: str, **schema: Any) -> Schema:
    given = {"description": about or None, **schema}
    return {key: value for key, value in given.items() if value is not None}
