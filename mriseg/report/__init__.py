"""Documents for people: pictures, charts, pages, a viewer, model cards. Nothing here computes."""
