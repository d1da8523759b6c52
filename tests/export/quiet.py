"""No progress to tell of."""


def quiet(what: str, done: int, total: int) -> None:
    """An `on_step` that does nothing."""
