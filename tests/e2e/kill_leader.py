"""The leader is killed with SIGKILL under load, again and again: nothing acknowledged is lost or applied twice, and the
pause is told."""
import cluster
import departures

# An election begins one election timeout after the last contact with the leader; a split vote takes a second one.
LIMITS = [(50, 1.1 * departures.ELECTION_TIMEOUT), (90, 1.5 * departures.ELECTION_TIMEOUT)]


def test(arguments):
    departures.campaign(arguments, 'SIGKILL', arguments.kills, lambda leader: leader.kill(), LIMITS)


cluster.run(test, [('--kills', 20, 'how often'), ('--writes', 500, 'acknowledged before each kill'),
                   departures.JUDGE], limit=540)
