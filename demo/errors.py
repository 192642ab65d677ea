class DemoError(Exception):
    """Something did not come about; the message says what, for the person who watches."""


class CommandError(DemoError):
    """A program failed; the message is what it said."""
