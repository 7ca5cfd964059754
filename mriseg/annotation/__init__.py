"""The local page on which people look at masks and correct them: ``mriseg annotate``.

- ``annotate``: the session from its beginning to its end
- ``desk``: all that the page can do, without HTTP
- ``opened``: a case as the page shows it, and a drawing brought back onto the scan's grid
- ``listing``: the queue of cases
- ``background``: work that goes on meanwhile; ``improving``: learning from the corrections
- ``app``: the addresses; ``guard``: who may ask; ``server``: the socket on this machine alone
- ``refusals``: how a request is refused
"""
