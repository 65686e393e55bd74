"""Plays a coding agent: reads its prompt, takes a moment, and reports in the way that its SOP asks for."""

import json
import sys
import time

prompt = sys.stdin.read()
writes_tests = "with tests" in prompt.splitlines()[0]

print("Writing a test." if writes_tests else "Changing the parser.", flush=True)
time.sleep(1.2)

if writes_tests:
    print("Added a test that fails on the old parser.\n")
    report = {"changed": ["tests/test_parser.py"], "tests": True}
else:
    print("The parser takes an empty list now.\n")
    report = {"changed": ["parser.py"], "tests": False}
print(f"```json\n{json.dumps(report)}\n```")
