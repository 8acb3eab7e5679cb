"""What all tests share."""

import signal

# A shell that starts the suite in the background has it ignore these, and every program that a test starts would
# inherit that; drctl itself handles them, so that what it starts has them as usual.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
