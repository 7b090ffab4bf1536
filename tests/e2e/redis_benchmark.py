"""redis-benchmark against a follower and against the leader ends without an error."""
import shutil
import subprocess

import cluster


def test(arguments):
    if shutil.which('redis-benchmark') is None:
        raise cluster.Skip('redis-benchmark is missing (Debian: redis-tools)')
    with cluster.Cluster(arguments.binary) as c:
        leader = c.start()
        follower = next(n for n in c.nodes if n is not leader)
        for what, node in (('follower', follower), ('leader', leader)):
            command = ['redis-benchmark', '-p', str(node.port), '-t', 'set,get', '-P', '16', '-c', '50', '-n',
                       str(arguments.requests), '-q']
            ran = subprocess.run(command, capture_output=True, text=True, timeout=240)
            lines = [line.split('\r')[-1] for line in ran.stdout.split('\n')]
            print(f'{what}:', *(line for line in lines if 'requests per second' in line), sep='\n  ', flush=True)
            output = ran.stdout + ran.stderr
            assert ran.returncode == 0, f'against the {what} it ended with {ran.returncode}:\n{output}'
            assert 'rror' not in output and 'WARNING' not in output, f'against the {what} it reported:\n{output}'
            assert output.count('requests per second') >= 2, f'against the {what} a result is missing:\n{output}'
        assert c.wait_leader() is leader, 'the leader changed under the load'


cluster.run(test, [('--requests', 50000, 'of each kind')], limit=280)
