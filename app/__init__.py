"""How recipes reach people: settings, server, page, command line, and the stand-in for the models."""
