"""The leader is killed with SIGKILL under load, again and again: nothing acknowledged is lost or applied twice, and the
pause is told."""
import cluster
import departures


def test(arguments):
    departures.campaign(arguments, 'SIGKILL', arguments.kills, lambda leader: leader.kill())


cluster.run(test, [('--kills', 20, 'how often'), ('--writes', 500, 'acknowledged before each kill')], limit=540)
