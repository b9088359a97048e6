"""``python -m bumpscope``: the commands."""

from bumpscope.cli import main

if __name__ == "__main__":
    main()
