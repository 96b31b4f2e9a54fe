"""The mark of pictures and clips that this project makes: they are no photographs, and nothing is trained on them.

Pictures say it in an XMP packet, by IPTC's Digital Source Type, which other programs read, too; clips in their
container's comment. Encoding them anew can remove either.
"""

from dataclasses import dataclass
from typing import Any

PROGRAM = "facerecon"


@dataclass(frozen=True)
class Words:
    """How the results of a task are spoken of: each is a ``result``, and ``done``; its faces were ``changed``, which
    the ``rest`` was not, and ``statement`` is what everybody who sees one is to know."""

    result: str
    done: str
    changed: str
    rest: str
    statement: str


RECONSTRUCTED = Words(
    "reconstruction",
    "reconstructed",
    "filled",
    "what was not filled",
    "Reconstructed: what was hidden was filled in by a network. It is a guess of what is plausible, not a record of "
    "what was there, and must not be taken for evidence of a person's looks.",
)

RESTORED = Words(
    "restoration",
    "restored",
    "restored",
    "what was not restored",
    "Restored: faces were redrawn by a network from a picture that shows less than what is drawn. It is a guess of "
    "what is plausible, not a record of what was there, and must not be taken for evidence of a person's looks.",
)

BOTH = Words(
    "reconstruction",
    "reconstructed and restored",
    "filled and restored",
    "what was not filled and restored",
    "Reconstructed and restored: what was hidden was filled in by a network, and faces were then redrawn by another "
    "from a picture that shows less than what is drawn. It is a guess of what is plausible, not a record of what was "
    "there, and must not be taken for evidence of a person's looks.",
)

MEASURED = Words(
    "measurement",
    "measured",
    "measured",
    "the picture under the lines",
    "Measured: where the parts of faces are and how deep was estimated by a network, their shape by a model of drawn "
    "faces. It is an estimate, not a record of anybody's face, and must not be taken for evidence of who a person is "
    "or of a person's looks.",
)

MARK_WITHIN = 4096
"""A text file bears its mark within so many bytes."""

_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_TOKEN = f'xmp:CreatorTool="{PROGRAM}"'

XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'{_TOKEN} Iptc4xmpExt:DigitalSourceType="{_SOURCE_TYPE}"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)
"""What stands in each picture."""


def comment_of(words: Words) -> str:
    """What stands in each clip."""
    return f"{PROGRAM}: {words.statement}"


def is_marked_text(content: bytes) -> bool:
    """Whether a text file that begins with ``content`` bears the mark."""
    return f"{PROGRAM}: ".encode() in content[:MARK_WITHIN]


def is_marked_picture(content: bytes) -> bool:
    """Whether a picture's bytes bear the mark, in whatever format."""
    return _TOKEN.encode() in content


def is_marked_clip(container: Any) -> bool:
    """Whether an open PyAV container bears the mark."""
    return any(f"{PROGRAM}: " in value for value in container.metadata.values())
