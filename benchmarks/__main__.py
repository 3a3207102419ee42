"""``python -m benchmarks [OPTIONS]`` measures the targets; ``python -m benchmarks web_restore [OPTIONS]`` a restore in
the browser."""

import sys

from benchmarks import table, web_restore


def main() -> None:
    """Run the measurement with the options that follow."""
    if sys.argv[1:2] == ["web_restore"]:
        sys.argv[:2] = ["python -m benchmarks web_restore"]
        web_restore.main()
    else:
        sys.argv[0] = "python -m benchmarks"
        table.main()


if __name__ == "__main__":
    main()
