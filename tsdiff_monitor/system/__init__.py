"""Files, locks, logs, threads and errors of the process."""
