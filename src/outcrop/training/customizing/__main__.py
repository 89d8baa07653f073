"""`python -m outcrop.training.customizing SPEC.json`, alone or under `torchrun`. How it ends is in its exit status: see `spec`."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from outcrop.training.customizing.spec import DONE, FAILED, INVALID, SpecError, load


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m outcrop.training.customizing SPEC.json", file=sys.stderr)
        return FAILED
    from outcrop.training import parallel
    from outcrop.training.customizing.messages import Replies, reporter

    replies = Replies(FAILED)
    replies.listen()

    with parallel.world(), reporter() as tell:
        from outcrop.engines.weights.errors import WeightsError
        from outcrop.training.customizing.records import InvalidData
        from outcrop.training.customizing.run import customize
        from outcrop.training.loop import TrainingError
        from outcrop.training.lora import AdapterError

        try:
            result = customize(load(Path(arguments[0])), tell, replies)
        except InvalidData as refusal:
            tell({"type": "invalid", "problems": refusal.problems})
            return INVALID
        except (SpecError, WeightsError, TrainingError, AdapterError) as problem:
            tell({"type": "failed", "reason": str(problem)})
            return FAILED
        except OSError as problem:
            tell({"type": "failed", "reason": f"{problem.filename or 'A file'}: {problem.strerror or problem}."})
            return FAILED
        except RuntimeError as problem:
            # Too little memory is said by torch in many words; the first line says it.
            tell(
                {"type": "failed", "reason": f"{type(problem).__name__}: {str(problem).strip().splitlines()[0][:500]}"}
            )
            return FAILED
        tell({"type": "done", "result": msgspec.to_builtins(result)})
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
