"""When a worker of `ringraft-sim --seeds` dies, only its current seed is lost, and the output names it.

    python3 tests/sim/dying_worker.py BUILD/src/sim/ringraft-sim
"""

import os
import re
import signal
import subprocess
import sys
import time


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as file:
        return [int(word) for word in file.read().split()]


def main():
    command = [sys.argv[1], '--seeds', '1..40', '--jobs', '1', '--duration', '5']
    simulator = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not children(simulator.pid):
        assert time.monotonic() < deadline, 'no worker was started'
        time.sleep(0.001)
    os.kill(children(simulator.pid)[0], signal.SIGKILL)
    output, _ = simulator.communicate(timeout=600)
    named = re.findall(r'^seed (\d+): broken: the process completes the run: it ended with signal 9\n'
                       r'  replay: ringraft-sim --seed (\d+) ', output, re.MULTILINE)
    assert len(named) == 1 and named[0][0] == named[0][1], output
    assert '40 seeds, 1 failures;' in output, output
    assert simulator.returncode == 1, simulator.returncode
    print(f'killed during seed {named[0][0]}: the output names it, and the other seeds ran')


main()
