"""The command line: typer and rich, and nothing that computes."""
