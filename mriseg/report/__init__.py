"""Documents for people: pictures, charts, curves, model cards, a viewer. Nothing here computes."""
