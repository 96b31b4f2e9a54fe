"""What is counted, in Prometheus' text format: no names, no ids, no pictures."""

from collections import Counter, defaultdict
from collections.abc import Iterable

BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram of seconds."""

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Gauge = tuple[str, str, dict[str, str], float]
"""A name, what it is, labels, and the value."""


class Metrics:
    """Requests by path template, method and status, and how long they took; for one thread."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: dict[str, list[int]] = {}
        self._sums: defaultdict[str, float] = defaultdict(float)

    def count(self, path: str, method: str, status: int, seconds: float) -> None:
        """Note a request; ``path`` is a template."""
        self._requests[path, method, status] += 1
        buckets = self._seconds.setdefault(path, [0] * (len(BUCKETS) + 1))
        buckets[next((index for index, most in enumerate(BUCKETS) if seconds <= most), len(BUCKETS))] += 1
        self._sums[path] += seconds

    def text(self, gauges: Iterable[Gauge]) -> str:
        """All of it; ``gauges`` are what is to be told of now."""
        lines = ["# HELP facerecon_requests_total Requests answered.", "# TYPE facerecon_requests_total counter"]
        for (path, method, status), count in sorted(self._requests.items()):
            lines.append(
                _line("facerecon_requests_total", {"path": path, "method": method, "status": str(status)}, count)
            )
        name = "facerecon_request_seconds"
        lines += [f"# HELP {name} From a request's first byte to its answer's last.", f"# TYPE {name} histogram"]
        for path, buckets in sorted(self._seconds.items()):
            total = 0
            for most, count in zip((*BUCKETS, "+Inf"), buckets, strict=True):
                total += count
                lines.append(_line(f"{name}_bucket", {"path": path, "le": str(most)}, total))
            lines += [
                _line(f"{name}_sum", {"path": path}, self._sums[path]),
                _line(f"{name}_count", {"path": path}, total),
            ]
        told = ""
        for name, what, labels, value in gauges:
            if name != told:
                lines += [f"# HELP {name} {what}", f"# TYPE {name} gauge"]
            told = name
            lines.append(_line(name, labels, value))
        return "\n".join(lines) + "\n"


def _line(name: str, labels: dict[str, str], value: float) -> str:
    shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{shown}}} {value}" if shown else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
