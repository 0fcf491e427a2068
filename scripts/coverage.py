"""Prints the lines of src/ that no test reached and the coverage of each folder, from a JSON report of llvm-cov.
Fails if a folder is below its minimum."""

import json
import sys
from pathlib import Path

# Minimum percentages of covered lines. Raise that of a folder when its tests have improved.
MINIMUM = 97
MINIMUMS = {}


def main():
    report = json.loads(Path(sys.argv[1]).read_text())["data"][0]
    folders = {}
    for file in report["files"]:
        path = Path(file["filename"]).relative_to(Path.cwd())
        for number, text in uncovered(path, file["segments"]):
            print(f"{path}:{number}: {text.strip()}")
        name = path.parts[1] if len(path.parts) > 2 else "(files of src/)"
        lines = file["summary"]["lines"]
        covered, count = folders.get(name, (0, 0))
        folders[name] = covered + lines["covered"], count + lines["count"]

    print()
    below = []
    for name, (covered, count) in sorted(folders.items()):
        percent = 100 * covered / max(count, 1)
        minimum = MINIMUMS.get(name, MINIMUM)
        print(f"{name:16} {covered:6} of {count:6} lines  {percent:6.2f} %  (at least {minimum} %)")
        if percent < minimum:
            below.append(name)
    if below:
        sys.exit(f"error: coverage is below the minimum in: {', '.join(below)}. Add tests for the lines listed above.")


def uncovered(path, segments):
    """Yields the number and text of each line that was never run."""
    # A segment is (line, column, count, has a count, begins a region, is a gap). It ends where the next one begins.
    by_line = {}
    for segment in segments:
        by_line.setdefault(segment[0], []).append(segment)
    before = None
    for number, text in enumerate(path.read_text().splitlines(), 1):
        here = by_line.get(number, [])
        counts = [hits for _, _, hits, counted, begins, gap in here if counted and begins and not gap]
        if before and before[3]:
            counts.append(before[2])
        if counts and max(counts) == 0:
            yield number, text
        if here:
            before = here[-1]


main()
