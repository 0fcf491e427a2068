"""Prints each line of source that no test reached, from a report of llvm-cov as JSON."""

import json
import sys
from pathlib import Path

report = json.loads(Path(sys.argv[1]).read_text())["data"][0]
lines = {"count": 0, "covered": 0}
for file in report["files"]:
    for key in lines:
        lines[key] += file["summary"]["lines"][key]
    path = Path(file["filename"])
    source = path.read_text().splitlines()

    # A segment is (line, column, count, has a count, begins a region, is a gap) and holds until the next one.
    by_line = {}
    for segment in file["segments"]:
        by_line.setdefault(segment[0], []).append(segment)
    before = None
    for number, text in enumerate(source, 1):
        here = by_line.get(number, [])
        counts = [count for _, _, count, counted, begins, gap in here if counted and begins and not gap]
        if before and before[3]:
            counts.append(before[2])
        if counts and max(counts) == 0:
            print(f"{path.relative_to(Path.cwd())}:{number}: {text.strip()}")
        if here:
            before = here[-1]

print(f"{lines['covered']} of {lines['count']} lines are covered: {100 * lines['covered'] / lines['count']:.2f} %")
