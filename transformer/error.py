"""The one exception for mistakes a user can cause and can repair."""


class UserError(Exception):
    """One line that says what is wrong, where, and what to change.

    The programs print the line without a traceback (unless `--debug`) and exit with status 2.
    """
