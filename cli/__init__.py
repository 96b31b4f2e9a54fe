"""The facerecon command: a thin face on everything below."""
