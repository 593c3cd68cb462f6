"""``python -m tsdiff_monitor`` is the ``tsdiff-monitor`` command."""

from tsdiff_monitor.cli import main

if __name__ == "__main__":
    main()
