"""The queue on disk that every writer of series sends from: nothing is lost while its target is away."""
