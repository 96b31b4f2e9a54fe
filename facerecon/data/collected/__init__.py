"""Faces collected out of an inbox: whole clips are read once, their good faces kept, people told apart for ever."""
