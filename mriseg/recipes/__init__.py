"""One stage a module, read top to bottom: generators that yield events and return a result."""
