"""Great Expectations' pages, made fit to be kept: they load nothing, run nothing and do not change with the time.

As they come, they fetch styles, scripts and a logo from nine addresses, with the project's id in one of them; whoever
opens such a page tells these addresses so. Names of photos in them stay: they say which rows to mend.
"""

import html
import re
from pathlib import Path

import pandas as pd

from facerecon.errors import FaceReconError

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """
body { margin: 0 auto; max-width: 75rem; padding: 1rem 1.5rem; font: 1rem/1.5 system-ui, sans-serif; }
body { color: #1b1f24; background: #fff; }
a { color: #0b6b76; } h5 { font-size: 1.15rem; } h5, h6 { margin: .4rem 0; } h6 { font-size: 1rem; display: inline; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; } .ge-section { margin: 0 0 1.5rem; }
th, td { border: 1px solid #dfddd6; padding: .3rem .6rem; text-align: left; vertical-align: top; }
.badge { background: #f1efe9; border-radius: 3px; padding: 0 .3rem; } .text-danger { color: #a8231c; }
.text-success { color: #10694a; } .text-warning { color: #8a5a00; } i { font-style: normal; }
.alert { border-left: 4px solid #0b6b76; padding: .3rem .8rem; background: #f1efe9; } ul { padding-left: 1.2rem; }
.fa-times::before { content: "\\2717"; } .fa-check-circle::before { content: "\\2713"; }
.fa-exclamation-triangle::before { content: "!"; }
.cooltip .top, .btn-group, .card-header, .popover { display: none; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; }
"""

_GONE = (
    # what runs, what is fetched, and the bars that need both
    r"<script\b.*?</script>",
    r"<link\b[^>]*>",
    r"<img\b[^>]*>",
    r"<style\b.*?</style>",
    r"<footer\b.*?</footer>",
    r"<!--.*?-->",
    r"<nav class=\"navbar navbar-expand-md.*</nav>\s*(?=<div class=\"container-fluid)",
    r"<div class=\"card mb-3\">\s*<div class=\"card-header p-2\">\s*<strong>Actions.*?(?=<div class=\"card d-md-block)",
    # a traceback names files of this machine; what went wrong is told without it
    r"<code >\s*Traceback \(most recent call last\):.*?</code>",
    # what a script would fold away is shown
    r"Show (?:exception traceback|more info)\.\.\.",
)
_VARYING = (
    (r"-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", ""),
    (r"(ge_load_time</span>.*?)\d{8}T\d{6}\.\d{6}Z", r"\1not told"),
    (r"2000-01-01T00:00:00Z", "not told"),
)


def read_pages(folder: Path, names: list[str], account: pd.DataFrame) -> dict[str, str]:
    """The pages that Great Expectations built under ``folder``, by file name.

    For each of the suites ``names`` there is what came of it, ``faces.html``, and what it asks, ``faces-suite.html``;
    ``index.html`` leads to all, and shows what became of every file (``account``).

    Raises:
        FaceReconError: it built others than is expected of it.
    """
    site = folder / "gx" / "uncommitted" / "data_docs" / "local_site"
    pages, lines = {}, []
    for name in names:
        found = sorted((site / "validations" / name).rglob("*.html"))
        suite = site / "expectations" / f"{name}.html"
        if len(found) != 1 or not suite.is_file():
            raise FaceReconError(f"Data Docs: Great Expectations built no page of {name}: report this with its version")
        pages[f"{name}.html"] = _clean(found[0].read_text(encoding="utf-8"), f"{name}: what was seen")
        pages[f"{name}-suite.html"] = _clean(suite.read_text(encoding="utf-8"), f"{name}: what is asked")
        lines.append(
            f'<li><a href="{html.escape(name)}.html">{html.escape(name)}</a>'
            f' (<a href="{html.escape(name)}-suite.html">what is asked</a>)</li>'
        )
    listed = "\n".join(lines)
    body = f"<h1>Data Docs</h1>\n<p>By Great Expectations, one page for each table.</p>\n<ul>\n{listed}\n</ul>"
    body += f"\n<h2>Every file</h2>\n{account.to_html(index=False, border=0)}"
    pages["index.html"] = _page("Data Docs", body)
    return pages


def _clean(page: str, title: str) -> str:
    body = page[page.index("<body") : page.rindex("</body>")]
    body = body[body.index(">") + 1 :]
    for pattern in _GONE:
        body = re.sub(pattern, "", body, flags=re.DOTALL)
    for pattern, instead in _VARYING:
        body = re.sub(pattern, instead, body, flags=re.DOTALL)
    body = re.sub(r'href="(?:\.\./)+expectations/([\w-]+)\.html"', r'href="\1-suite.html"', body)
    body = re.sub(r'href="(?!#|[\w-]+\.html")[^"]*"', "", body)
    body = re.sub(r"\n\s*\n+", "\n", body)
    return _page(title, f'<p><a href="index.html">Data Docs</a></p>\n{body}')


def _page(title: str, body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n<meta name="robots" content="noindex">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
