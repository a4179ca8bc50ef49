"""Runs the command line as `python -m ops.cli`, which is how one command starts another."""

from ops.cli import main

if __name__ == "__main__":
    main(prog_name="cardvault")
