"""Adds up the JUnit files of one test run: python3 tests/summary.py FOLDER

Prints a line per suite, the name of everything that failed, and as the last line
`N passed, N failed` or `N passed, N failed, N skipped`. Exits 1 if anything failed, or nothing ran.
"""
import pathlib
import sys
import xml.etree.ElementTree as xml


def outcome(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if case.get("status") == "fail":
        return "failed"
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        return "skipped"
    return "passed"


def case_name(case):
    group, name = case.get("classname") or "", case.get("name") or "?"
    return name if group in ("", name) else f"{group}.{name}"


def main(folder):
    total = dict(passed=0, failed=0, skipped=0)
    failures = []
    for path in sorted(pathlib.Path(folder).glob("*.xml")):
        counts = dict(passed=0, failed=0, skipped=0)
        for case in xml.parse(path).getroot().iter("testcase"):
            result = outcome(case)
            counts[result] += 1
            if result == "failed":
                failures.append(f"{path.stem}: {case_name(case)}")
        for result, count in counts.items():
            total[result] += count
        print(f"  {path.stem:24} {counts['passed']:5} passed {counts['failed']:4} failed {counts['skipped']:4} skipped")
    for failure in failures:
        print(f"FAILED {failure}")
    line = f"{total['passed']} passed, {total['failed']} failed"
    if total["skipped"]:
        line += f", {total['skipped']} skipped"
    print(line)
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
