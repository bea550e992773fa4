"""``python -m wgf`` is the command ``wgf``."""

from wgf.command.cli import main

if __name__ == "__main__":
    main()
