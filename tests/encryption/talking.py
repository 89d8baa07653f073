"""Jobs that say and keep what they were given, in processes of their own."""

from __future__ import annotations

import time

from outcrop.jobs import Outcome, Work, completed


def tell(work: Work) -> Outcome:
    print(work.input["words"], flush=True)
    work.log(work.input["words"])
    work.checkpoint({"words": work.input["words"]})
    time.sleep(work.input.get("seconds", 0))
    return completed({"words": work.input["words"]})


def fall(work: Work) -> Outcome:
    """Its words are in the traceback."""
    raise RuntimeError(work.input["words"])
