"""Plays a supervising agent: judges what the engineer reported, and decides what happens next."""

import json
import os
import time
from pathlib import Path

event = json.loads(Path(os.environ["ORGLOOP_EVENT_FILE"]).read_text())
report = event["payload"]["result"]["json"]
time.sleep(0.6)

if report["tests"]:
    print("The change is tested.\n")
    decision = {"decision": "done", "why": "changed and tested"}
else:
    print("Nothing tests this change.\n")
    decision = {"decision": "add_tests", "why": f"{report['changed'][0]} has no test"}
print(f"```json\n{json.dumps(decision)}\n```")
