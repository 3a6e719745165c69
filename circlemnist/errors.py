"""The error whose message is meant for the user."""


class UserError(Exception):
    """Something the user can mend; the message is one line that names what and how."""
