"""``python -m benchmarks [NAME] [OPTIONS]`` runs the measurement ``NAME`` of this folder, by default ``commands``."""

import importlib
import sys
from pathlib import Path


def main() -> None:
    """Run the measurement with the options that follow its name."""
    folder = Path(__file__).parent
    names = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")} - {"results", "surroundings"}
    name, options = "commands", sys.argv[1:]
    if options and not options[0].startswith("-"):
        name, *options = options
    if name not in names:
        sys.exit(f"There is no measurement {name!r}; there are: {', '.join(sorted(names))}.")
    sys.argv = [f"python -m benchmarks {name}", *options]
    importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
