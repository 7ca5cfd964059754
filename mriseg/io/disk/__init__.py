"""Safe disk: what is written is complete or absent, and what is read may come from anyone.

- ``untrusted``: files opened without waiting and read no further than a limit
- ``atomic``: written beside its place and renamed into it
- ``locks``: one process at a time
- ``space``: whether there is room, checked before the work
- ``checksums``, ``versions``, ``schemas``: what a document must look like
- ``shared``: whether other processes see the same files, and a room for what they write
- ``known_files``: files that are known again without being read
- ``faults``: what is found when files are checked
- ``documents``: CSV and JSON, written and read
"""
