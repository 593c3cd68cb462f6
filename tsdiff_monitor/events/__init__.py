"""Events: from scores to incidents with a beginning, culprits and an end."""
