"""Computing on a backend. Nothing here opens a file or writes a text for people."""
