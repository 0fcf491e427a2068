"""Prints the lines of source that no test reached, from a report of llvm-cov as JSON, and fails if docs/coverage.md lacks the
sentence that says why. A run of lines is known by its file and its first line."""

import json
import re
import sys
from pathlib import Path

report = json.loads(Path(sys.argv[1]).read_text())["data"][0]
rows = re.findall(r"^\| `(src/[^`]+)` \| `` ?(.+?) ?`` \| .+ \|$", Path("docs/coverage.md").read_text(), re.MULTILINE)
explained = set(rows)
count = covered = 0
found, missing = set(), []

for file in report["files"]:
    summary = file["summary"]["lines"]
    count, covered = count + summary["count"], covered + summary["covered"]
    path = Path(file["filename"])
    name = str(path.relative_to(Path.cwd()))

    # A segment is (line, column, count, has a count, begins a region, is a gap) and holds until the next one.
    by_line = {}
    for segment in file["segments"]:
        by_line.setdefault(segment[0], []).append(segment)
    before, in_run = None, False
    for number, text in enumerate(path.read_text().splitlines(), 1):
        here = by_line.get(number, [])
        counts = [hits for _, _, hits, counted, begins, gap in here if counted and begins and not gap]
        if before and before[3]:
            counts.append(before[2])
        reached = not counts or max(counts) > 0
        if not reached:
            print(f"{name}:{number}: {text.strip()}")
            row = (name, text.strip())
            if not in_run:
                found.add(row)
                if row not in explained:
                    missing.append(f"{name}:{number}")
        in_run = not reached
        if here:
            before = here[-1]

print(f"{covered} of {count} lines are covered: {100 * covered / count:.2f} %")
for row in sorted(explained - found):
    print(f"docs/coverage.md speaks of a line that is reached or gone: {row[0]}: {row[1]}")
if missing:
    sys.exit(f"without a sentence in docs/coverage.md: {', '.join(missing)}")
