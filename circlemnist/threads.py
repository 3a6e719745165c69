"""How threads wait for one another, set before torch is loaded: a training shares its machine.

OpenMP's threads spin at the end of every parallel loop until the last has come. While they spin
they keep a core from a process that would use it: beside one busy process a training on two cores
took many times as long as without it. Threads that spin only briefly, then sleep, do not.
docs/benchmarks.md has the cost.
"""

import os

SPINS = "1000"  # of GNU's OpenMP, which spins 300,000 times unless told otherwise
OWN_CHOICE = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def share_cores() -> None:
    """Have threads spin briefly, unless the user's environment says how they wait.

    Without effect once torch is loaded, and with another OpenMP than GNU's. Results are the same
    bits.
    """
    if not any(name in os.environ for name in OWN_CHOICE):
        os.environ["GOMP_SPINCOUNT"] = SPINS
