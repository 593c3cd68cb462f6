"""Working parts from a checked configuration."""
