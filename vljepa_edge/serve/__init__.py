"""Events out of the process: named streams on one Model, served by HTTP with a live page. Needs the extra `serve`."""
