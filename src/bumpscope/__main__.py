"""``python -m bumpscope``: the commands."""

from bumpscope.commands.cli import main

if __name__ == "__main__":
    main()
