"""The tests; their threads share the machine, as those of the commands do."""

from circlemnist.process import share_cores

share_cores()  # before torch is loaded
