"""How a task tells of an evaluation: names, order, and sections of its own. Imports no torch."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from facerecon.evaluation.evaluation import Evaluation

if TYPE_CHECKING:
    from facerecon.report.story import Story


class TaskReport:
    """What report, model card and console show of a task; this class shows any task plainly, a task's own says more.

    ``purpose`` ends the sentence "A network that ...". ``package`` has a folder ``templates`` of Jinja templates;
    ``sections`` says which of these stand where: a slot of the report ("faces", "figures", "after_figures", "compared",
    "after_promotion") or of the card ("card_use", "card_figures") has the names of its templates. ``intended_use`` and
    ``misuse`` are the card's, Markdown.
    """

    purpose: ClassVar[str] = "was trained on aligned faces"
    package: ClassVar[str | None] = None
    sections: ClassVar[dict[str, tuple[str, ...]]] = {}
    floors: ClassVar[frozenset[str]] = frozenset()
    """Methods that are none, but what a figure is without any: they are shown and never called best."""

    intended_use: ClassVar[tuple[str, ...]] = ("Research.",)
    misuse: ClassVar[tuple[str, ...]] = (
        "**As evidence.** What a network gives must not identify, convict or exclude a person.",
    )
    disclaimer: ClassVar[str] = "What a network gives is an estimate, no evidence of who a person is."

    figure_notes: ClassVar[tuple[str, ...]] = ()
    """Sentences that help to read the figures."""

    parts_title: ClassVar[str] = "Parts of the face"
    """Above the table of cases for which ``is_part`` holds."""

    def anchors(self, story: "Story") -> dict[str, tuple[str, str]]:
        """Anchor and title of the section that the task puts into a slot of this report, by slot."""
        return {}

    def case_title(self, case: str) -> str:
        """A case as it is shown."""
        return case.replace("_", " ")

    def level_label(self, case: str, level: int) -> str:
        """A row's name: its level, or of a case without levels the case's title."""
        return self.case_title(case) if level < 0 else f"level {level}"

    def row_note(self, evaluation: Evaluation, case: str, level: int) -> str:
        """What stands beside a row's name, "" for nothing."""
        return ""

    def sets_title(self, evaluation: Evaluation) -> str:
        """Above the figures of face sets that are measured apart."""
        return "Old faces and new"

    def sets_note(self, evaluation: Evaluation) -> str:
        """Why these are measured apart."""
        label = evaluation.methods[evaluation.baseline]
        return (
            "Photographs and new footage are measured apart, and nothing is averaged over both: two cameras do not "
            f"compare by {evaluation.headline_metric.label} itself, but by the gain over {label}. "
            f"Confidence is that on {evaluation.face_set}."
        )

    def set_note(self, evaluation: Evaluation, face_set: str) -> str:
        """What stands beside the figures of a face set, "" for nothing."""
        return ""

    def set_cases(self, evaluation: Evaluation) -> list[str]:
        """The cases whose tables are shown of a face set beside the headline's."""
        return [evaluation.headline[1]]

    def order(self, cases: list[str]) -> list[str]:
        """The cases in the order in which they are shown; the headline's first."""
        return cases

    def is_part(self, case: str) -> bool:
        """Whether the case stands in the table of parts, one row a case, and not in a table of its own."""
        return False

    def case_tag(self, story: "Story", case: str) -> str:
        """A remark on a case that is set off in its title, "" for none."""
        return ""

    def beside_headline(self, evaluation: Evaluation) -> list[str]:
        """Sentences that stand wherever the headline does: without them its figure would flatter."""
        return []

    def shortfalls(self, evaluation: Evaluation) -> list[str]:
        """Sentences on where the model falls short beyond the figures of the table."""
        return []

    def console(self, evaluation: Evaluation) -> list[str]:
        """Lines that the terminal shows after the verdict."""
        return []

    def limits(self, story: "Story") -> list[str]:
        """What the figures do not say, beside what no report's figures say."""
        return []

    def training_facts(self, story: "Story") -> list[tuple[str, str]]:
        """Rows of the training section: name and text."""
        return []

    def charts(self, names: list[str]) -> list[tuple[str, list[str]]]:
        """Charts of validation figures: a title and the names of its curves among ``names``; losses follow."""
        return [(name, [name]) for name in names if name.startswith("val/")]

    def sample_grid(self, evaluation: Evaluation) -> NDArray[np.uint8] | None:
        """The evaluation's samples as one picture, uint8 [H, W, 3]; None without pictures."""
        return None

    def context(self, story: "Story") -> dict[str, Any]:
        """What the task's templates name beside what all templates are given."""
        return {}
