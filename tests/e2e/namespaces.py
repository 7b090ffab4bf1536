"""A network of hosts, each in a network namespace of its own, on one bridge: links can be cut for one direction, lose a
part of their packets, or be slow.

Everything stands inside a network namespace of this process and has no name outside: whatever way the test ends, no
interface, rule or namespace stays behind. Host n has the address 10.77.0.n; the process itself has two, one for
clients, whose links can be cut as those of hosts can, and one for watching, which nothing cuts.
"""
import ctypes
import os
import shutil
import socket
import subprocess

import cluster

CLONE_NEWNET = 0x40000000
PREFIX = '10.77.0.'
CLIENTS = 253  # this process as a client: a host of the network like the others
WATCHER = 254
PROBE_PORT = 7999
TOOLS = {'ip': 'iproute2', 'tc': 'iproute2', 'nft': 'nftables', 'nsenter': 'util-linux', 'setpriv': 'util-linux'}

# Addresses, not interfaces: only IP is dropped, so that a link that is cut one way still resolves addresses both ways.
RULES = """
table bridge ringraft {
  set cut { type ipv4_addr . ipv4_addr; }
  set lossy { type ipv4_addr . ipv4_addr; }
  chain drops {
    ip saddr . ip daddr @cut drop
    ip saddr . ip daddr @lossy numgen random mod 100 < %d drop
  }
  chain forward { type filter hook forward priority 0; jump drops; }
  chain input { type filter hook input priority 0; jump drops; }
  chain output { type filter hook output priority 0; jump drops; }
}
"""
LOSS_PERCENT = 20
# Shaping needs room for a whole segment of a veth pair before the kernel splits it.
BURST = '16kb'
QUEUE = '400ms'

libc = ctypes.CDLL(None, use_errno=True)


def address(host):
    return f'{PREFIX}{host}'


def run(*command, stdin=None):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f'{" ".join(command)}: {done.stderr.strip() or done.returncode}')


def enter():
    """A network namespace for this thread, and what it starts from now on. Skips where that cannot be had."""
    if os.geteuid() != 0:
        raise cluster.Skip('network namespaces need root')
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            raise cluster.Skip(f'{tool} is missing (package {package})')
    if libc.unshare(CLONE_NEWNET) != 0:
        raise cluster.Skip(f'network namespaces are not allowed ({os.strerror(ctypes.get_errno())})')


def set_namespace(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f'setns: {os.strerror(number)}')


class Network:
    """To be made by the thread that called `enter`, before it makes others."""

    def __init__(self, hosts):
        self.hosts = list(hosts)
        self.own = os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        self.namespaces = {}
        self.cuts, self.lossy, self.slow = set(), set(), set()
        self.probes = {}
        try:
            self.build()
        except OSError as error:
            raise cluster.Skip(f'a bridge with namespaces, nft and tbf cannot be set up: {error}') from error

    def build(self):
        run('ip', 'link', 'set', 'lo', 'up')
        run('ip', 'link', 'add', 'hub', 'type', 'bridge')
        for own in (CLIENTS, WATCHER):
            run('ip', 'addr', 'add', f'{address(own)}/24', 'dev', 'hub')
        run('ip', 'link', 'set', 'hub', 'up')
        run('nft', '-f', '-', stdin=RULES % LOSS_PERCENT)
        for host in self.hosts:
            self.add_host(host)
        self.shape(self.hosts[0], '1mbit')
        self.unshape(self.hosts[0])
        self.probes[CLIENTS] = self.probe_socket(CLIENTS)

    def add_host(self, host):
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), 'unshare')
        self.namespaces[host] = os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        run('ip', 'link', 'set', 'lo', 'up')
        bridge_end = ('peer', 'name', self.port(host), 'netns', self.path(self.own))
        run('ip', 'link', 'add', 'uplink', 'type', 'veth', *bridge_end)
        run('ip', 'addr', 'add', f'{address(host)}/24', 'dev', 'uplink')
        run('ip', 'link', 'set', 'uplink', 'up')
        self.probes[host] = self.probe_socket(host)
        set_namespace(self.own)
        run('ip', 'link', 'set', self.port(host), 'master', 'hub', 'up')

    @staticmethod
    def port(host):
        """The bridge's end of the host's cable."""
        return f'host{host}'

    @staticmethod
    def path(fd):
        return f'/proc/{os.getpid()}/fd/{fd}'

    @staticmethod
    def probe_socket(host):
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        probe.setblocking(False)
        probe.bind((address(host), PROBE_PORT))
        return probe

    def inside(self, host, arguments):
        """The command that runs `arguments` on the host, under the same process id and not longer than this process."""
        return ['setpriv', '--pdeathsig', 'KILL', 'nsenter', '--net=' + self.path(self.namespaces[host]), *arguments]

    def cut(self, pairs):
        """From now on nothing gets from a to b, for each (a, b); what was cut before is whole again unless named."""
        self.cuts = set(pairs)
        self.fill('cut', self.cuts)

    def lose(self, pairs):
        """The same for losing LOSS_PERCENT of the packets."""
        self.lossy = set(pairs)
        self.fill('lossy', self.lossy)

    @staticmethod
    def fill(name, pairs):
        script = f'flush set bridge ringraft {name}\n'  # one transaction with what follows
        if pairs:
            elements = ', '.join(f'{address(a)} . {address(b)}' for a, b in sorted(pairs))
            script += f'add element bridge ringraft {name} {{ {elements} }}\n'
        run('nft', '-f', '-', stdin=script)

    def shape(self, host, rate):
        """Both directions of the host's cable carry `rate`, and drop what waits longer than QUEUE."""
        tbf = ['root', 'tbf', 'rate', rate, 'burst', BURST, 'latency', QUEUE]
        self.slow.add(host)
        run('tc', 'qdisc', 'replace', 'dev', self.port(host), *tbf)
        run(*self.inside(host, ['tc', 'qdisc', 'replace', 'dev', 'uplink', *tbf]))

    def unshape(self, host):
        run('tc', 'qdisc', 'del', 'dev', self.port(host), 'root')
        run(*self.inside(host, ['tc', 'qdisc', 'del', 'dev', 'uplink', 'root']))
        self.slow.discard(host)

    def heal(self):
        for host in sorted(self.slow):
            self.unshape(host)
        self.cut(())
        self.lose(())

    def check(self):
        """Datagrams from everywhere to everywhere: those arrive whose link is whole, and no others."""
        places = sorted(self.probes)
        links = {(a, b) for a in places for b in places if a != b}
        arrived = set()
        self.take_probes()  # of an earlier check

        def all_arrived():
            for a, b in links:
                self.probes[a].sendto(b'probe', (address(b), PROBE_PORT))
            arrived.update(self.take_probes())
            return arrived >= links - self.cuts
        cluster.wait_for(all_arrived, 'datagrams on all links that are not cut')
        passed = arrived & self.cuts
        assert not passed, f'links that are cut carry datagrams: {sorted(passed)}'

    def take_probes(self):
        taken = set()
        for place, probe in self.probes.items():
            try:
                while True:
                    _, (source, _) = probe.recvfrom(64)
                    taken.add((int(source.rsplit('.', 1)[1]), place))
            except BlockingIOError:
                pass
        return taken


def both_ways(pairs):
    return {(a, b) for pair in pairs for a, b in (pair, pair[::-1])}


def all_links(hosts):
    return {(a, b) for a in hosts for b in hosts if a != b}


def only(hosts, edges):
    """What has to be cut so that just these undirected edges are left among the hosts."""
    return all_links(hosts) - both_ways(edges)


def between(group, others):
    """What has to be cut so that nothing passes between the two groups."""
    return both_ways((a, b) for a in group for b in others)
