"""The one error family: a refusal that its reader can act on."""

DAMAGED = "the index is damaged; delete it and build it again"
INTACT = "what was committed is intact, run the build again"


class PhotoseekError(Exception):
    """Something was refused or failed for a reason outside the code.

    The message is one line that names the thing and, where there is one, the next command. The command line prints
    it and exits with 1; any other exception is a bug and keeps its traceback.
    """
