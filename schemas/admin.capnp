# The protocol between an operator's tool and a node, on the node's peer port, version 1. peer.capnp has the rules for
# extending both. `Door.admin` returns the `Admin` capability. Unlike between peers, errors carry their text, since a
# person reads it.
#
# A node refuses requests that it does not know, such as a kind of step of a newer version. A tool may ignore unknown
# information, or show it as a number: a new field of a status, a new kind of member.
@0xd1b4a0f2c7e6395a;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("ringraft::schema");

struct AdminHello {
  version @0 :UInt32;
  group :union {
    any @1 :Void;  # the node's group
    id @2 :UInt64;
  }
}

struct AdminWelcome {
  version @0 :UInt32;  # also in a refusal
  outcome @1 :Outcome;
  admin @2 :Admin;  # null in a refusal
}

# The result of a request.
struct Outcome {
  errc @0 :UInt16;      # 0: success
  message @1 :Text;     # one line that says what to do; empty: the receiver's text for the number
  leaderId @2 :UInt64;  # with kNotLeader, if known
  leaderAddr @3 :Text;
}

# The numbers are those of ringraft::MemberKind.
enum MemberKind {
  none @0;
  voter @1;
  learner @2;
  witness @3;
}

# The numbers are those of ringraft::Role.
enum Role {
  follower @0;
  preCandidate @1;
  candidate @2;
  leader @3;
}

# ringraft::PeerStatus.
struct MemberStatus {
  id @0 :UInt64;
  addr @1 :Text;
  kind @2 :MemberKind;
  isSelf @3 :Bool;
  isCatchingUp @4 :Bool;
  isReachable @5 :Bool;
  data @6 :Data;
  matchIndex @7 :UInt64;
  lagEntries @8 :UInt64;
  inflightBytes @9 :UInt64;
  incarnation @10 :UInt64;  # of the member's data directory
  needsReadmission @11 :Bool;
  lagBytes @12 :UInt64;
  lagNanoseconds @13 :UInt64;
  contactNanoseconds @14 :UInt64;  # since the last contact
}

# ringraft::RaftStatus, with the node's identity.
struct Status {
  clusterHigh @0 :UInt64;
  clusterLow @1 :UInt64;
  group @2 :UInt64;
  id @3 :UInt64;
  incarnation @4 :UInt64;
  startCount @5 :UInt64;
  role @6 :Role;
  term @7 :UInt64;
  leaderId @8 :UInt64;  # 0: not known
  leaderAddr @9 :Text;
  lastIndex @10 :UInt64;
  durableIndex @11 :UInt64;
  commitIndex @12 :UInt64;
  appliedIndex @13 :UInt64;
  configurationIndex @14 :UInt64;
  isJoint @15 :Bool;
  members @16 :List(MemberStatus);
  waitingCalls @17 :UInt64;
  waitingBytes @18 :UInt64;
  isDiskStalled @19 :Bool;
  diskLatencyNanoseconds @20 :UInt64;
  generation @21 :UInt64;  # 1, plus the number of recoveries from a lost quorum; 0: not known
}

enum StepKind {
  addVoter @0;
  addLearner @1;
  remove @2;
  promote @3;
  demote @4;
  setAddr @5;
  setData @6;
  addWitness @7;
  readmit @8;
}

struct Step {
  kind @0 :StepKind;
  id @1 :UInt64;
  addr @2 :Text;
  data @3 :Data;
}

# ringraft::ConfigChange.
struct ConfigChange {
  steps @0 :List(Step);
  basedOn @1 :UInt64;  # index of the configuration; 0: any
}

interface Admin {
  status @0 () -> (outcome :Outcome, status :Status);
  # The following are for the leader; another node replies with the leader that it knows. Timeouts are at most a day.
  changeConfig @1 (change :ConfigChange, timeoutNs :Int64) -> (outcome :Outcome);
  abortConfigChange @2 () -> (outcome :Outcome);
  transferLeadership @3 (to :UInt64, timeoutNs :Int64) -> (outcome :Outcome);  # to 0: the most suitable voter
}
