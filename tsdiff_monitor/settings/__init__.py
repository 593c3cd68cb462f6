"""The vocabulary that every configuration model is written with."""
