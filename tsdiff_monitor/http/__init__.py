"""The one HTTP stack of readers, writers and notifiers, also for plug-ins of others (docs/plugins.md)."""
