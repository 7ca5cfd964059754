"""What reports, stores and runs show of themselves: in a notebook, in a terminal, as a table.

A class derives from `mriseg.overview.shown.Shown` and says by one method what it has to show, in
the plain values of `mriseg.overview.values`.
"""
