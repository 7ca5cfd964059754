"""The pages that commands write, each from plain values: what is on it, and in what order.

- ``prediction``: of a folder of masks
- ``evaluation``: of scores
- ``data``: of a store, to judge a data set by
- ``training``: of a run, while it goes on
- ``comparison``: of ways to start a training
- ``demonstration``: of the demo

`mriseg.report.html` writes them, and ``mriseg.report.methods`` has their texts to paste.
"""
