"""``python -m flowseg``: the same as the command ``flowseg``."""

from flowseg.cli import main

if __name__ == "__main__":
    main()
