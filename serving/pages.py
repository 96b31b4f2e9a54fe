"""The pages: the one for photos and video, the API's description, and what is shown to who may not come in."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader


@cache
def _templates() -> Environment:
    return Environment(loader=PackageLoader("serving"), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def refusal_page(wrong: bool = False) -> str:
    """How to come in; ``wrong`` if what was tried was no token."""
    return _templates().get_template("refusal.html").render(wrong=wrong)


def opened_page() -> str:
    """Goes on to the page by itself. A redirect would come from whatever had the link, and the cookie would not go."""
    return _templates().get_template("opened.html").render()


def main_page(**about: Any) -> str:
    """The page for photos and video; ``about`` is what its template names."""
    return _templates().get_template("page.html").render(about)


def docs_page(schema: Mapping[str, Any]) -> str:
    """The API as its OpenAPI document describes it."""
    models = schema.get("components", {}).get("schemas", {})
    operations = [
        {"path": path, "method": method.upper(), **about}
        for path, methods in schema["paths"].items()
        for method, about in methods.items()
    ]
    shown = {name: json.dumps(model, indent=2, ensure_ascii=False) for name, model in models.items()}
    return _templates().get_template("docs.html").render(info=schema["info"], operations=operations, models=shown)
