"""Whether something names a person still."""

import json
import re
from pathlib import Path

from ops.forget.record import Survey

_HEXADECIMAL = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])|(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")

INSTEAD = "forgotten"
"""What stands in a text where the person was named."""


class Needles:
    """What must not be found any more: names of photos, digests, the identity's name where it is a word of its own."""

    def __init__(self, found: Survey) -> None:
        self._digests = {digest.encode() for digest in (*found.sha256s, *found.kept.objects)}
        is_clip = found.target.kind == "clip"
        clips = [trace for trace in found.traces if trace.whole and is_clip]
        self._digests |= {trace.clip_sha256.encode() for trace in clips}
        # of a clip that others are in, too, the name and the row in the ledger stay
        words = {trace.uri for trace in found.traces if is_clip or not trace.whole}
        words |= {trace.named for trace in clips} - {""}
        if found.target.kind != "identity" or _telling(found.target.name):
            words.add(found.target.name)
        forms = {form for word in words for form in (word, json.dumps(word)[1:-1])}
        self._forms = [form.encode("utf-8", "surrogateescape") for form in sorted(forms)]
        escaped = b"|".join(map(re.escape, self._forms))
        self._words = re.compile(rb"(?<![\w-])(?:" + escaped + rb")(?![\w-])" if forms else rb"(?!)")

    def within_text(self, text: str) -> bool:
        """Whether any is in a text."""
        return self.within_bytes(text.encode("utf-8", "surrogateescape"))

    def within_bytes(self, content: bytes) -> bool:
        """Whether any is in bytes, whatever they are."""
        # an expression takes a hundred times as long: it only looks at what stands around
        if any(digest in content for digest in self._digests) and not self._digests.isdisjoint(
            _HEXADECIMAL.findall(content)
        ):
            return True
        return any(form in content for form in self._forms) and self._words.search(content) is not None

    def replaced(self, text: str) -> str:
        """A text with INSTEAD in place of each."""
        content = self._words.sub(INSTEAD.encode(), text.encode("utf-8", "surrogateescape"))
        content = _HEXADECIMAL.sub(lambda match: INSTEAD.encode() if match[0] in self._digests else match[0], content)
        return content.decode("utf-8", "surrogateescape")

    def within(self, path: Path) -> bool:
        """Whether any is in a file; not in one that cannot be read."""
        try:
            return self.within_bytes(path.read_bytes())
        except OSError:
            return False


def _telling(name: str) -> bool:
    """Whether a name, met as a word, is more than a number that anything may have."""
    return len(name) >= 4 and not name.isdigit()
