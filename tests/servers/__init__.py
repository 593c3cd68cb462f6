"""Real servers for tests, each a child process on a free port of 127.0.0.1 that is up in under a second."""
