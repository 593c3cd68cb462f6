"""What readers, writers and notifiers that speak HTTP have in common: options, certificates, ``Retry-After``."""
