"""Documents for people: pictures, charts, pages, model cards. Nothing here computes."""
