"""Stub libraries for PyTorch's CUDA build: it loads without CUDA's, finds no device, and computes on the processor.

The package index has no other build for x86-64, and CUDA's libraries take 3 GB. A stub defines the symbols that PyTorch
looks for in a library; to call one is an error of CUDA (35, insufficient driver). Run in the image, which has gcc:

    python stubs.py SITE_PACKAGES
"""

import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

CUDA = re.compile(r"lib(cu|nccl|nvrtc|nvshmem|nvJitLink)")
"""How the names of CUDA's libraries begin."""
UNVERSIONED = re.compile(r"(cu|nccl|nv)")
"""How the names of those symbols of CUDA begin that have no version to tell the library by."""
INSUFFICIENT_DRIVER = 35
Symbols = dict[str, dict[str, set[str]]]
"""The symbols that are looked for, by library and version; "" where they have none."""


def needed(path: Path) -> set[str]:
    """The libraries of CUDA that a library is linked with."""
    names = re.findall(r"\(NEEDED\).*\[(.*)\]", _printed("readelf", "--dynamic", "--wide", str(path)))
    return {name for name in names if CUDA.match(name)}


def libraries_of_versions(path: Path) -> dict[str, str]:
    """The library that each version of a symbol is looked for in."""
    found, library = {}, ""
    for line in _printed("readelf", "--version-info", "--wide", str(path)).splitlines():
        if match := re.search(r"\bFile: (\S+)", line):
            library = match[1]
        elif match := re.search(r"\bName: (\S+)\s+Flags:", line):
            found[match[1]] = library
    return found


def undefined(path: Path) -> list[tuple[str, str]]:
    """Names and versions of the symbols that a library looks for elsewhere and cannot do without."""
    lines = _printed("nm", "--dynamic", "--undefined-only", str(path)).splitlines()
    words = [line.split()[-1] for line in lines if line.split()[-2:-1] == ["U"]]
    return [(name, version.lstrip("@")) for name, _, version in (word.partition("@") for word in words)]


def defined(path: Path) -> set[str]:
    """The names of the symbols that a library has."""
    lines = _printed("nm", "--dynamic", "--defined-only", str(path)).splitlines()
    return {line.split()[-1].partition("@")[0] for line in lines if line}


def stubbed(paths: list[Path]) -> Symbols:
    """What the libraries at ``paths`` look for in CUDA's.

    A symbol without a version is looked for in all libraries that are loaded: one is enough, if none of its own symbols
    has a version.
    """
    symbols: Symbols = {name: defaultdict(set) for path in paths for name in needed(path)}
    present = set().union(*map(defined, paths))
    of_versions = {path: libraries_of_versions(path) for path in paths}
    versioned = {library for libraries in of_versions.values() for library in libraries.values()}
    users = Counter(name for path in paths for name in sorted(needed(path) - versioned))
    anywhere = users.most_common(1)[0][0] if users else ""
    for path, libraries in of_versions.items():
        for name, version in undefined(path):
            library = libraries.get(version, "") if version else anywhere if UNVERSIONED.match(name) else ""
            if CUDA.match(library) and name not in present:
                symbols.setdefault(library, defaultdict(set))[version].add(name)
    return symbols


def build(library: str, versions: dict[str, set[str]], folder: Path) -> None:
    """Compile a stub into ``folder``."""
    # what registers kernels when PyTorch is loaded must succeed
    lines = [
        f"long {name}(void) {{ return {0 if name.startswith('__cuda') else INSUFFICIENT_DRIVER}; }}"
        for names in versions.values()
        for name in sorted(names)
    ]
    script = [f"{version} {{ global: {'; '.join(sorted(names))}; }};" for version, names in versions.items() if version]
    with tempfile.TemporaryDirectory() as name:
        source, versioned = Path(name) / "stub.c", Path(name) / "stub.map"
        source.write_text("\n".join(lines) or "int unused;")
        versioned.write_text("\n".join(script))
        options = [f"-Wl,--version-script={versioned}"] if script else []
        command = ["gcc", "-shared", "-fPIC", "-w", "-o", str(folder / library), *options]
        subprocess.run([*command, f"-Wl,-soname,{library}", str(source)], check=True)


def _printed(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Put stubs beside PyTorch's libraries, which find them there."""
    packages = Path(sys.argv[1])
    folder = packages / "torch" / "lib"
    paths = sorted(
        {*folder.glob("*.so*"), *(packages / "torchvision").glob("*.so"), *(packages / "torch").glob("*.so")}
    )
    symbols = stubbed(paths)
    # PyTorch's companions bring some of CUDA's themselves
    brought = {path.name for path in packages.glob("*.libs/*")}
    for library, versions in sorted(symbols.items()):
        if library in brought:
            continue
        build(library, versions, folder)
        print(f"{library}: {sum(map(len, versions.values()))} symbols")


if __name__ == "__main__":
    main()
