"""Documents for people: pictures, charts, curves, model cards. Nothing here computes."""
