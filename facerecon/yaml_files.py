"""YAML files that people write, read by the rules of YAML 1.2 and strictly: what is likely a slip is refused.

PyYAML reads YAML 1.1, in which ``0100`` is 64, ``10:00`` is 600, ``no`` is false and ``1e-3`` is text, and of two equal
keys it keeps the last. Here a number is what YAML 1.2's core schema says, without leading zeros; what only looks like
one is text, which settings refuse as a number.
"""

import re
import unicodedata
from pathlib import Path
from typing import Any

import yaml

from facerecon.errors import FaceReconError

MOST_VALUES, MOST_LEVELS = 100_000, 30
"""So many values a file may hold, aliases written out, and so deep they may be nested."""

PLAIN = (str, int, float, bool, type(None))
"""What a file may hold beside mappings and lists."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own name, filled below

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in lines:
                raise FaceReconError(f"{key.value}: stands twice, in lines {lines[name]} and {line}: take one out")
            lines[name] = line
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would take for a number, a truth value or null."""


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    sign, digits = (text[0], text[1:]) if text[:1] in "+-" else ("", text)
    base = {"0x": 16, "0o": 8}.get(digits[:2].lower(), 10)
    return int(sign + digits, base)


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
):
    _tag = f"tag:yaml.org,2002:{_name}"
    _rule = _tag, re.compile(rf"(?:{_pattern})\Z"), ["" if c == "\0" else c for c in _first]
    _Loader.add_implicit_resolver(*_rule)
    _Dumper.add_implicit_resolver(*_rule)
_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)


def to_yaml(value: Any) -> str:
    """Text that ``read_yaml`` reads back as ``value``: mappings, lists, text, numbers, true, false and null."""
    return yaml.dump(value, Dumper=_Dumper, allow_unicode=True)


def read_yaml(path: Path, name: str = "", example: str = "configs/demo.yaml") -> Any:
    """What a YAML file holds: mappings, lists, text, numbers, true, false and null.

    Errors call it ``name``, its path if that is "", and name an ``example``.

    Raises:
        FaceReconError: it cannot be read, is not valid YAML, has a key twice in one mapping, is nested too deep or too
            large, or holds a control character or a value of another kind.
    """
    name = name or str(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise FaceReconError(f"{name}: cannot be read ({error}): give a YAML file such as {example}") from error
    except yaml.YAMLError as error:
        raise FaceReconError(f"{name}: not valid YAML: {error}") from error
    except FaceReconError as error:
        raise FaceReconError(f"{name}: {error.message}") from error
    except RecursionError as error:
        raise FaceReconError(f"{name}: nested too deep: at most {MOST_LEVELS} levels") from error
    # a tag that does not fit: a date that is none, a truth value of another name, a number of thousands of digits
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise FaceReconError(f"{name}: holds a value that cannot be read: {error}") from error
    _check(content, name, ())
    return content


def _check(value: Any, where: str, keys: tuple[Any, ...], sizes: dict[int, int] | None = None) -> int:
    """How many values ``value`` holds, aliases written out; FaceReconError for what no file may hold."""
    sizes = {} if sizes is None else sizes
    at = f"{where}: {'.'.join(map(str, keys[:8])) or 'it'}"
    if len(keys) > MOST_LEVELS:
        raise FaceReconError(f"{at}: nested too deep: at most {MOST_LEVELS} levels")
    if isinstance(value, str):
        wrong = next((c for c in value if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\r\n"), None)
        if wrong is not None:
            raise FaceReconError(f"{at} holds {wrong!a}, a control character: take it out")
        return 1
    if isinstance(value, PLAIN):
        return 1
    if not isinstance(value, dict | list):
        raise FaceReconError(f"{at}: text, a number, true, false or null is expected, not a {type(value).__name__}")
    # an alias comes again without being counted again
    if id(value) not in sizes:
        sizes[id(value)] = MOST_VALUES  # what an alias within itself would be
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key in value if isinstance(value, dict) else ():
            _check(key, where, keys)
        sizes[id(value)] = 1 + sum(_check(item, where, (*keys, key), sizes) for key, item in items)
    if sizes[id(value)] > MOST_VALUES:
        raise FaceReconError(f"{at} holds more than {MOST_VALUES} values, with its aliases written out")
    return sizes[id(value)]
