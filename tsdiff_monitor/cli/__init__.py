"""The command line: one module per command."""


def main() -> None:
    """Entry point."""
